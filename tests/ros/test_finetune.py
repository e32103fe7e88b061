"""Tests of finetune_node: a goal becomes a trained checkpoint, and survives cancelling and SIGKILL of training and
node."""

import json
import math
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from action_msgs.msg import GoalStatus
from conftest import binaries
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from thinkvla.action import FineTune
from thinkvla.msg import FineTuneStatus

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ACTION = "/finetune_node/fine_tune"
TEMPLATE = """
device: cpu
method: {geometry_weight: 0}
schedule: {warmup_steps: 5}
data: {batch: 1, workers: 1}
validation: {every_steps: 10, batches: 1}
checkpoints: {every_steps: 2, every_minutes: 0, keep: 2}
"""


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Creates the smallest checkpoint."""
    folder = tmp_path_factory.mktemp("finetune") / "start"
    made = subprocess.run([binaries() / "thinkvla", "init-checkpoint", "--size", "small", folder],
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def episodes(tmp_path_factory):
    """Records six episodes of the scripted expert, once for all tests."""
    folder = tmp_path_factory.mktemp("finetune") / "episodes"
    made = subprocess.run([binaries() / "thinkvla", "collect", "--task", "height", "--episodes", "6",
                           "--fps", "2", "--out", folder],
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder


class Trainer:
    """A fine-tuning node and a goal for it."""

    def __init__(self, ros, nodes, folder, start, episodes):
        self.ros, self.nodes, self.folder, self.start, self.episodes = ros, nodes, folder, start, episodes
        self.template = folder / "template.yaml"
        self.template.write_text(TEMPLATE)
        self.process = None

    def launch(self, **params):
        self.process = self.nodes.start("finetune_node", params={
            "runs": str(self.folder / "runs"), "template": str(self.template), "threads": 1, "grace": 20.0,
            "memory_reserve": 0.0, **params})
        return self.process

    def goal(self, **fields):
        return FineTune.Goal(**{"checkpoint": str(self.start), "datasets": [str(self.episodes)], "out": "mine",
                                "mode": FineTune.Goal.ADDED, "steps": 6, **fields})

    def send(self, feedback=None, **fields):
        return self.ros.send_goal(FineTune, ACTION, self.goal(**fields), feedback)

    def join(self, **fields):
        """Sends the goal of a run in progress, to a node that replaces one that was killed."""
        client = ActionClient(self.ros.node, FineTune, ACTION)
        return self.ros.repeat(lambda: client.send_goal_async(self.goal(**fields)), f"an answer of {ACTION}")

    def result(self, handle):
        return self.ros.result(handle.get_result_async(), "the end of training")

    @property
    def out(self):
        return self.folder / "runs" / "mine"

    def steps(self):
        return sorted(int(path.name[5:]) for path in self.out.glob("step-*"))

    def journal(self):
        return json.loads((self.out / "finetune.json").read_text())

    def wait_for_checkpoint(self):
        self.ros.wait_for(self.steps, "a checkpoint")


@pytest.fixture
def trainer(ros, nodes, tmp_path, start, episodes):
    return Trainer(ros, nodes, tmp_path, start, episodes)


def test_a_goal_becomes_a_checkpoint_that_may_be_run(ros, trainer):
    trainer.launch()
    policy = ros.node.create_publisher(DiagnosticArray, "/diagnostics", 10)
    part = DiagnosticStatus(name="policy_node: policy", values=[
        KeyValue(key="state", value="active"), KeyValue(key="latency_p95_ms", value="12.5")])
    timer = ros.node.create_timer(0.2, lambda: policy.publish(DiagnosticArray(status=[part])))
    feedback = []
    done = trainer.result(trainer.send(feedback, validation_share=0.2, steps=10))
    ros.node.destroy_timer(timer)
    result = done.result
    assert done.status == GoalStatus.STATUS_SUCCEEDED and result.success, result.message
    assert result.step == 10 and Path(result.contract).is_file() and Path(result.metrics).is_file()
    assert result.held_out > 0 and result.held_out_constant > 0 and math.isfinite(result.total_loss)
    seen = [message for message in feedback if message.step > 0]
    assert seen and seen[-1].steps == 10 and seen[-1].memory_mb > 10 and seen[-1].samples_per_second > 0
    assert any(message.policy_p95_ms == 12.5 for message in feedback)
    checked = subprocess.run([binaries() / "thinkvla", "check", result.checkpoint], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert trainer.journal()["standing"] == "succeeded"
    assert yaml.safe_load((trainer.out / "train.yaml").read_text())["selection"]["train"] == "added"
    assert (trainer.out / "training.png").is_file()


def test_cancelling_leaves_what_the_same_goal_goes_on_from(ros, trainer):
    trainer.launch()
    handle = trainer.send(steps=5000)
    trainer.wait_for_checkpoint()
    ros.result(handle.cancel_goal_async(), "the cancelling")
    done = trainer.result(handle)
    assert done.status == GoalStatus.STATUS_CANCELED
    saved = trainer.steps()[-1]
    assert done.result.checkpoint.endswith(f"step-{saved:08}") and "goes on from" in done.result.message
    assert trainer.journal()["standing"] == "cancelled"
    feedback = []
    handle = trainer.send(feedback, steps=5000)
    ros.wait_for(lambda: trainer.steps()[-1] > saved, "a later checkpoint")
    lines = [json.loads(line)["step"] for line in (trainer.out / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(1, len(lines) + 1)), "no step is taken twice"
    ros.result(handle.cancel_goal_async(), "the cancelling")
    trainer.result(handle)


def test_a_killed_node_goes_on_when_it_is_started_again(ros, trainer):
    process = trainer.launch()
    trainer.send(steps=12)
    trainer.wait_for_checkpoint()
    process.kill9()
    assert trainer.journal()["standing"] == "open"
    statuses = ros.collect(FineTuneStatus, "/finetune_node/status", LATCHED, publishers=0)
    trainer.launch()
    ros.wait_for(lambda: statuses and statuses[-1].state == "succeeded", "the goal's end, seen by a client that came late")
    assert statuses[-1].step == 12 and statuses[-1].checkpoint.endswith("step-00000012")
    lines = [json.loads(line)["step"] for line in (trainer.out / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(1, 13))


def test_training_that_dies_takes_nothing_with_it(ros, trainer):
    process = trainer.launch()
    handle = trainer.send(steps=5000)
    trainer.wait_for_checkpoint()
    os.kill(trainer.journal()["trainer"]["pid"], signal.SIGKILL)
    done = trainer.result(handle)
    assert done.status == GoalStatus.STATUS_ABORTED and "signal 9" in done.result.message
    assert "goes on from" in done.result.message and process.running()
    assert trainer.journal()["standing"] == "failed"


def test_one_goal_at_a_time_and_the_same_goal_joins(ros, trainer):
    trainer.launch()
    first = trainer.send(steps=5000)
    trainer.wait_for_checkpoint()
    other = trainer.result(trainer.send(out="other"))
    assert other.status == GoalStatus.STATUS_ABORTED and "expected no other goal" in other.result.message
    feedback = []
    joined = trainer.send(feedback, steps=5000)
    ros.wait_for(lambda: feedback and feedback[-1].step > 0, "feedback of the run in progress")
    ros.result(joined.cancel_goal_async(), "the cancelling")
    assert trainer.result(joined).status == GoalStatus.STATUS_CANCELED
    assert not trainer.result(first).result.success


def test_a_second_node_in_the_same_directory_is_refused(ros, trainer):
    first = trainer.launch()
    ros.wait_for((trainer.folder / "runs" / ".lock").exists, "the first node to be at work")
    second = trainer.launch()
    assert second.wait() == 2
    assert f"found process {first.popen.pid} (finetune_node)" in second.output()
    assert first.running()


def test_a_budget_in_minutes_is_kept(ros, trainer):
    trainer.launch()
    begun = time.monotonic()
    done = trainer.result(trainer.send(steps=0, minutes=0.3))
    assert done.result.success, done.result.message
    assert done.result.step >= 1 and trainer.journal()["steps"] >= done.result.step
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("params, fields, expected", [
    ({}, {"datasets": []}, "datasets: expected at least one folder"),
    ({}, {"minutes": 1.0}, "expected one of them above 0"),
    ({}, {"checkpoint": "/nowhere"}, "/nowhere"),
    ({"memory_limit": 100.0}, {}, "found 0.10 GB"),
])
def test_what_cannot_work_is_refused_with_the_figures(ros, trainer, params, fields, expected):
    trainer.launch(**params)
    done = trainer.result(trainer.send(**fields))
    assert done.status == GoalStatus.STATUS_ABORTED and expected in done.result.message, done.result.message
    assert not trainer.steps()


@pytest.mark.timeout(400)
def test_a_policy_drives_over_ros_while_its_successor_is_trained(nodes, start, episodes):
    out = nodes.folder / "rollout"
    running = nodes.start("thinkvla", arguments=[
        "rollout", "--checkpoint", start, "--task", "height", "--seeds", 2, "--policy-seconds", 3,
        "--fine-tune", episodes, "--out", out])
    assert running.wait(300) == 0, running.output()
    report = json.loads((out / "rollout.json").read_text())
    task = report["tasks"][0]
    assert report["tuned"]["steps"] > 0 and report["tuned"]["memory_mb"] > 10
    assert task["rate"]["trials"] == 2 and task["executing_s"] > 0 and task["command_rate_hz"] > 0
    assert [episode["driver"] for episode in task["episodes"]] == ["policy", "policy"]
    assert all(episode["chunks"] > 0 for episode in task["episodes"])
