"""Interactive figures, each with its finding and how to read it in words."""
