"""The atlas: a static site of a run that one can browse; fed by the same tables as the page, and torch-free but ``live``."""
