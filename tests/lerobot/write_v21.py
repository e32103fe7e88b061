"""write_v21.py ROOT: writes the content of `recorded` in the layout in which LIBERO is published: v2.1, one file for
each episode, lists in JSON lines, value names inside an object, videos."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from recorded import CAMERAS, EPISODES, FPS, HEIGHT, VECTORS, WIDTH, picture, vector


def write_video(path: Path, camera: str, episode: int, length: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS, options={"crf": "12", "g": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for frame in range(length):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture(camera, episode, frame), format="rgb24")))
        file.mux(stream.encode())


def statistics(rows: np.ndarray) -> dict:
    values = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return {name: np.atleast_1d(value).tolist() for name, value in values.items()} | {"count": [len(rows)]}


def main() -> None:
    root = Path(sys.argv[1])
    (root / "meta").mkdir(parents=True)
    tasks = list(dict.fromkeys(task for task, _ in EPISODES))
    features = {
        name: {"dtype": "float32", "shape": [length], "names": {"motors": [f"{name}{i}" for i in range(length)]}}
        for name, length in VECTORS.items()
    }
    video = {"video.fps": FPS, "video.height": HEIGHT, "video.width": WIDTH, "video.codec": "h264", "has_audio": False}
    names = ["height", "width", "rgb"]
    features |= {c: {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": names, "info": video} for c in CAMERAS}
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
    total = sum(length for _, length in EPISODES)
    info = {
        "codebase_version": "v2.1", "robot_type": "rm75", "total_episodes": len(EPISODES), "total_frames": total,
        "total_tasks": len(tasks), "total_videos": len(EPISODES) * len(CAMERAS), "total_chunks": 1, "chunks_size": 1000,
        "fps": FPS, "splits": {"train": f"0:{len(EPISODES)}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info, indent=4))
    lists = {"tasks": [{"task_index": i, "task": task} for i, task in enumerate(tasks)], "episodes": [], "episodes_stats": []}
    begin = 0
    for episode, (task, length) in enumerate(EPISODES):
        table = {name: [vector(name, episode, f).tolist() for f in range(length)] for name in VECTORS}
        columns = {name: pa.array(rows, pa.list_(pa.float32())) for name, rows in table.items()}
        columns["timestamp"] = pa.array(np.arange(length, dtype=np.float32) / FPS)
        columns["frame_index"] = pa.array(range(length), pa.int64())
        columns["episode_index"] = pa.array([episode] * length, pa.int64())
        columns["index"] = pa.array(range(begin, begin + length), pa.int64())
        columns["task_index"] = pa.array([tasks.index(task)] * length, pa.int64())
        path = root / f"data/chunk-000/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        for camera in CAMERAS:
            write_video(root / f"videos/chunk-000/{camera}/episode_{episode:06d}.mp4", camera, episode, length)
        own = {name: statistics(np.array(rows)) for name, rows in table.items()}
        own |= {name: statistics(columns[name].to_numpy()) for name in columns if name not in VECTORS}
        for camera in CAMERAS:
            pixels = np.concatenate([picture(camera, episode, f).reshape(-1, 3) for f in range(length)]) / 255
            of_colours = statistics(pixels) | {"count": [length]}
            own[camera] = {k: v if k == "count" else [[[x]] for x in v] for k, v in of_colours.items()}
        lists["episodes"].append({"episode_index": episode, "tasks": [task], "length": length})
        lists["episodes_stats"].append({"episode_index": episode, "stats": own})
        begin += length
    for name, lines in lists.items():
        (root / f"meta/{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
