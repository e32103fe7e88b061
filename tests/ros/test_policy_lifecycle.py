"""Tests of the policy node's lifecycle: standard services, refusal of illegal transitions, and release of the arm."""

import time

import pytest
from conftest import ROOT
from lifecycle_msgs.msg import TransitionEvent
from lifecycle_msgs.srv import GetAvailableStates, GetAvailableTransitions
from policy_fixtures import LEASE, checkpoint, policy, robot_file, world  # noqa: F401
from thinkvla.msg import ActionChunk, Heartbeat


def labels(transitions):
    return sorted(description.transition.label for description in transitions)


def test_the_standard_services_answer(ros, policy):
    policy()
    assert ros.state("policy_node") == "unconfigured"
    states = ros.call(GetAvailableStates, "/policy_node/get_available_states").available_states
    assert [(state.id, state.label) for state in states] == [
        (1, "unconfigured"), (2, "inactive"), (3, "active"), (4, "finalized")]
    available = ros.call(GetAvailableTransitions, "/policy_node/get_available_transitions").available_transitions
    assert labels(available) == ["configure", "shutdown"]
    graph = ros.call(GetAvailableTransitions, "/policy_node/get_transition_graph").available_transitions
    assert len(graph) == 7


def test_a_transition_that_does_not_fit_is_refused(ros, policy):
    process = policy()
    assert not ros.lifecycle("policy_node", "activate")
    assert ros.state("policy_node") == "unconfigured"
    ros.wait_for(lambda: "expected a transition out of unconfigured, found" in process.output(), "the refusal's reason")


def test_chunks_and_heartbeats_leave_only_while_active(ros, policy, world):
    world.start()
    policy()
    events = ros.collect(TransitionEvent, "/policy_node/transition_event")
    chunks, beats = ros.collect(ActionChunk, "/chunk"), ros.collect(Heartbeat, "/heartbeat")
    assert ros.lifecycle("policy_node", "configure")
    assert not chunks and not beats
    assert ros.lifecycle("policy_node", "activate")
    ros.wait_for(lambda: chunks and len(beats) > 3, "a chunk and heartbeats")
    chunk = chunks[0]
    assert (chunk.source, chunk.lease, chunk.plan_id) == ("policy", LEASE, 1)
    assert (chunk.header.frame_id, chunk.dim, len(chunk.values)) == ("base_link", 7, chunk.horizon * 7)
    assert chunk.inference_ms > 0 and len(chunk.checkpoint_hash) == 64 and len(chunk.camera_stamps) == 2
    assert chunk.observation_stamp == min(chunk.camera_stamps, key=lambda stamp: (stamp.sec, stamp.nanosec))
    assert {(beat.source, beat.lease) for beat in beats} == {("policy", LEASE)}
    assert world.acquired == [("policy", 0)]

    assert ros.lifecycle("policy_node", "deactivate")
    ros.wait_for(lambda: world.released == [LEASE], "the lease back")
    sent = len(beats)
    assert ros.state("policy_node") == "inactive"
    assert len(beats) <= sent + 1
    assert [event.goal_state.label for event in events] == [
        "configuring", "inactive", "activating", "active", "deactivating", "inactive"]


def test_a_refused_lease_keeps_the_node_inactive(ros, policy, world):
    world.grant = False
    world.start()
    process = policy()
    assert ros.lifecycle("policy_node", "configure")
    assert not ros.lifecycle("policy_node", "activate")
    assert "arm_node refused the lease: held by teleop until it lets go" in process.output()
    assert ros.state("policy_node") == "inactive"


def test_an_operator_who_takes_the_arm_deactivates_the_policy(ros, policy, world):
    world.start()
    policy(autostart=True)
    ros.wait_for(lambda: ros.state("policy_node") == "active", "the policy to start by itself")
    world.status.lease, world.status.lease_source = LEASE + 1, "teleop"
    ros.wait_for(lambda: ros.state("policy_node") == "inactive", "the policy to step back")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "contract.yaml", "tokenizer.json"])
def test_a_checkpoint_that_lacks_a_file_is_refused_by_name(ros, policy, checkpoint, tmp_path, missing):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in checkpoint.iterdir():
        if file.name != missing:
            (broken / file.name).symlink_to(file)
    process = policy(checkpoint=str(broken))
    assert not ros.lifecycle("policy_node", "configure")
    assert missing in process.output()
    assert ros.state("policy_node") == "unconfigured"


def damaged(checkpoint, folder, change):
    """Returns a checkpoint whose weights file was changed by `change`."""
    folder.mkdir()
    for file in checkpoint.iterdir():
        if file.name != "model.safetensors":
            (folder / file.name).symlink_to(file)
    (folder / "model.safetensors").write_bytes(change((checkpoint / "model.safetensors").read_bytes()))
    return folder


def another_name(weights):
    """Renames one tensor, so that it is missing and there is an unknown one."""
    assert weights.count(b"geo_adapter.fc1.weight") == 1
    return weights.replace(b"geo_adapter.fc1.weight", b"geo_adapter.fc9.weight")


@pytest.mark.parametrize("change, complaints", [
    (another_name, ["geo_adapter.fc1.weight", "geo_adapter.fc9.weight"]),
    (lambda weights: weights[:len(weights) // 2], ["model.safetensors"]),
], ids=["missing and extra tensors", "truncated"])
def test_a_checkpoint_with_damaged_weights_is_refused(ros, policy, checkpoint, tmp_path, change, complaints):
    process = policy(checkpoint=str(damaged(checkpoint, tmp_path / "damaged", change)))
    assert not ros.lifecycle("policy_node", "configure")
    assert all(complaint in process.output() for complaint in complaints), process.output()
    assert ros.state("policy_node") == "unconfigured"


def test_the_lease_is_given_back_on_ctrl_c(ros, policy, world):
    world.start()
    process = policy(autostart=True)
    ros.wait_for(lambda: ros.state("policy_node") == "active", "the policy to start by itself")
    assert process.interrupt() == 0
    assert world.released == [LEASE]


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5, 1.0, 1.5])
def test_told_to_end_while_it_loads_it_ends_in_good_order(ros, policy, after_s):
    process = policy(autostart=True, checkpoint=str(ROOT / "checkpoints" / "small"))
    ros.wait_for_nodes("policy_node")
    time.sleep(after_s)
    assert process.interrupt() == 0, process.output()
