"""Models that read a cell as a whole: one vector a cell, from which a decoder predicts every gene."""
