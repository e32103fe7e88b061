"""Tests of the geometry latents published as an image, and of other variants of the checkpoint over ROS."""

import pytest
import yaml
from policy_fixtures import checkpoint, make_checkpoint, policy, robot_file, world  # noqa: F401
from sensor_msgs.msg import Image
from thinkvla.msg import ActionChunk


@pytest.fixture
def make(tmp_path):
    """Returns a function that creates a small checkpoint of a variant, for small cameras."""
    return lambda *options: str(make_checkpoint(tmp_path / "variant", *options))


def activate(ros):
    assert ros.lifecycle("policy_node", "configure")
    assert ros.lifecycle("policy_node", "activate")


def test_the_latents_are_published_while_they_are_asked_for(ros, policy, world):
    world.start()
    policy()
    chunks, pictures = ros.collect(ActionChunk, "/chunk"), ros.collect(Image, "/policy_node/geometry")
    activate(ros)
    ros.wait_for(lambda: len(chunks) > 2, "chunks")
    assert not pictures
    assert ros.set_parameters("policy_node", publish_geometry=True)[0].successful
    ros.wait_for(lambda: len(pictures) > 1, "pictures of the latents")
    picture = pictures[0]
    # Two views of 128 x 128 px, patches of 16 px.
    assert (picture.encoding, picture.width, picture.height, picture.step) == ("rgb8", 16, 8, 48)
    pixels = bytes(picture.data)
    assert len(pixels) == 3 * 16 * 8
    for channel in range(3):
        assert (min(pixels[channel::3]), max(pixels[channel::3])) == (0, 255)
    observed = {(chunk.observation_stamp.sec, chunk.observation_stamp.nanosec) for chunk in chunks}
    assert (picture.header.stamp.sec, picture.header.stamp.nanosec) in observed


def test_a_checkpoint_without_geometry_says_so_once_and_acts(ros, policy, world, make):
    world.start()
    process = policy(checkpoint=make("--baseline"), publish_geometry=True)
    chunks = ros.collect(ActionChunk, "/chunk")
    activate(ros)
    ros.wait_for(lambda: len(chunks) > 2, "chunks")
    assert process.output().count("this checkpoint has no geometry adapter") == 1


def test_joint_actions_and_the_arm_s_own_state(ros, policy, world, make):
    world.status.measured_joints = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    world.start()
    process = policy(checkpoint=make("--action-space", "joint8", "--proprio"))
    chunks = ros.collect(ActionChunk, "/chunk")
    activate(ros)
    ros.wait_for(lambda: chunks, "a chunk")
    assert (chunks[0].space, chunks[0].dim) == (ActionChunk.SPACE_JOINT8, 8)
    assert len(chunks[0].values) == 8 * chunks[0].horizon
    world.timers[1].cancel()
    ros.wait_for(lambda: "the state the checkpoint reads is old" in process.output(), "the refusal of an old state")


def test_a_state_that_the_arm_does_not_give_is_refused_by_name(ros, policy, make, world):
    folder = make("--proprio")
    contract = yaml.safe_load(open(f"{folder}/contract.yaml"))
    contract["data"]["state"][3]["name"] = "roll"
    with open(f"{folder}/contract.yaml", "w") as file:
        yaml.safe_dump(contract, file)
    process = policy(checkpoint=folder)
    assert not ros.lifecycle("policy_node", "configure")
    assert "contract.yaml, data.state: expected joint1 .. joint7 [rad]" in process.output()
    assert "found roll" in process.output()
