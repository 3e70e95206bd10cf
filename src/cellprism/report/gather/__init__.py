"""From the facts of a run to its claims."""
