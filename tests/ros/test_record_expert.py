"""Test that the scripted expert recorded over ROS gives the same data as in one process, except for timing."""

import json

import pytest

SEED, EPISODES = 3000, 2
# Rows a second: software rendering of both cameras reaches about ten images a second on two slow cores.
FPS = 5


def recorded(folder):
    """Description and statistics of a dataset."""
    info = json.loads((folder / "meta/info.json").read_text())
    stats = json.loads((folder / "meta/stats.json").read_text())
    return info, stats


def travel(stats):
    """Sum of the actions of all rows: x, y, z (m)."""
    action = stats["action"]
    return [mean * action["count"][0] for mean in action["mean"][:3]]


@pytest.mark.timeout(600)
def test_the_expert_over_ros_is_recorded_as_in_one_process(ros, nodes):
    over_ros, in_process = nodes.folder / "over_ros", nodes.folder / "in_process"
    running = nodes.start("thinkvla", arguments=[
        "rollout", "--task", "height", "--first-seed", SEED, "--seeds", EPISODES, "--at-least", EPISODES,
        "--record", over_ros, "--fps", FPS, "--out", nodes.folder / "rollout"])
    assert running.wait(400) == 0, running.output()
    collecting = nodes.start("thinkvla", arguments=[
        "collect", "--task", "height", "--seed", SEED, "--episodes", EPISODES, "--fps", FPS, "--out", in_process])
    assert collecting.wait(300) == 0, collecting.output()
    (info, stats), (expected_info, expected) = recorded(over_ros), recorded(in_process)
    assert info["features"] == expected_info["features"] and info["fps"] == expected_info["fps"]
    assert info["total_episodes"] == EPISODES and info["total_tasks"] == expected_info["total_tasks"]
    assert info["total_frames"] == pytest.approx(expected_info["total_frames"], rel=0.1)
    # the same motion: its end, the extremes of joints and positions, both values of the gripper
    assert travel(stats) == pytest.approx(travel(expected), abs=0.01)
    for corner in ("min", "max"):
        assert stats["observation.state"][corner] == pytest.approx(expected["observation.state"][corner], abs=0.05)
    assert (stats["action"]["min"][6], stats["action"]["max"][6]) == (0.0, 1.0)
