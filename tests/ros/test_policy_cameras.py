"""Tests of camera faults: invalid images, images of another robot, silence, and a frozen image."""

import array
import struct
import zlib

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from policy_fixtures import FACTS, HEIGHT, WIDTH, checkpoint, image, policy, robot_file, world  # noqa: F401
from sensor_msgs.msg import CompressedImage
from thinkvla.msg import ActionChunk, Heartbeat


def activate(ros):
    assert ros.lifecycle("policy_node", "configure")
    return ros.lifecycle("policy_node", "activate")


def with_(message, **fields):
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize("wrong, complaint", [
    (lambda: with_(image("top"), encoding="32FC1"), "32FC1"),
    (lambda: with_(image("top"), data=array.array("B", bytes(100))), f"expected at least {3 * WIDTH * HEIGHT}"),
    (lambda: with_(image("top"), step=WIDTH), f"expected at least {3 * WIDTH}"),
    (lambda: with_(image("top"), height=2**32 - 1), "cut short"),
    (lambda: with_(image("top"), width=0), "at least 1 pixel"),
])
def test_a_malformed_image_is_counted_said_once_and_stops_the_heart(ros, policy, world, wrong, complaint):
    world.start()
    process = policy(camera_age_limit=0.3)
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    beats = ros.collect(Heartbeat, "/heartbeat")
    assert activate(ros)
    ros.wait_for(lambda: beats, "the heartbeat")
    world.images["top"] = wrong()
    ros.wait_for(lambda: "camera top: expected an image every" in process.output(), "the heartbeat to stop")
    ros.wait_for(lambda: count(reports, "unusable_images") > 5, "unusable images in the diagnostics")
    sent = len(beats)
    assert process.output().count("camera top: image ignored") == 1
    assert complaint in process.output()
    world.images["top"] = image("top")
    ros.wait_for(lambda: len(beats) > sent, "the heartbeat to return")
    assert process.running()


def count(reports, name):
    values = [value.value for report in reports[-1:] for status in report.status if "camera top" in status.name
              for value in status.values if value.key == name]
    return int(values[0]) if values else 0


@pytest.mark.parametrize("field, change", [
    ("robot.cameras[1].width: expected 64, found 32", lambda w, _: w.images.update(wrist=image("wrist", width=32))),
    ("robot.cameras[0].frame: expected top_camera_optical_frame, found wrist_camera_optical_frame",
     lambda w, _: w.images.update(top=image("wrist"))),
    ("robot.base_frame: expected base_link, found world", lambda w, _: setattr(w.status.header, "frame_id", "world")),
    ("robot.tool_frame: expected tcp, found flange", lambda _, facts: facts.update(tool_frame="flange")),
    ("robot.arm: expected rm75, found rm65", lambda _, facts: facts.update(arm="rm65")),
])
def test_another_robot_is_refused_by_field(ros, policy, world, robot_file, field, change):
    facts = dict(FACTS)
    change(world, facts)
    robot_file.write_text(yaml.safe_dump(facts))
    world.start()
    process = policy()
    assert not activate(ros)
    assert f"contract mismatch in {field}" in process.output()
    assert not world.acquired


def test_another_camera_rate_is_refused(ros, policy, world, checkpoint, tmp_path):
    contract = yaml.safe_load((checkpoint / "contract.yaml").read_text())
    contract["robot"]["cameras"][1]["rate_hz"] = 500.0
    other = tmp_path / "other"
    other.mkdir()
    for file in checkpoint.iterdir():
        if file.name != "contract.yaml":
            (other / file.name).symlink_to(file)
    (other / "contract.yaml").write_text(yaml.safe_dump(contract))
    world.start()
    process = policy(checkpoint=str(other))
    assert not activate(ros)
    assert "contract mismatch in robot.cameras[1].rate_hz: expected 500 within 90 %" in process.output()


def test_a_missing_camera_keeps_the_policy_inactive(ros, policy, world):
    world.silent.add("wrist")
    world.start()
    process = policy(activation_timeout=1.0)
    assert not activate(ros)
    assert "in vain for usable images of camera wrist (none came)" in process.output()


def test_a_lost_camera_stops_the_heart_and_the_chunks(ros, policy, world):
    world.start()
    process = policy(camera_age_limit=0.3)
    chunks, beats = ros.collect(ActionChunk, "/chunk"), ros.collect(Heartbeat, "/heartbeat")
    assert activate(ros)
    ros.wait_for(lambda: chunks and beats, "a chunk and the heartbeat")
    world.silent.add("wrist")
    ros.wait_for(lambda: "camera wrist: expected an image every 0.30 s" in process.output(), "the reason")
    sent = len(beats), len(chunks)
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    ros.wait_for(lambda: worst(reports, "policy_node: policy") == DiagnosticStatus.ERROR, "an error in the diagnostics")
    assert (len(beats), len(chunks)) == sent
    world.silent.clear()
    ros.wait_for(lambda: len(beats) > sent[0] and len(chunks) > sent[1], "the policy to go on")


def test_a_camera_that_misses_its_own_rate_stops_the_heart_long_before_its_age(ros, policy, world):
    world.start()
    process = policy(camera_age_limit=5.0, camera_periods=4.0)
    beats = ros.collect(Heartbeat, "/heartbeat")
    assert activate(ros)
    ros.wait_for(lambda: len(beats) > 50, "a second of heartbeats")
    world.silent.add("wrist")
    ros.wait_for(lambda: "camera wrist: expected an image every" in process.output(), "the reason", deadline_s=4.0)
    sent = len(beats)
    world.silent.clear()
    ros.wait_for(lambda: len(beats) > sent, "the heartbeat to return")


def test_a_frozen_camera_stops_the_heart_only_while_the_arm_moves(ros, policy, world):
    world.start()
    process = policy(frozen_after=0.3)
    beats = ros.collect(Heartbeat, "/heartbeat")
    assert activate(ros)
    world.frozen.add("wrist")
    started = len(beats)
    ros.wait_for(lambda: len(beats) > started + 50, "a second of heartbeats with a still picture")
    assert "frozen" not in process.output()

    def move():
        world.status.measured_joints[0] += 0.02

    ros.node.create_timer(0.05, move)
    ros.wait_for(lambda: "camera wrist is frozen: " in process.output(), "the frozen camera to be seen")


def png():
    """A PNG of the right size in one colour."""
    def block(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + bytes([90, 120, 30]) * WIDTH) * HEIGHT)
    return (b"\x89PNG\r\n\x1a\n" + block(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
            + block(b"IDAT", rows) + block(b"IEND", b""))


def test_compressed_images_serve_as_well_and_damaged_ones_stop_the_heart(ros, policy, world):
    for camera in ("top", "wrist"):
        message = CompressedImage(format="rgb8; png compressed bgr8", data=array.array("B", png()))
        message.header.frame_id = f"{camera}_camera_optical_frame"
        world.images[camera] = message
        world.frozen.add(camera)
    world.start()
    process = policy(image_transport="compressed")
    chunks = ros.collect(ActionChunk, "/chunk")
    assert activate(ros)
    ros.wait_for(lambda: chunks, "a chunk from compressed images")
    world.images["top"].data = array.array("B", png()[:-40])
    ros.wait_for(lambda: "camera top: image ignored: compressed image: the Png data is damaged" in process.output(),
                 "the damaged image to be named")
    ros.wait_for(lambda: "the last images could not be decoded" in process.output(), "the heartbeat to stop")
    assert process.running()


def worst(reports, name):
    levels = [status.level for report in reports for status in report.status if status.name == name]
    return max(levels, default=None)
