"""write.py ROOT png|h264|av1: records the content of `recorded` with LeRobot."""

import sys
from pathlib import Path

from lerobot.configs import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from recorded import CAMERAS, EPISODES, FPS, HEIGHT, VECTORS, WIDTH, picture, vector


def main() -> None:
    root, mode = Path(sys.argv[1]), sys.argv[2]
    features = {n: {"dtype": "float32", "shape": (k,), "names": [f"{n}{i}" for i in range(k)]} for n, k in VECTORS.items()}
    dtype = "image" if mode == "png" else "video"
    names = ["height", "width", "channels"]
    features |= {camera: {"dtype": dtype, "shape": (HEIGHT, WIDTH, 3), "names": names} for camera in CAMERAS}
    encoder = None if mode == "png" else RGBEncoderConfig(vcodec={"h264": "h264", "av1": "libsvtav1"}[mode])
    dataset = LeRobotDataset.create(
        "thinkvla/test", FPS, features, root=root, robot_type="rm75", use_videos=mode != "png", rgb_encoder=encoder
    )
    for episode, (task, length) in enumerate(EPISODES):
        for frame in range(length):
            row = {name: vector(name, episode, frame) for name in VECTORS}
            row |= {camera: picture(camera, episode, frame) for camera in CAMERAS}
            dataset.add_frame({**row, "task": task})
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    main()
