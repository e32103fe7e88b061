#!/usr/bin/env bash
# Prints how many compilers may run at once: one for each core, and no more than memory holds at 2.5 GiB for each.
set -euo pipefail
cores=$(nproc)
available_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
jobs=$((available_kib / (5 * 512 * 1024)))
((jobs <= cores)) || jobs=$cores
((jobs >= 1)) || jobs=1
echo "$jobs"
