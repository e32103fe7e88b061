"""Tests of checkpoint replacement: another checkpoint is loaded beside the active one, and takes over without a gap in
control."""

import math
import os
import shutil

import pytest
import yaml
from arm_fixtures import start_arm  # noqa: F401
from diagnostic_msgs.msg import DiagnosticArray
from policy_fixtures import checkpoint, policy, robot_file, world  # noqa: F401
from std_srvs.srv import Trigger
from thinkvla.msg import ActionChunk, ArmStatus
from thinkvla.srv import ListCheckpoints, LoadCheckpoint


@pytest.fixture
def shelf(checkpoint, tmp_path):
    """Two checkpoints side by side; the second has other weights and another name."""
    first, second = tmp_path / "shelf" / "first", tmp_path / "shelf" / "second"
    shutil.copytree(checkpoint, first)
    shutil.copytree(checkpoint, second)
    weights = bytearray((second / "model.safetensors").read_bytes())
    weights[-4:] = b"\x00\x00\x00\x3d"
    (second / "model.safetensors").write_bytes(weights)
    change(second, lambda contract: contract["model"].update(weights="second"))
    return first, second


def change(folder, how):
    contract = yaml.safe_load((folder / "contract.yaml").read_text())
    how(contract)
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract))


def calm(contract):
    """Makes the action ranges so small that random weights lead nowhere out of reach."""
    for dimension in contract["data"]["statistics"][:6]:
        dimension.update(min=-1e-5, max=1e-5)


def simulated(contract):
    """Sets the image size of the simulated cameras."""
    for camera in contract["robot"]["cameras"]:
        camera.update(width=640, height=480)


def load(ros, path):
    return ros.call(LoadCheckpoint, "/policy_node/load_checkpoint", LoadCheckpoint.Request(path=str(path)))


def trigger(ros, name):
    return ros.call(Trigger, f"/policy_node/{name}")


def acting(diagnostics):
    """Name of the active checkpoint in the newest diagnostics."""
    values = [{value.key: value.value for value in status.values}
              for array in diagnostics for status in array.status if status.name == "policy_node: policy"]
    return values[-1]["checkpoint"].split()[0] if values else None


@pytest.mark.stalls
def test_a_switch_and_back_leave_no_gap_in_control(ros, nodes, policy, shelf, start_arm):
    for folder in shelf:
        change(folder, calm)
        change(folder, simulated)
    nodes.start("sim_node", params={"camera_rate_hz": 5.0})
    policy(checkpoint=str(shelf[0]), replan_steps=2, rate_tolerance=1.0, camera_slop=0.2, frozen_after=60.0)
    chunks = ros.collect(ActionChunk, "/chunk")
    diagnostics = ros.collect(DiagnosticArray, "/diagnostics", publishers=0)
    assert ros.lifecycle("policy_node", "configure")
    arm = start_arm()
    arm.arm()
    assert ros.lifecycle("policy_node", "activate")
    ros.wait_for(lambda: len(chunks) > 2, "chunks of the first checkpoint")
    arm.wait_mode(ArmStatus.EXECUTING, "the arm to follow them")
    begun, before = len(arm.statuses), arm.statuses[-1]
    answer = load(ros, shelf[1])
    assert answer.ok, answer.message
    assert "arm and cameras are those of its contract" in answer.report and math.isnan(answer.self_test)
    assert chunks[-1].checkpoint_hash != answer.checkpoint_hash, "it acts before it was told to"

    for name, expected in (("switch", "second"), ("switch_back", "untrained"), ("switch_back", "second")):
        assert trigger(ros, name).success
        there = len(chunks)
        ros.wait_for(lambda: len(chunks) > there + 3, "more chunks")
        assert (chunks[-1].checkpoint_hash == answer.checkpoint_hash) == (expected == "second")
        ros.wait_for(lambda: acting(diagnostics) == expected, f"diagnostics to name {expected}")
    plans = [chunk.plan_id for chunk in chunks]
    assert plans == list(range(plans[0], plans[0] + len(plans))) and {chunk.lease for chunk in chunks} == {before.lease}
    seen = arm.statuses[begun:]
    assert not [status.reason for status in seen if status.mode != ArmStatus.EXECUTING]
    assert seen[-1].underruns == before.underruns
    commands = [status.commands for status in seen]
    assert all(later > earlier for earlier, later in zip(commands, commands[1:])), "commands stood still"


def test_what_cannot_act_here_is_refused_and_the_present_one_stays(ros, policy, shelf, world):
    world.start()
    policy(checkpoint=str(shelf[0]))
    assert "configure policy_node first" in load(ros, shelf[1]).message
    assert ros.lifecycle("policy_node", "configure") and ros.lifecycle("policy_node", "activate")
    chunks = ros.collect(ActionChunk, "/chunk")
    ros.wait_for(lambda: chunks, "a chunk")
    for name in ("switch", "switch_back"):
        refused = trigger(ros, name)
        assert not refused.success and "found none" in refused.message
    other = shelf[0].parent / "other"
    shutil.copytree(shelf[1], other)
    for how, expected in [
        (lambda contract: contract["robot"]["cameras"].reverse(), "camera"),
        (lambda contract: contract["robot"]["cameras"][0].update(width=128), "128"),
        (lambda contract: contract["data"]["statistics"][0].update(min=1.0, max=-1.0), "x"),
    ]:
        shutil.copy(shelf[1] / "contract.yaml", other)
        change(other, how)
        answer = load(ros, other)
        assert not answer.ok and expected in answer.message, answer.message
    shutil.copy(shelf[1] / "contract.yaml", other)
    (other / "model.safetensors").unlink()
    answer = load(ros, other)
    assert not answer.ok and "model.safetensors" in answer.message
    assert not trigger(ros, "switch").success
    there = len(chunks)
    ros.wait_for(lambda: len(chunks) > there, "another chunk")
    assert len({chunk.checkpoint_hash for chunk in chunks}) == 1


def test_checkpoints_are_listed_with_what_they_say_of_themselves(ros, policy, shelf, world):
    (shelf[1] / "training.json").write_text(
        '{"step": 50, "held_out": 0.25, "config": {"data": {"datasets": [{"path": "datasets/pick", "weight": 1.0}]}}}')
    world.start()
    policy(checkpoint=str(shelf[0]))
    assert ros.lifecycle("policy_node", "configure")
    assert load(ros, shelf[1]).ok
    answer = ros.call(ListCheckpoints, "/policy_node/list_checkpoints")
    assert answer.ok
    found = {one.name: one for one in answer.checkpoints}
    assert set(found) == {"untrained", "second"}
    assert found["untrained"].running and not found["untrained"].waiting and math.isnan(found["untrained"].held_out)
    second = found["second"]
    assert (second.step, second.held_out, list(second.datasets)) == (50, 0.25, ["datasets/pick"])
    assert second.waiting and second.date.sec > 0 and second.path == str(shelf[1])
    missing = ros.call(ListCheckpoints, "/policy_node/list_checkpoints", ListCheckpoints.Request(directory="/nowhere"))
    assert not missing.ok and "/nowhere" in missing.message


def test_a_directory_of_special_files_is_refused_and_the_next_one_is_loaded(ros, policy, shelf, tmp_path):
    policy(checkpoint=str(shelf[0]))
    assert ros.lifecycle("policy_node", "configure")
    shutil.copytree(shelf[1], tmp_path / "fifo")
    (tmp_path / "fifo" / "config.json").unlink()
    os.mkfifo(tmp_path / "fifo" / "config.json")
    answer = load(ros, tmp_path / "fifo")
    assert not answer.ok and "found a FIFO" in answer.message, answer.message
    answer = load(ros, shelf[1])
    assert answer.ok, answer.message
