"""What every feature does to every gene: derivatives first, and exact passes to hold against them."""
