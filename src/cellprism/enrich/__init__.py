"""From features to programs: gene lists, over-representation, what chance gives too, and labels."""
