"""load.py ROOT: opens a dataset with LeRobot and reads every row; prints the numbers of episodes and rows."""

import sys
from pathlib import Path

from lerobot.datasets.lerobot_dataset import LeRobotDataset

for root in sys.argv[1:]:
    dataset = LeRobotDataset("thinkvla/test", root=Path(root))
    rows = [dataset[index] for index in range(len(dataset))]
    assert all(row["index"].item() == index for index, row in enumerate(rows)), root
    print(dataset.num_episodes, len(rows))
