"""Tests of the demo: report and picture, a clear error when a node dies, and no process left behind."""

import json
import os
import signal
from pathlib import Path

import pytest

FIELDS = {"task", "seed", "driver", "instruction", "success", "episode_s", "chunks", "commands", "command_rate_hz",
          "policy_ms_p50", "policy_ms_p95", "clamps", "refusals", "nonfinite", "weights"}
NODES = ("sim_node", "arm_node", "policy_node")


def children(pid):
    """Child processes of a process, by name."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, tail = stat.read_text().rsplit(")", 1)
        except OSError:  # it has ended
            continue
        number, name = head.split(" (", 1)
        state, parent = tail.split()[:2]
        if int(parent) == pid and state != "Z":
            found[name] = int(number)
    return found


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()
            and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"]


def demo(nodes, *arguments):
    return nodes.start("thinkvla", arguments=["demo", "--out", nodes.folder / "demo", *arguments])


def driving(ros, running):
    """The nodes of a demo in which the policy drives."""
    ros.wait_for(lambda: "policy drives" in running.output() or not running.running(), "the policy to drive", 180)
    started = children(running.popen.pid)
    assert set(NODES) <= set(started), running.output()
    return started


def report(folder):
    report = json.loads((folder / "demo" / "report.json").read_text())
    assert set(report) >= FIELDS
    assert report["nonfinite"] == 0 and report["chunks"] > 0
    assert report["command_rate_hz"] == pytest.approx(report["command_rate_setting_hz"], rel=0.02)
    picture = (folder / "demo" / "contact_sheet.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    moving = (folder / "demo" / "demo.gif").read_bytes()
    assert moving.startswith(b"GIF89a") and 50_000 < len(moving) < 3_000_000
    return report


@pytest.mark.timeout(600)
def test_a_demo_of_the_expert_ends_with_a_report_and_a_picture(ros, nodes):
    running = demo(nodes, "--expert")
    assert running.wait(400) == 0, running.output()
    written = report(nodes.folder)
    assert written["driver"] == "expert" and written["success"] and written["weights"] is None


@pytest.mark.timeout(600)
def test_a_demo_shows_the_policy_that_ships_and_says_so_when_it_runs_out_of_time(ros, nodes):
    running = demo(nodes, "--policy-seconds", 3)
    assert running.wait(400) not in (0, None), running.output()
    written = report(nodes.folder)
    assert written["driver"] == "policy" and not written["success"] and written["weights"] != "untrained"
    assert "the policy did not do the task" in running.output()


@pytest.mark.timeout(600)
def test_a_demo_whose_arm_node_dies_says_so_and_leaves_nothing_behind(ros, nodes):
    running = demo(nodes, "--policy-seconds", 60)
    started = driving(ros, running)
    os.kill(started["arm_node"], signal.SIGKILL)
    assert running.wait(60) not in (0, None)
    assert "arm_node ended by itself (signal 9)" in running.output()
    ros.wait_for(lambda: not alive(started.values()), "every node to be gone")


@pytest.mark.timeout(600)
def test_a_demo_that_is_interrupted_leaves_nothing_behind(ros, nodes):
    running = demo(nodes, "--policy-seconds", 60)
    started = driving(ros, running)
    assert running.interrupt() != 0
    ros.wait_for(lambda: not alive(started.values()), "every node to be gone")


@pytest.mark.timeout(600)
def test_a_demo_that_is_killed_leaves_nothing_behind(ros, nodes):
    running = demo(nodes, "--policy-seconds", 60)
    started = driving(ros, running)
    running.kill9()
    ros.wait_for(lambda: not alive(started.values()), "every node to be gone")


@pytest.mark.timeout(900)
def test_the_expert_succeeds_over_ros_on_every_task(ros, nodes):
    out = nodes.folder / "rollout"
    running = nodes.start("thinkvla", arguments=["rollout", "--seeds", 2, "--out", out, "--at-least", 2])
    assert running.wait(800) == 0, running.output()
    report = json.loads((out / "rollout.json").read_text())
    assert [task["task"] for task in report["tasks"]] == ["height", "container", "position"]
    assert all(task["rate"]["successes"] == 2 for task in report["tasks"])
