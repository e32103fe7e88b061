"""Topics of exported recordings are names that ROS 2 accepts, whatever columns and cameras are called; rclpy is the judge."""

import json
import struct
import subprocess

import pytest
from conftest import ROOT, binaries
from rclpy.exceptions import InvalidTopicNameException
from rclpy.serialization import serialize_message
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import Image, JointState

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, METADATA, DATA_END = 0x01, 0x02, 0x03, 0x04, 0x05, 0x0C, 0x0F
WIDTH, HEIGHT = 16, 12
BEGIN_S, ROWS, PERIOD_NS = 1000, 4, 100_000_000

JOINTS = [f"joint{number}" for number in range(1, 8)]
POSE = ["x", "y", "z", "rx_down", "ry_down", "rz_down"]
STATE = [*JOINTS, *POSE, "gripper", "x_error", "y_error", "z_error"]
# Topic of each column that records of an arm have, and its values.
ARM = {
    "observation.state": ("/state", STATE),
    "action": ("/command", ["x", "y", "z", "rx", "ry", "rz", "gripper"]),
    "action.joint": ("/command/joints", [*JOINTS, "gripper"]),
}
OTHERS = ["joint torques", "left-arm.wrench", "2nd arm", "Kräfte", "手", "_hidden", "a..b", "tool{x}", "~home", "instruction",
          "joint_states", "under__score", "a" * 300]
CAMERAS = ["top", "left wrist", "left-wrist", "left_wrist", "0", "caméra", "手首", "view.1"]


def text(words):
    raw = words.encode()
    return struct.pack("<I", len(raw)) + raw


def record(opcode, body):
    return struct.pack("<BQ", opcode, len(body)) + body


def mcap(topics):
    """A recording of these topics, each with its messages in the order of time."""
    out = [MAGIC, record(HEADER, text("ros2") + text("test"))]
    for number, (topic, messages) in enumerate(topics.items(), start=1):
        kind = f"sensor_msgs/msg/{type(messages[0]).__name__}"
        out.append(record(SCHEMA, struct.pack("<H", number) + text(kind) + text("ros2msg") + text("")))
        out.append(record(CHANNEL, struct.pack("<HH", number, number) + text(topic) + text("cdr") + text("")))
    for row in range(ROWS):
        time_ns = BEGIN_S * 1_000_000_000 + row * PERIOD_NS
        for number, messages in enumerate(topics.values(), start=1):
            stamp = messages[row].header.stamp
            stamp.sec, stamp.nanosec = divmod(time_ns, 1_000_000_000)
            head = struct.pack("<HIQQ", number, row, time_ns, time_ns)
            out.append(record(MESSAGE, head + serialize_message(messages[row])))
    out += [record(DATA_END, struct.pack("<I", 0)), record(FOOTER, struct.pack("<QQI", 0, 0, 0)), MAGIC]
    return b"".join(out)


def records(recording):
    """Opcode and body of each record that is not within a chunk; the summary repeats all channels."""
    assert recording.startswith(MAGIC) and recording.endswith(MAGIC)
    at = len(MAGIC)
    while at < len(recording) - len(MAGIC):
        opcode, length = struct.unpack_from("<BQ", recording, at)
        at += 9
        yield opcode, recording[at:at + length]
        at += length


def texts(body):
    """Texts one after another."""
    while body:
        length, = struct.unpack_from("<I", body)
        yield body[4:4 + length].decode()
        body = body[4 + length:]


def topics_of(recording):
    found = set()
    for opcode, body in records(recording):
        if opcode == CHANNEL:
            length, = struct.unpack_from("<I", body, 4)
            found.add(body[8:8 + length].decode())
    return found


def noted(recording):
    """Topics of each column, as the recording notes them."""
    for opcode, body in records(recording):
        length, = struct.unpack_from("<I", body)
        if opcode == METADATA and body[4:4 + length] == b"thinkvla.columns":
            pairs = list(texts(body[4 + length + 4:]))
            return {name: json.loads(note)["topics"] for name, note in zip(pairs[::2], pairs[1::2])}
    raise AssertionError("the recording does not note its columns")


def joints(names):
    return [JointState(name=list(names), position=[0.01 * (row + 1)] * len(names)) for row in range(ROWS)]


def images(shade):
    return [Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=3 * WIDTH, data=bytes([shade + row]) * (3 * WIDTH * HEIGHT))
            for row in range(ROWS)]


def thinkvla(*arguments):
    done = subprocess.run([binaries() / "thinkvla", "dataset", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def exported(tmp_path):
    """A recording exported from a dataset with columns and cameras of all these names."""
    recorded = {topic: joints(values) for topic, values in ARM.values()}
    recorded["/values"] = joints(["one", "two"])
    recorded |= {f"/camera{number}": images(20 * number) for number in range(len(CAMERAS))}
    (tmp_path / "recorded.mcap").write_bytes(mcap(recorded))
    named = []
    for column, (topic, _) in ARM.items():
        named += ["--vector", f"{column}={topic}"]
    for column in OTHERS:
        named += ["--vector", f"{column}=/values"]
    for number, camera in enumerate(CAMERAS):
        named += ["--camera", f"{camera}=/camera{number}"]
    thinkvla("import", tmp_path / "recorded.mcap", "--into", tmp_path / "set", "--contract", ROOT / "checkpoints" / "small",
             "--task", "lift the block", *named)
    thinkvla("export", tmp_path / "set", "--out", tmp_path / "bags")
    return (tmp_path / "bags" / "episode-000000.mcap").read_bytes()


def test_the_judge_refuses_what_columns_are_called():
    for name in ("/joint torques", "/left-arm/wrench", "/2nd_arm", "/Kräfte", "/a//b", "/camera/0/image/compressed"):
        with pytest.raises(InvalidTopicNameException):
            validate_full_topic_name(name)


def test_every_topic_of_an_exported_recording_is_a_name_that_rclpy_accepts(exported):
    columns, topics = noted(exported), topics_of(exported)
    assert set(columns) == {*ARM, *OTHERS, *(f"observation.images.{camera}" for camera in CAMERAS)}
    of_columns = [topic for of_column in columns.values() for topic in of_column]
    assert len(of_columns) == len(set(of_columns))
    assert topics == {*of_columns, "/instruction"}
    assert {"/joint_states", "/tool_pose", "/tracking_error", "/action", "/action/joint"} <= topics
    assert columns["observation.images.0"] == ["/camera/n0/image/compressed"]
    for topic in sorted(topics):
        assert validate_topic_name(topic) and validate_full_topic_name(topic), topic
