"""read.py ROOT png|jpeg|video: opens our recording with LeRobot, and asserts that everything is as it was recorded."""

import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from recorded import CAMERAS, EPISODES, FPS, HEIGHT, VECTORS, WIDTH, picture, vector

# largest mean difference of a pixel that the encoding may cause
LOSS = {"png": 0.0, "jpeg": 2.0, "video": 4.0}
DEFAULTS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"}


def expect(what: str, expected, found) -> None:
    assert expected == found, f"{what}: expected {expected}, found {found}"


def check_description(dataset: LeRobotDataset, mode: str) -> None:
    expect("length", sum(length for _, length in EPISODES), len(dataset))
    expect("episodes", len(EPISODES), dataset.num_episodes)
    expect("fps", FPS, dataset.fps)
    features = {name: (feature["dtype"], tuple(feature["shape"])) for name, feature in dataset.features.items()}
    dtype = "video" if mode == "video" else "image"
    expected = {name: ("float32", (length,)) for name, length in VECTORS.items()}
    expected |= {name: (dtype, (HEIGHT, WIDTH, 3)) for name in CAMERAS}
    expected |= {name: (dtype, (1,)) for name, dtype in DEFAULTS.items()}
    expect("features", expected, features)
    for name, length in VECTORS.items():
        names = dataset.features[name]["names"]
        names = names["motors"] if isinstance(names, dict) else names  # as in LIBERO
        expect(f"number of names of {name}", length, len(names))
    expect("tasks", list(dict.fromkeys(task for task, _ in EPISODES)), list(dataset.meta.tasks.index))
    begin = 0
    for episode, (task, length) in enumerate(EPISODES):
        row = dataset.meta.episodes[episode]
        expect(f"row of episode {episode}", (episode, [task], length, begin, begin + length), (
            row["episode_index"], row["tasks"], row["length"], row["dataset_from_index"], row["dataset_to_index"]))
        begin += length


def check_picture(found: torch.Tensor, expected: np.ndarray, mode: str, what: str) -> None:
    expect(f"shape of {what}", (3, HEIGHT, WIDTH), tuple(found.shape))
    found = (found * 255).round().permute(1, 2, 0).numpy()
    difference = np.abs(found - expected.astype(np.float32)).mean()
    assert difference <= LOSS[mode], f"{what}: pixels differ by {difference} on average, {LOSS[mode]} allowed"


def check_rows(dataset: LeRobotDataset, mode: str) -> None:
    index = 0
    for episode, (task, length) in enumerate(EPISODES):
        for frame in range(length):
            item = dataset[index]
            what = f"episode {episode}, frame {frame}"
            expect(f"task of {what}", task, item["task"])
            expect(f"numbers of {what}", (episode, frame, index),
                   (item["episode_index"].item(), item["frame_index"].item(), item["index"].item()))
            assert abs(item["timestamp"].item() - frame / FPS) < 1e-4, what
            for name in VECTORS:
                expect(f"dtype of {name}", torch.float32, item[name].dtype)
                assert np.array_equal(item[name].numpy(), vector(name, episode, frame)), f"{name} of {what}: {item[name]}"
            for camera in CAMERAS:
                check_picture(item[camera], picture(camera, episode, frame), mode, f"{camera} of {what}")
            index += 1


def check_chunks(root: Path, mode: str) -> None:
    steps, images = 8, [-1, 0]
    deltas = {"action": [i / FPS for i in range(steps)], CAMERAS[0]: [i / FPS for i in images]}
    dataset = LeRobotDataset("thinkvla/test", root=root, delta_timestamps=deltas)
    index = 0
    for episode, (_, length) in enumerate(EPISODES):
        for frame in range(length):
            item = dataset[index]
            wanted = [frame + i for i in range(steps)]
            actions = [vector("action", episode, min(i, length - 1)) for i in wanted]
            assert np.array_equal(item["action"].numpy(), np.stack(actions)), f"chunk of {episode}, {frame}"
            expect("padding", [i >= length for i in wanted], item["action_is_pad"].tolist())
            for found, i in zip(item[CAMERAS[0]], images):
                check_picture(found, picture(CAMERAS[0], episode, max(frame + i, 0)), mode, f"pictures of {episode}, {frame}")
            index += 1


def check_loader(root: Path) -> None:
    deltas = {"action": [i / FPS for i in range(4)]}
    dataset = LeRobotDataset("thinkvla/test", root=root, delta_timestamps=deltas)
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, shuffle=True, num_workers=2)
    seen = []
    for batch in loader:
        expect("shape of a batch's actions", (4, VECTORS["action"]), tuple(batch["action"].shape[1:]))
        expect("shape of a batch's pictures", (3, HEIGHT, WIDTH), tuple(batch[CAMERAS[1]].shape[1:]))
        seen += batch["index"].tolist()
    expect("rows of the loader", list(range(len(dataset))), sorted(seen))


def check_statistics(dataset: LeRobotDataset) -> None:
    stats = dataset.meta.stats
    for name in VECTORS:
        rows = np.stack([vector(name, e, f) for e, (_, length) in enumerate(EPISODES) for f in range(length)])
        for key, value in {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}.items():
            assert np.allclose(stats[name][key], value, atol=1e-4), f"{key} of {name}: {stats[name][key]}, not {value}"
        expect(f"count of {name}", len(rows), int(stats[name]["count"][0]))
        quantiles = [stats[name][q] for q in ("q01", "q10", "q50", "q90", "q99")]
        if len(quantiles[0]) == 0:
            continue  # converted from v2.1, which has no quantiles
        assert np.all(np.diff([stats[name]["min"], *quantiles, stats[name]["max"]], axis=0) >= 0), f"quantiles of {name}"
    for camera in CAMERAS:
        expect(f"shape of the mean of {camera}", (3, 1, 1), stats[camera]["mean"].shape)
        pictures = [picture(camera, e, f) for e, (_, length) in enumerate(EPISODES) for f in range(length)]
        mean = np.mean(pictures, axis=(0, 1, 2)) / 255
        assert np.allclose(stats[camera]["mean"].ravel(), mean, atol=0.02), f"{camera}: {stats[camera]['mean']}, not {mean}"
    for name in DEFAULTS:
        assert "mean" in stats[name], f"statistics of {name}"


def check_one_episode(root: Path) -> None:
    dataset = LeRobotDataset("thinkvla/test", root=root, episodes=[1])
    expect("length of episode 1 alone", EPISODES[1][1], len(dataset))
    expect("its task", EPISODES[1][0], dataset[0]["task"])


def main() -> None:
    root, mode = Path(sys.argv[1]), sys.argv[2]
    dataset = LeRobotDataset("thinkvla/test", root=root)
    check_description(dataset, mode)
    check_rows(dataset, mode)
    check_statistics(dataset)
    check_chunks(root, mode)
    check_one_episode(root)
    check_loader(root)
    print("read.py: as recorded")


if __name__ == "__main__":
    main()
