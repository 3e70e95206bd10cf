"""The atlas: a static site of a run that one can browse, fed by the tables of its page. Only ``live`` knows torch."""
