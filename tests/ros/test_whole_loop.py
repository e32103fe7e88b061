"""Test of the whole loop on a small scale: episodes are recorded, a checkpoint is trained on them despite a crash and a
cancellation, and replaces the active one."""

import math

import pytest
from action_msgs.msg import GoalStatus
from arm_fixtures import start_arm  # noqa: F401
from std_srvs.srv import Trigger
from test_finetune import TEMPLATE, episodes, start, trainer  # noqa: F401
from thinkvla.msg import ActionChunk, EpisodeStatus
from thinkvla.srv import ListCheckpoints, LoadCheckpoint, ResetEpisode

STEPS = 50


def learn(ros, trainer):
    """Trains fifty steps, interrupted by SIGKILL of the node and by a cancelled goal; returns the result."""
    # A batch of this size makes a step long enough for a cancellation to come between two of them.
    trainer.template.write_text(TEMPLATE.replace("every_steps: 2,", "every_steps: 10,").replace("batch: 1", "batch: 32"))
    goal = {"steps": STEPS, "validation_share": 0.2}
    node = trainer.launch()
    trainer.send(**goal)
    trainer.wait_for_checkpoint()
    node.kill9()
    trainer.launch()
    ros.wait_for(lambda: trainer.steps()[-1] >= 20, "the run to go on by itself")
    joined = trainer.join(**goal)
    ros.result(joined.cancel_goal_async(), "the cancelling")
    cancelled = trainer.result(joined)
    assert cancelled.status == GoalStatus.STATUS_CANCELED and trainer.steps()[-1] < STEPS
    result = trainer.result(trainer.join(**goal)).result
    assert result.success and result.step == STEPS, result.message
    return result


@pytest.mark.stalls
def test_six_episodes_become_a_checkpoint_that_acts(ros, nodes, trainer, start, episodes, start_arm):
    result = learn(ros, trainer)

    nodes.start("sim_node", params={"camera_rate_hz": 5.0})
    nodes.start("policy_node", params={
        "checkpoint": str(start), "checkpoints": str(trainer.folder / "runs"), "threads": 1,
        "replan_steps": 2, "inference_limit": 30.0, "camera_age_limit": 5.0, "camera_periods": 0.0, "rate_tolerance": 1.0,
        "activation_timeout": 60.0, "camera_slop": 0.3, "chunk_expiry": 5.0})
    chunks = ros.collect(ActionChunk, "/chunk")
    statuses = ros.collect(EpisodeStatus, "/episode_status")
    assert ros.lifecycle("policy_node", "configure")
    start_arm().arm()
    assert ros.lifecycle("policy_node", "activate")
    assert ros.call(ResetEpisode, "/sim_node/reset_episode", ResetEpisode.Request(task="height", seed=1)).ok
    ros.wait_for(lambda: chunks, "a chunk of the checkpoint that was there")
    loaded = ros.call(LoadCheckpoint, "/policy_node/load_checkpoint",
                      LoadCheckpoint.Request(path=result.checkpoint, dataset=str(episodes)))
    assert loaded.ok, loaded.message
    assert math.isfinite(loaded.self_test) and loaded.self_test_constant > 0 and "self-test on 8 moments" in loaded.report
    before = chunks[-1].checkpoint_hash
    assert before != loaded.checkpoint_hash
    assert ros.call(Trigger, "/policy_node/switch").success
    for seed in (2, 3):
        reset = ros.call(ResetEpisode, "/sim_node/reset_episode", ResetEpisode.Request(task="height", seed=seed))
        assert reset.ok, reset.message
        there = len(chunks)
        ros.wait_for(lambda: statuses[-1].seed == seed and statuses[-1].episode_s > 2.0 and len(chunks) > there + 1,
                     "two seconds of an episode")
        assert {chunk.checkpoint_hash for chunk in chunks[there + 1:]} == {loaded.checkpoint_hash}
    listed = ros.call(ListCheckpoints, "/policy_node/list_checkpoints").checkpoints
    acting = [one for one in listed if one.running]
    assert [(one.step, one.path, list(one.datasets)) for one in acting] == [(STEPS, result.checkpoint, [str(episodes)])]
    assert ros.call(Trigger, "/policy_node/switch_back").success
    there = len(chunks)
    ros.wait_for(lambda: len(chunks) > there + 1, "chunks of the checkpoint from before")
    assert chunks[-1].checkpoint_hash == before
