"""Checkpoints and prompts of the tests; each differs from the others in properties where a port may be wrong."""

import torch
from checkpoints import Spec, Text, Vision
from prompts import Prompt

SPECS: dict[str, Spec] = {
    # taps spread over the tower, narrow vision heads
    "grouped": Spec(
        seed=1,
        text=Text(layers=4, head=32, sections=(6, 5, 5)),
        vision=Vision(depth=6, heads=4, taps=(1, 3, 5), positions=64),
        sharpness=2.6,
        embedding_std=0.15,
    ),
    # one key head for all queries, one tap
    "multi_query": Spec(
        seed=2,
        text=Text(width=48, inner=96, layers=3, heads=6, kv_heads=1),
        vision=Vision(depth=3, taps=(1,), patch=8, min_pixels=40 * 40),
    ),
    # as many key heads as query heads, no tap, an untied text head, stored in float32
    "ungrouped": Spec(
        seed=3,
        text=Text(width=40, inner=72, layers=2, heads=3, kv_heads=3, head=24, sections=(4, 4, 4), tied=False),
        vision=Vision(width=24, inner=48, depth=2, heads=2, taps=(), patch=8, positions=49, min_pixels=32 * 32),
        dtype=torch.float32,
        sharpness=2.4,
        embedding_std=0.15,
    ),
    # a tap for every language layer, weights in shards
    "every_layer": Spec(
        seed=4,
        text=Text(width=48, inner=96, layers=5, heads=4, kv_heads=2),
        vision=Vision(depth=7, taps=(0, 2, 3, 5, 6)),
        shard_size="200KB",
        sharpness=2.6,
        embedding_std=0.2,
    ),
    # as shallow as possible, the tap is not the last block
    "one_layer": Spec(
        seed=5,
        text=Text(layers=1, heads=2, kv_heads=1),
        vision=Vision(depth=2, taps=(0,), patch=8, min_pixels=32 * 32),
    ),
    # heads and table of positions of the released size
    "released_heads": Spec(
        seed=6,
        text=Text(width=32, inner=64, layers=2, heads=2, kv_heads=1, head=128, sections=(24, 20, 20)),
        vision=Vision(width=64, inner=96, depth=3, heads=1, taps=(1,), patch=8, positions=2304, min_pixels=40 * 40),
    ),
    # four queries a key, deeper than wide
    "deep": Spec(
        seed=7,
        text=Text(width=32, inner=64, layers=8, heads=8, kv_heads=2),
        vision=Vision(width=24, inner=48, depth=9, heads=3, taps=(2, 5), patch=8, min_pixels=32 * 32),
    ),
    # blocks of three by three small patches, most positions of the table unused
    "merge_three": Spec(
        seed=8,
        text=Text(width=32, inner=48, layers=3, heads=4, kv_heads=4, head=8, sections=(2, 1, 1)),
        vision=Vision(width=16, inner=32, depth=4, heads=2, taps=(1, 3), patch=8, merge=3, positions=100, min_pixels=48 * 48),
    ),
    # the shape of the released 2B model; not stored, 4.3 GB
    "full_2b": Spec(
        seed=9,
        text=Text(2048, 6144, 28, 16, 8, 128, (24, 20, 20), 151_936, True, 262_144),
        vision=Vision(1024, 4096, 24, 16, (5, 11, 17), 16, 2, 2304, 256 * 256, 4096 * 4096),
        shard_size="2GB",
        embedding_std=0.03,
    ),
}

# written only when requested by name
LARGE = {"full_2b"}

CASES: dict[str, dict[str, list[Prompt]]] = {
    "grouped": {
        "one_image": [Prompt("Pick up the red cube.", ((50, 90),))],
        "two_images": [Prompt("Which view shows the gripper?", ((64, 64), (40, 95)))],
    },
    "multi_query": {
        "two_images": [Prompt("  Größe: 3.5 cm\n\n把红色方块放进盒子里 🔍🔍", ((61, 37), (32, 64)))],
        "text_only": [Prompt("What is a robot?")],
    },
    "ungrouped": {"three_images": [Prompt("Compare the three.", ((32, 48), (45, 31), (80, 24)))]},
    "every_layer": {"three_images": [Prompt("Describe the scene.", ((64, 64), (64, 64), (100, 30)))]},
    "one_layer": {"three_images": [Prompt("Is the drawer open?", ((48, 48), (48, 48), (48, 48)))]},
    "released_heads": {"odd_grid": [Prompt("Where is the cup?", ((47, 50),))]},
    "deep": {
        "batch": [
            Prompt("Push the plate.", ((32, 32), (40, 56))),
            Prompt("Put the long spoon into the drawer below, then close it.", ((48, 32),)),
            Prompt("Open", ((32, 32), (33, 47), (32, 64))),
        ],
        "batch_with_text": [
            Prompt("Say what you can do, and what you cannot."),
            Prompt("Stack the blocks.", ((30, 60), (48, 48))),
        ],
    },
    "merge_three": {
        "tall": [Prompt("Lift it.", ((96, 30), (48, 48)))],
        "batch": [Prompt("Turn left", ((48, 72),)), Prompt("Now turn to the right side", ((60, 50),))],
    },
    "full_2b": {
        "two_images": [Prompt("Pick up the red cube and put it into the bowl.", ((224, 224), (224, 224)))],
        "three_sizes": [Prompt("What changed?", ((240, 320), (300, 200), (360, 640)))],
        "batch": [
            Prompt("Pick up the red cube.", ((224, 224), (224, 224))),
            Prompt("Open the drawer, then put the spoon into it.", ((224, 224),)),
        ],
    },
}
