"""save.py FROM TO SHARD: loads a directory with transformers and saves it, in files of at most SHARD (e.g. 50KB)."""

import sys

from transformers import AutoModelForImageTextToText, AutoProcessor

origin, target, shard = sys.argv[1:]
model = AutoModelForImageTextToText.from_pretrained(origin, dtype="auto", local_files_only=True)
model.save_pretrained(target, max_shard_size=shard)
AutoProcessor.from_pretrained(origin, local_files_only=True).save_pretrained(target)
