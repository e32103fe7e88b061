"""Tests of `thinkvla eval --robot`: a policy on running nodes, judged by a person."""

import json
import subprocess

import pytest
from arm_fixtures import start_arm  # noqa: F401
from std_msgs.msg import String
from test_finetune import LATCHED, start  # noqa: F401

INSTRUCTION = "pick up the red block"


@pytest.fixture
def robot(ros, nodes, start, start_arm):
    """A simulated robot that is running already."""
    nodes.start("sim_node", params={"camera_rate_hz": 5.0})
    nodes.start("policy_node", params={
        "checkpoint": str(start), "threads": 1, "replan_steps": 2, "inference_limit": 30.0, "camera_age_limit": 5.0, "camera_periods": 0.0,
        "rate_tolerance": 1.0, "activation_timeout": 60.0, "camera_slop": 0.3, "chunk_expiry": 5.0})
    assert ros.lifecycle("policy_node", "configure")
    start_arm()


def judge(nodes, start, trials):
    return nodes.start("thinkvla", stdin=subprocess.PIPE, arguments=[
        "eval", "--robot", "--checkpoint", start, "--instruction", INSTRUCTION, "--trials", trials,
        "--trial-seconds", 120, "--out", nodes.folder / "judged"])


def answer(ros, judging, prompt, times, key):
    ros.wait_for(lambda: judging.output().count(prompt) >= times, f"{times} x {prompt!r} in\n{judging.output()}")
    judging.popen.stdin.write(f"{key}\n".encode())
    judging.popen.stdin.flush()


@pytest.mark.stalls
@pytest.mark.timeout(400)
def test_a_person_judges_a_running_robot_and_goes_on_later(ros, nodes, robot, start):
    instructions = ros.collect(String, "/instruction", LATCHED)
    judging = judge(nodes, start, 3)
    answer(ros, judging, "set the scene", 1, "")
    answer(ros, judging, "s: success", 1, "s")
    answer(ros, judging, "set the scene", 2, "")
    answer(ros, judging, "s: success", 2, "")
    answer(ros, judging, "ended by person", 1, "f")
    ros.wait_for(lambda: instructions[-1].data == INSTRUCTION, "the instruction")
    answer(ros, judging, "set the scene", 3, "q")
    assert judging.wait(60) == 0, judging.output()
    out = nodes.folder / "judged"
    report = json.loads((out / "eval.json").read_text())
    assert (report["rate"]["successes"], report["rate"]["trials"]) == (1, 2)
    assert [trial["success"] for trial in report["trials"]] == [True, False]
    assert all(trial["chunks"] > 0 and trial["ended_by"] == "person" for trial in report["trials"])

    again = judge(nodes, start, 3)
    answer(ros, again, "trial 3 of 3", 1, "")
    answer(ros, again, "s: success", 1, "s")
    assert again.wait(60) == 0, again.output()
    assert json.loads((out / "eval.json").read_text())["rate"]["successes"] == 2
    assert len((out / "judged.jsonl").read_text().splitlines()) == 3
