#!/usr/bin/env bash
# Prints how many compilers may run at once: one for each core, and no more than memory holds at 2.5 GiB for each. In a
# container its own limit counts where it is smaller than the machine's memory.
set -euo pipefail
cores=$(nproc)
available_kib=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
if [[ $limit != max ]] && ((limit / 1024 < available_kib)); then
  available_kib=$((limit / 1024))
fi
jobs=$((available_kib / (5 * 512 * 1024)))
((jobs <= cores)) || jobs=$cores
((jobs >= 1)) || jobs=1
echo "$jobs"
