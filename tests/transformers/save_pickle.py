"""save_pickle.py SAFETENSORS PICKLE FORM: torch.save of the tensors of a file, in the form that it writes today (`new`, a
zip archive) or in the one from before (`old`)."""

import sys

import torch
from safetensors.torch import load_file

origin, target, form = sys.argv[1:]
torch.save(load_file(origin), target, _use_new_zipfile_serialization=form == "new")
