"""Tests of sim_node's episodes: reset, instruction, status, and the expert as an ordinary source of chunks."""

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import SetBool
from thinkvla.msg import ActionChunk, ArmStatus, EpisodeStatus, Heartbeat
from thinkvla.srv import AcquireLease, ReleaseLease, ResetEpisode

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def start(nodes, **params):
    return nodes.start("sim_node", params={"camera_rate_hz": 0.0, **params})


def reset(ros, **request):
    return ros.call(ResetEpisode, "/sim_node/reset_episode", ResetEpisode.Request(**request))


def test_a_reset_answers_with_the_instruction_and_publishes_it_latched(ros, nodes):
    start(nodes)
    answer = reset(ros, task="position", variation=2, seed=5)
    assert answer.ok and "right mark" in answer.instruction
    statuses = ros.collect(EpisodeStatus, "/episode_status")
    ros.wait_for(lambda: statuses and statuses[-1].task == "position", "the new task")
    status = statuses[-1]
    assert (status.variation, status.seed, status.instruction) == (2, 5, answer.instruction)
    assert not (status.success or status.expert_active or status.expert_done)
    assert "inside: no" in status.detail
    late = ros.collect(String, "/instruction", LATCHED)
    ros.wait_for(lambda: late and late[-1].data == answer.instruction, "the instruction for a late joiner")


def test_an_empty_task_keeps_the_present_one(ros, nodes):
    start(nodes, task="container")
    assert "transparent box" in reset(ros, variation=1, seed=3).instruction


@pytest.mark.parametrize("request_, expected", [
    ({"task": "stacking"}, "expected height, container or position"),
    ({"task": "height", "variation": 7}, "expected 0, 1 or 2, found 7"),
])
def test_an_impossible_reset_is_refused_and_the_episode_goes_on(ros, nodes, request_, expected):
    start(nodes)
    answer = reset(ros, **request_)
    assert not answer.ok and expected in answer.message
    statuses = ros.collect(EpisodeStatus, "/episode_status")
    ros.wait_for(lambda: len(statuses) > 3, "statuses")
    assert statuses[-1].task == "height" and statuses[-1].variation == 0


def test_status_comes_ten_times_a_second_of_simulated_time(ros, nodes):
    start(nodes)
    statuses = ros.collect(EpisodeStatus, "/episode_status")
    ros.wait_for(lambda: len(statuses) >= 12, "statuses")
    steps = [b.episode_s - a.episode_s for a, b in zip(statuses[2:], statuses[3:])]
    assert sum(steps) / len(steps) == pytest.approx(0.1, rel=0.02)


class ArmNode:
    """The parts of arm_node that the expert uses: the lease and the status."""

    def __init__(self, ros):
        self.ros, self.released, self.asked, self.next_lease = ros, [], 0, 7
        node = ros.node
        node.create_service(AcquireLease, "/arm_node/acquire_lease", self.acquire)
        node.create_service(ReleaseLease, "/arm_node/release_lease", self.release)
        self.publisher = node.create_publisher(ArmStatus, "/arm_status", 10)
        self.status = ArmStatus(mode=ArmStatus.DISARMED)
        self.status.commanded_pose.position.x, self.status.commanded_pose.position.z = 0.338, 0.1932
        self.status.commanded_pose.orientation.y, self.status.commanded_pose.orientation.w = 1.0, 0.0
        node.create_timer(0.05, self.tick)

    def acquire(self, request, response):
        assert (request.source, request.priority) == ("expert", AcquireLease.Request.POLICY)
        self.asked += 1
        response.granted = self.status.lease == 0
        if response.granted:
            self.status.lease, self.status.lease_source = self.next_lease, request.source
            response.lease, self.next_lease = self.next_lease, self.next_lease + 1
        else:
            response.message = f"the lease is held by {self.status.lease_source}"
        return response

    def give(self, lease, holder):
        """Gives the lease to somebody, or to nobody, as when its holder was silent."""
        self.status.lease, self.status.lease_source = lease, holder

    def release(self, request, response):
        self.released.append(request.lease)
        response.released = True
        return response

    def tick(self):
        self.status.header.stamp = self.ros.node.get_clock().now().to_msg()
        self.publisher.publish(self.status)


def test_the_expert_waits_for_an_armed_arm_then_beats_and_sends_chunks(ros, nodes):
    arm = ArmNode(ros)
    start(nodes)
    chunks = ros.collect(ActionChunk, "/chunk")
    beats = ros.collect(Heartbeat, "/heartbeat", publishers=1)
    assert reset(ros, task="height", seed=1, expert=True).ok
    statuses = ros.collect(EpisodeStatus, "/episode_status")
    ros.wait_for(lambda: statuses and statuses[-1].expert_active, "the expert to be active")
    assert not chunks and not beats
    arm.status.mode = ArmStatus.HOLDING
    ros.wait_for(lambda: len(chunks) >= 3 and len(beats) >= 20, "chunks and heartbeats")
    chunk = chunks[0]
    assert (chunk.source, chunk.lease, chunk.header.frame_id) == ("expert", 7, "base_link")
    assert (chunk.space, chunk.composition, chunk.reference) == (
        ActionChunk.SPACE_EE7, ActionChunk.COMPOSITION_SEQUENTIAL, ActionChunk.REFERENCE_COMMANDED)
    assert (chunk.dim, len(chunk.values)) == (7, chunk.horizon * 7) and chunk.step_period == pytest.approx(0.1)
    assert [c.plan_id for c in chunks] == list(range(1, len(chunks) + 1))
    assert all(0.0 <= c.values[6] <= 1.0 for c in chunks)
    assert (beats[0].source, beats[0].lease) == ("expert", 7)
    # A reset without the expert makes it release the lease and send no more chunks.
    assert reset(ros, task="height", seed=1).ok
    ros.wait_for(lambda: arm.released == [7], "the lease to be given back")
    count = len(chunks)
    ros.wait_for(lambda: len(statuses) > 5 and not statuses[-1].expert_active, "the expert to be idle")
    assert len(chunks) <= count + 1


def test_the_expert_asks_again_for_a_lease_that_lapsed_and_takes_it_from_nobody(ros, nodes):
    arm = ArmNode(ros)
    arm.status.mode = ArmStatus.HOLDING
    start(nodes)
    chunks = ros.collect(ActionChunk, "/chunk")
    assert reset(ros, task="height", seed=1, expert=True).ok
    ros.wait_for(lambda: chunks and chunks[-1].lease == 7, "chunks")
    arm.give(0, "")
    ros.wait_for(lambda: chunks[-1].lease == 8, "chunks under another lease")
    arm.give(99, "teleop")
    asked = arm.asked
    ros.wait_for(lambda: arm.asked >= asked + 2, "requests that are refused")
    assert arm.status.lease == 99 and chunks[-1].lease == 8
    arm.give(0, "")
    ros.wait_for(lambda: chunks[-1].lease == 9, "chunks once the lease is free")


@pytest.mark.parametrize("task, variation, seed, api", [("height", 2, 4, "v1"), ("container", 1, 9, "v2"), ("position", 0, 2, "v2")])
def test_the_expert_does_the_task_through_arm_node(ros, nodes, task, variation, seed, api):
    start(nodes, driver_api=api)
    nodes.start("arm_node", params={"dry_run": False})
    statuses = ros.collect(ArmStatus, "/arm_status")
    ros.wait_for(lambda: statuses and statuses[-1].driver_api == api, "arm_node to know the driver")
    assert reset(ros, task=task, variation=variation, seed=seed, expert=True).ok
    ros.wait_for(lambda: ros.call(SetBool, "/arm_node/set_armed", SetBool.Request(data=True)).success, "the arm to be armed")
    episodes = ros.collect(EpisodeStatus, "/episode_status")
    ros.wait_for(lambda: episodes and (episodes[-1].success or episodes[-1].episode_s > 30.0), "the end of the episode")
    last, arm = episodes[-1], statuses[-1]
    assert last.success, f"{last.detail}; arm {arm.mode} {arm.reason}; clamps {arm.clamps}, refusals {arm.refusals}"
    ros.wait_for(lambda: episodes[-1].expert_done, "the expert to be done")
    assert arm.nonfinite == 0
    ros.wait_for(lambda: statuses[-1].lease == 0, "the lease to be given back")
