"""save_pickle.py SAFETENSORS PICKLE FORM: saves the tensors of a file with torch.save, in its present format (`new`, a
zip archive) or in the earlier one (`old`)."""

import sys

import torch
from safetensors.torch import load_file

origin, target, form = sys.argv[1:]
torch.save(load_file(origin), target, _use_new_zipfile_serialization=form == "new")
