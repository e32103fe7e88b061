"""Tests of record_node: it records cameras and arm as episodes of a dataset, and refuses invalid data."""

import json
import math
import os
import subprocess
import threading
import time

import pytest
from arm_fixtures import LATCHED
from conftest import ROOT, binaries
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from thinkvla.action import RecordEpisode
from thinkvla.msg import ArmStatus
from thinkvla.srv import SetInstruction

WIDTH, HEIGHT, RATE_HZ = 64, 48, 30.0
CAMERAS = ("top", "wrist")
STATISTICS = ", ".join(
    f"{{name: {name}, normalisation: min_max, min: -1, max: 1, mean: 0, std: 1, q01: -1, q99: 1}}"
    for name in ("x", "y", "z", "rx", "ry", "rz", "gripper"))
CONTRACT = f"""
robot:
  arm: rm75
  base_frame: base_link
  tool_frame: tcp
  gripper_stroke_m: 0.07
  cameras:
    - {{name: top, frame: top_optical, width: {WIDTH}, height: {HEIGHT}, rate_hz: 30}}
    - {{name: wrist, frame: wrist_optical, width: {WIDTH}, height: {HEIGHT}, rate_hz: 30}}
data:
  fps: 10
  resize: {{width: 224, height: 224, filter: bicubic}}
  action_space: ee7
  composition: sequential
  reference: commanded
  statistics: [{STATISTICS}]
"""


class Robot:
    """Two cameras and a moving arm; its attributes freeze or silence them."""

    def __init__(self, ros):
        self.node = ros.node
        self.images = {camera: self.node.create_publisher(Image, f"/{camera}/image_raw", 10) for camera in CAMERAS}
        self.status = self.node.create_publisher(ArmStatus, "/arm_status", LATCHED)
        self.frozen, self.silent, self.count = set(), set(), 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        begun = time.monotonic()
        while not self.stopped.wait(max(0.0, begun + self.count / RATE_HZ - time.monotonic())):
            self.count += 1
            stamp = self.node.get_clock().now().to_msg()
            for camera, publisher in self.images.items():
                if camera in self.silent:
                    continue
                shade = 7 if camera in self.frozen else self.count % 256
                image = Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=3 * WIDTH)
                image.header.stamp, image.data = stamp, bytes([shade]) * (3 * WIDTH * HEIGHT)
                publisher.publish(image)
            status = ArmStatus(mode=ArmStatus.EXECUTING, gripper=1.0)
            status.header.stamp = stamp
            at = self.count / RATE_HZ
            status.measured_joints = status.commanded_joints = [0.1 + 0.3 * math.sin(at)] * 7
            for pose in (status.measured_pose, status.commanded_pose):
                pose.position.x, pose.position.z, pose.orientation.w = 0.3 + 0.02 * at, 0.2, 1.0
            self.status.publish(status)


@pytest.fixture
def robot(ros):
    robot = Robot(ros)
    yield robot
    robot.stopped.set()
    robot.thread.join()


@pytest.fixture
def recorder(nodes, tmp_path):
    """Returns a function that starts record_node on a dataset of its own; another start continues it."""
    contract = tmp_path / "contract.yaml"
    contract.write_text(CONTRACT)

    def start(**params):
        return nodes.start("record_node", params={
            "dataset": str(tmp_path / "set"), "contract": str(contract), "images": "png", **params})

    start.root = tmp_path / "set"
    return start


def trigger(ros, verb):
    return ros.call(Trigger, f"/record_node/{verb}", Trigger.Request())


def info(recorder):
    return json.loads((recorder.root / "meta/info.json").read_text())


def start(ros):
    """Starts an episode, as soon as a recorder that has just started receives every stream."""
    def started():
        answer = trigger(ros, "start")
        assert answer.success or "found nothing of" in answer.message, answer.message
        return answer.success
    ros.wait_for(started, "an episode to begin")


def record(ros, robot, frames):
    """Starts an episode and waits until the robot has published this many images."""
    start(ros)
    until = robot.count + frames
    ros.wait_for(lambda: robot.count >= until, "pictures")


def instruct(ros, words):
    return ros.call(SetInstruction, "/record_node/set_instruction", SetInstruction.Request(instruction=words))


def test_an_episode_is_recorded_saved_and_counted(ros, robot, recorder):
    recorder()
    refused = trigger(ros, "start")
    assert not refused.success and "set_instruction" in refused.message
    assert instruct(ros, "lift the block").ok
    record(ros, robot, 90)
    saved = trigger(ros, "save")
    assert saved.success, saved.message
    assert info(recorder)["total_episodes"] == 1
    frames = info(recorder)["total_frames"]
    assert 20 <= frames <= 35
    notes = json.loads((recorder.root / "meta/thinkvla/episode-000000.json").read_text())
    assert set(notes["streams"]) == {"top", "wrist", "arm"}
    stats = json.loads((recorder.root / "meta/stats.json").read_text())
    # 2 cm/s at ten rows a second
    assert stats["action"]["mean"][0] == pytest.approx(0.002, rel=0.05)
    assert not trigger(ros, "save").success


def test_a_stopped_episode_grows_no_more(ros, robot, recorder):
    recorder()
    assert not trigger(ros, "stop").success
    instruct(ros, "lift the block")
    record(ros, robot, 45)
    stopped = trigger(ros, "stop")
    assert stopped.success, stopped.message
    until = robot.count + 30
    ros.wait_for(lambda: robot.count >= until, "pictures that nobody records")
    assert trigger(ros, "save").success
    assert stopped.message.startswith(f"{info(recorder)['total_frames']} frames")


def test_a_frozen_camera_is_no_data(ros, robot, recorder):
    recorder()
    instruct(ros, "lift the block")
    robot.frozen.add("wrist")
    record(ros, robot, 60)
    refused = trigger(ros, "save")
    assert not refused.success and "wrist" in refused.message and "frozen" in refused.message
    assert trigger(ros, "discard").success
    assert info(recorder)["total_episodes"] == 0


def test_a_silent_camera_is_no_data(ros, robot, recorder):
    recorder()
    instruct(ros, "lift the block")
    record(ros, robot, 30)
    robot.silent.add("top")
    until = robot.count + 45
    ros.wait_for(lambda: robot.count >= until, "pictures of the other camera")
    refused = trigger(ros, "save")
    assert not refused.success and refused.message.startswith("not saved: top: ")
    assert trigger(ros, "discard").success


def test_an_episode_does_not_begin_without_a_camera(ros, robot, recorder):
    robot.silent.add("wrist")
    recorder()
    instruct(ros, "lift the block")
    ros.wait_for(lambda: "found nothing of wrist;" in trigger(ros, "start").message, "the one camera that is silent")
    robot.silent.clear()
    start(ros)


def test_a_killed_recorder_loses_no_episode_and_the_open_one_waits(ros, robot, recorder):
    process = recorder()
    instruct(ros, "lift the block")
    record(ros, robot, 45)
    assert trigger(ros, "save").success
    record(ros, robot, 60)
    process.kill9()
    recorder()
    ros.ask(SetInstruction, "/record_node/set_instruction", SetInstruction.Request(instruction="lift the block"))
    saved = trigger(ros, "save")
    assert saved.success, saved.message
    assert info(recorder)["total_episodes"] == 2
    notes = [json.loads((recorder.root / f"meta/thinkvla/episode-00000{n}.json").read_text()) for n in range(2)]
    assert [note["checked"] for note in notes] == [True, False]


def test_a_dataset_has_one_writer_and_it_loses_nothing_to_a_second(ros, robot, recorder):
    first = recorder()
    instruct(ros, "lift the block")
    record(ros, robot, 45)
    holder = f"expected to be the only writer of {recorder.root}, found process {first.popen.pid} (record_node)"
    second = recorder()
    assert second.wait() == 2
    assert holder in second.output()
    repair = [binaries() / "thinkvla", "dataset", "repair", recorder.root, "--open", "discard"]
    repaired = subprocess.run(repair, capture_output=True, text=True)
    assert repaired.returncode != 0 and holder in repaired.stderr
    saved = trigger(ros, "save")
    assert saved.success, saved.message
    assert first.interrupt() == 0
    subprocess.run([binaries() / "thinkvla", "dataset", "verify", recorder.root], check=True)
    assert info(recorder)["total_episodes"] == 1


def test_a_dataset_of_another_program_is_left_as_it_is(ros, robot, recorder):
    first = recorder()
    instruct(ros, "lift the block")
    record(ros, robot, 45)
    assert trigger(ros, "save").success
    assert first.interrupt() == 0
    # without the files that only our own datasets have
    for own in ("contract.yaml", "meta/thinkvla/episode-000000.json", ".lock"):
        (recorder.root / own).unlink(missing_ok=True)

    def files():
        return {path: path.read_bytes() for path in recorder.root.rglob("*") if path.is_file()}

    before = files()
    second = recorder()
    assert second.wait() == 2
    assert "it is left as it is" in second.output()
    assert files() == before


@pytest.fixture
def other_readers(tmp_path):
    """Lets LeRobot, PyArrow, PyAV and a strict reader of JSON open a dataset; gives back what they say. As in
    tests/support/sample_dataset/lerobot.rs."""
    python = os.environ.get("THINKVLA_LEROBOT_PYTHON")
    if not python:
        assert "CI" not in os.environ, "LeRobot is missing: tools/setup/lerobot_env.sh provides it, or says what it needs"
        pytest.skip("without LeRobot nothing is known of what it makes of our datasets; "
                    "THINKVLA_LEROBOT_PYTHON=$(tools/setup/lerobot_env.sh) runs this")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def read(root):
        done = subprocess.run([python, ROOT / "tests/lerobot/readers.py", root], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return read


def test_other_readers_find_every_row_that_was_recorded(ros, robot, recorder, other_readers):
    killed = recorder(images="jpeg")
    instruct(ros, "lift the block")
    record(ros, robot, 45)
    assert trigger(ros, "save").success
    instruct(ros, "push the box")
    record(ros, robot, 45)
    killed.kill9()
    process = recorder(images="jpeg")
    ros.ask(SetInstruction, "/record_node/set_instruction", SetInstruction.Request(instruction="lift the block"))
    saved = trigger(ros, "save")
    assert saved.success, saved.message
    assert process.interrupt() == 0
    written = info(recorder)
    assert (written["total_episodes"], written["total_tasks"]) == (2, 2)
    assert other_readers(recorder.root) == f"2 {written['total_frames']} 0\n"


def test_an_action_records_for_as_long_as_it_is_told(ros, robot, recorder):
    recorder()
    instruct(ros, "wait for all streams")
    start(ros)
    assert trigger(ros, "discard").success
    goal = ros.send_goal(RecordEpisode, "/record_node/record_episode",
                         RecordEpisode.Goal(instruction="push the box", max_seconds=1.5))
    result = ros.result(goal.get_result_async(), "the end of the episode").result
    assert result.saved and 10 <= result.frames <= 20, result.message
    assert info(recorder)["total_tasks"] == 1


def test_an_action_whose_episode_somebody_else_saves_tells_how_many_frames_it_has(ros, robot, recorder):
    recorder()
    instruct(ros, "wait for all streams")
    start(ros)
    assert trigger(ros, "discard").success
    goal = ros.send_goal(RecordEpisode, "/record_node/record_episode", RecordEpisode.Goal(instruction="push the box"))
    until = robot.count + 40
    ros.wait_for(lambda: robot.count >= until, "pictures")
    assert trigger(ros, "save").success
    result = ros.result(goal.get_result_async(), "the end of the episode").result
    written = info(recorder)
    assert written["total_episodes"] == 1
    assert (result.saved, result.episode, result.frames) == (True, 0, written["total_frames"]), result.message


@pytest.mark.parametrize("params, expected", [
    ({"dataset": ""}, "parameter dataset: expected a folder"),
    ({"fps": 12.5}, "expected a whole number"),
    ({"fps": 0.0}, "parameter fps: expected 1 .. 200 Hz, found 0"),
])
def test_what_cannot_work_is_refused_at_start(recorder, params, expected):
    process = recorder(**params)
    assert process.wait() == 2
    assert expected in process.output()
