"""Cell models behind one protocol, and pretraining one of our own."""
