"""Imported once by the process that the trainings are forked from: they then begin at once."""

import torch

from cellprism.sae.fit import fit_saes
from faults.training import Numbered, jobs

torch.set_num_threads(1)
fit_saes(Numbered(), jobs()[:3], 1)
