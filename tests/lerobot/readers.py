"""readers.py ROOT …: each dataset as a strict JSON reader, PyArrow, PyAV and LeRobot find it; a line with its episodes, rows,
and decoded frames of all videos. Statistics are of all rows."""

import json
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def strict(text: str) -> object:
    return json.loads(text, parse_constant=refuse)


def frames(path: Path, fps: float) -> int:
    """Number of decoded frames; asserts that each is at its time."""
    with av.open(str(path)) as file:
        times = [frame.time for frame in file.decode(video=0)]
    assert all(abs(time - at / fps) < 1e-4 for at, time in enumerate(times)), (path, times)
    return len(times)


def check_statistics(dataset: LeRobotDataset, root: Path) -> None:
    columns = {name for name in dataset.features if name == "action" or name.startswith("observation.")}
    assert columns and columns <= set(dataset.meta.stats), (root, columns)
    for name, found in dataset.meta.stats.items():
        what, count = (root, name, found), int(found["count"][0])
        of_pictures = dataset.features[name]["dtype"] in ("image", "video")
        assert 0 < count <= len(dataset) if of_pictures else count == len(dataset), what
        assert np.all(found["min"] <= found["mean"] + 1e-4) and np.all(found["mean"] <= found["max"] + 1e-4), what


for root in map(Path, sys.argv[1:]):
    for path in (root / "meta").rglob("*.json"):
        strict(path.read_text("utf-8"))
    for path in (root / "meta").rglob("*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            strict(line)
    info = strict((root / "meta/info.json").read_text("utf-8"))
    rows = sum(pq.read_table(path).num_rows for path in (root / "data").rglob("*.parquet"))
    episodes = sum(pq.read_table(path).num_rows for path in (root / "meta/episodes").rglob("*.parquet"))
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert (episodes, rows, tasks.num_rows) == (info["total_episodes"], info["total_frames"], info["total_tasks"]), root
    decoded = sum(frames(path, info["fps"]) for path in (root / "videos").rglob("*.mp4"))
    dataset = LeRobotDataset("thinkvla/test", root=root)
    found = [dataset[index] for index in range(len(dataset))]
    assert all(row["index"].item() == index and row["task"] for index, row in enumerate(found)), root
    assert (dataset.num_episodes, len(found)) == (episodes, rows), root
    check_statistics(dataset, root)
    print(episodes, rows, decoded)
