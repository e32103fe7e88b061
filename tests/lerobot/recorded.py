"""The recording that tests/support/sample_dataset/mod.rs makes, too: its content follows from the numbers of episode and frame."""

import numpy as np

FPS = 10
EPISODES = [("lift the can", 12), ("push the box", 7), ("lift the can", 9)]
WIDTH, HEIGHT = 64, 48
CAMERAS = ["observation.images.top", "observation.images.wrist"]
VECTORS = {"observation.state": 17, "action": 7, "action.joint": 8}


def vector(name: str, episode: int, frame: int) -> np.ndarray:
    """Values that 32-bit floats hold exactly."""
    scale = 1 + list(VECTORS).index(name)
    return np.float32(scale) * (episode * 4 + frame / 16 + np.arange(VECTORS[name], dtype=np.float32) / 64)


def picture(camera: str, episode: int, frame: int) -> np.ndarray:
    """A smooth image, so that lossy encodings stay close; (height, width, 3) bytes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    blue = 10 + 2 * frame + 40 * CAMERAS.index(camera) + 60 * episode
    return np.stack([20 + 3 * x, 20 + 4 * y, np.full_like(x, blue)], axis=-1).astype(np.uint8)
