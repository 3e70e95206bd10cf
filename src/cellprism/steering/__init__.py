"""Turn features up and down, find recipes that change cell types, and measure what chance would do."""
