"""Tests of sim_node in place of Realman's driver: topics, types, quality of service, rates, units, and hazards."""

import math
import time

import pytest
from geometry_msgs.msg import Pose
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rm_ros_interfaces.msg import Cartepos, Gripperset, Jointpos, Movej, Rmerr
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Empty, UInt16
from thinkvla.srv import ResetEpisode

START = [math.radians(q) for q in (0, 30, 0, 60, 0, 90, 0)]
COMMANDS = {
    "/rm_driver/movej_canfd_cmd": "rm_ros_interfaces/msg/Jointpos",
    "/rm_driver/movep_canfd_cmd": "rm_ros_interfaces/msg/Cartepos",
    "/rm_driver/movej_cmd": "rm_ros_interfaces/msg/Movej",
    "/rm_driver/set_gripper_position_cmd": "rm_ros_interfaces/msg/Gripperset",
}
STOP = {"v1": Bool, "v2": Empty}
ERRORS = {"v1": {"udp_sys_err": UInt16, "udp_arm_err": UInt16}, "v2": {"udp_rm_err": Rmerr}}


def start(nodes, **params):
    return nodes.start("sim_node", params={"camera_rate_hz": 0.0, **params})


def joints(ros):
    states = ros.collect(JointState, "/joint_states")
    ros.wait_for(lambda: states, "a joint state")
    return states


def frame(joint, follow=False, dof=7):
    return Jointpos(joint=[float(q) for q in joint], follow=follow, dof=dof)


def moved(joint, by):
    return [q + (by if i == joint else 0.0) for i, q in enumerate(START)]


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_topics_and_types_are_those_of_the_generation(ros, nodes, api):
    start(nodes, driver_api=api)
    joints(ros)
    types = lambda: dict(ros.node.get_topic_names_and_types())
    for topic, kind in COMMANDS.items():
        assert types()[topic] == [kind]
    stop = {"v1": "std_msgs/msg/Bool", "v2": "std_msgs/msg/Empty"}[api]
    assert types()["/rm_driver/move_stop_cmd"] == [stop]
    assert types()["/rm_driver/udp_joint_error_code"] == ["rm_ros_interfaces/msg/Jointerrorcode"]
    assert types()["/rm_driver/udp_arm_position"] == ["geometry_msgs/msg/Pose"]
    for generation, topics in ERRORS.items():
        for topic in topics:
            assert (f"/rm_driver/{topic}" in types()) == (generation == api)


def test_commands_are_taken_reliably_a_thousand_deep_and_state_is_reliable(ros, nodes):
    start(nodes)
    joints(ros)
    for topic in [*COMMANDS, "/rm_driver/move_stop_cmd"]:
        (end,) = ros.node.get_subscriptions_info_by_topic(topic)
        assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    for topic in ("/joint_states", "/rm_driver/udp_arm_position", "/rm_driver/udp_rm_err"):
        (end,) = ros.node.get_publishers_info_by_topic(topic)
        assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert end.qos_profile.durability == DurabilityPolicy.VOLATILE
    ros.node.create_publisher(Jointpos, "/rm_driver/movej_canfd_cmd",
                              QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    ros.wait_for(lambda: ros.node.get_publishers_info_by_topic("/rm_driver/movej_canfd_cmd"), "our end in the graph")
    publisher = ros.node.create_publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    ros.wait_for(lambda: publisher.get_subscription_count() == 1, "a reliable publisher to match")


def test_state_has_positions_only_in_radians_with_stamps_of_now(ros, nodes):
    start(nodes)
    states = joints(ros)
    ros.wait_for(lambda: len(states) >= 400, "two seconds of states")
    first, last = states[0], states[-1]
    assert list(first.name) == [f"joint{i}" for i in range(1, 8)]
    assert not first.velocity and not first.effort
    assert first.position == pytest.approx(START, abs=2e-3)
    stamp = lambda state: state.header.stamp.sec + state.header.stamp.nanosec * 1e-9
    period = (stamp(last) - stamp(first)) / (len(states[:states.index(last)]) or 1)
    assert period == pytest.approx(0.005, rel=0.2)
    assert abs(time.time() - stamp(last)) < 5.0


def test_the_pose_is_that_of_the_tool_in_metres(ros, nodes):
    start(nodes)
    poses = ros.collect(Pose, "/rm_driver/udp_arm_position")
    ros.wait_for(lambda: poses, "a pose")
    position, q = poses[-1].position, poses[-1].orientation
    assert (position.x, position.y, position.z) == pytest.approx((0.338, 0.0, 0.1932), abs=3e-3)
    assert abs(q.y) == pytest.approx(1.0, abs=1e-3)


def test_low_follow_goes_to_a_far_target_and_stays_at_the_limit(ros, nodes):
    start(nodes)
    states = joints(ros)
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    publisher.publish(frame(moved(0, 10.0)))
    ros.wait_for(lambda: states[-1].position[0] > math.radians(177.5), "joint 1 at its limit")
    time.sleep(0.2)
    assert states[-1].position[0] < math.radians(178.5)


def test_high_follow_ignores_a_joint_beyond_ten_degrees(ros, nodes):
    start(nodes)
    states = joints(ros)
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    target = moved(0, math.radians(15))
    target[1] += math.radians(3)
    publisher.publish(frame(target, follow=True))
    ros.wait_for(lambda: states[-1].position[1] > START[1] + math.radians(2.5), "joint 2 to respond")
    assert abs(states[-1].position[0]) < 1e-3


def test_a_cartesian_frame_moves_the_tool(ros, nodes):
    start(nodes)
    poses = ros.collect(Pose, "/rm_driver/udp_arm_position")
    publisher = ros.publisher(Cartepos, "/rm_driver/movep_canfd_cmd", 1)
    target = Cartepos()
    target.pose.position.x, target.pose.position.y, target.pose.position.z = 0.33, 0.05, 0.2
    target.pose.orientation.y, target.pose.orientation.w = 1.0, 0.0
    publisher.publish(target)
    ros.wait_for(lambda: poses and abs(poses[-1].position.y - 0.05) < 2e-3, "the tool to be there")


def test_the_gripper_answers(ros, nodes):
    start(nodes)
    results = ros.collect(Bool, "/rm_driver/set_gripper_position_result")
    publisher = ros.publisher(Gripperset, "/rm_driver/set_gripper_position_cmd", 1)
    publisher.publish(Gripperset(position=500))
    ros.wait_for(lambda: len(results) == 1, "the result")
    publisher.publish(Gripperset(position=1001))
    ros.wait_for(lambda: len(results) == 2, "the second result")
    assert [r.data for r in results] == [True, False]


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_stop_ends_motion_but_is_no_latch(ros, nodes, api):
    start(nodes, driver_api=api)
    states = joints(ros)
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    stop = ros.publisher(STOP[api], "/rm_driver/move_stop_cmd", 1)
    results = ros.collect(Bool, "/rm_driver/move_stop_result")
    publisher.publish(frame(moved(0, 3.0)))
    ros.wait_for(lambda: states[-1].position[0] > 0.5, "motion")
    stop.publish(STOP[api]())
    ros.wait_for(lambda: results, "the result of the stop")
    assert results[0].data
    ros.wait_for(lambda: len(states) > 60 and states[-1].position[0] == states[-60].position[0], "rest")
    assert states[-1].position[0] < 2.5
    publisher.publish(frame(moved(0, 3.0)))
    ros.wait_for(lambda: states[-1].position[0] > 2.95, "motion after the stop")


def test_a_stop_of_the_other_generation_never_matches(ros, nodes):
    start(nodes, driver_api="v2")
    joints(ros)
    wrong = ros.node.create_publisher(Bool, "/rm_driver/move_stop_cmd", 1)
    ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    assert ros.node.get_subscriptions_info_by_topic("/rm_driver/move_stop_cmd")
    assert wrong.get_subscription_count() == 0


def test_a_blocking_move_holds_back_pass_through_frames_until_it_has_arrived(ros, nodes):
    start(nodes)
    states = joints(ros)
    moves = ros.publisher(Movej, "/rm_driver/movej_cmd", 1)
    frames = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 100)
    results = ros.collect(Bool, "/rm_driver/movej_result")
    moves.publish(Movej(joint=[float(q) for q in moved(0, 0.4)], speed=30, block=True, dof=7))
    ros.wait_for(lambda: states[-1].position[0] > 0.05, "the move to begin")
    frames.publish(frame(START))
    ros.wait_for(lambda: results, "the move's result")
    assert results[0].data
    assert max(state.position[0] for state in states) > 0.39
    ros.wait_for(lambda: states[-1].position[0] < 0.05, "the frame that waited to be executed")


def test_a_backlog_is_flushed_after_a_stop(ros, nodes):
    start(nodes, fault_backlog=True)
    states = joints(ros)
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 100)
    stop = ros.publisher(Empty, "/rm_driver/move_stop_cmd", 1)
    for _ in range(50):
        publisher.publish(frame(moved(0, 0.5)))
    count = len(states)
    ros.wait_for(lambda: len(states) > count + 100, "half a second of states")
    assert abs(states[-1].position[0]) < 1e-3
    stop.publish(Empty())
    ros.wait_for(lambda: states[-1].position[0] > 0.45, "the queued frames to move the arm")


def test_frozen_state_comes_with_fresh_stamps_and_old_values(ros, nodes):
    start(nodes)
    states = joints(ros)
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    assert ros.set_parameters("sim_node", fault_frozen_state=True)[0].successful
    publisher.publish(frame(moved(0, 1.0)))
    count = len(states)
    ros.wait_for(lambda: len(states) > count + 200, "a second of states")
    frozen = states[count + 20:]
    assert all(list(s.position) == list(frozen[0].position) for s in frozen)
    stamps = [(s.header.stamp.sec, s.header.stamp.nanosec) for s in frozen]
    assert stamps == sorted(set(stamps))
    ros.set_parameters("sim_node", fault_frozen_state=False)
    ros.wait_for(lambda: states[-1].position[0] > 0.95, "the true state")


def test_without_udp_state_is_all_zeros_from_the_start_and_after_a_reset(ros, nodes):
    start(nodes, fault_lost_udp=True)
    states = joints(ros)
    for seed in range(5):
        assert ros.call(ResetEpisode, "/sim_node/reset_episode", ResetEpisode.Request(seed=seed)).ok
        count = len(states)
        ros.wait_for(lambda: len(states) > count + 10, "states")
    assert all(q == 0.0 for s in states for q in s.position)


def test_an_error_is_reported_and_cleared_by_the_next_motion(ros, nodes):
    start(nodes)
    states = joints(ros)
    errors = ros.collect(Rmerr, "/rm_driver/udp_rm_err")
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    ros.wait_for(lambda: errors, "errors")
    assert (errors[-1].err_len, list(errors[-1].err)) == (1, [0])
    ros.set_parameters("sim_node", fault_error=0x1014)
    ros.wait_for(lambda: list(errors[-1].err) == [0x1014], "the error")
    publisher.publish(frame(moved(0, 0.2)))
    ros.wait_for(lambda: list(errors[-1].err) == [0], "the error to clear")
    ros.wait_for(lambda: states[-1].position[0] > 0.15, "motion")


def test_an_unreachable_pose_is_error_1003(ros, nodes):
    start(nodes, driver_api="v1")
    errors = ros.collect(UInt16, "/rm_driver/udp_sys_err")
    publisher = ros.publisher(Cartepos, "/rm_driver/movep_canfd_cmd", 1)
    target = Cartepos()
    target.pose.position.x, target.pose.orientation.w = 3.0, 1.0
    publisher.publish(target)
    ros.wait_for(lambda: errors and errors[-1].data == 0x1003, "error 0x1003")


def test_a_short_joint_message_moves_joints_to_nobody_knows_where(ros, nodes):
    start(nodes)
    states = joints(ros)
    publisher = ros.publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 1)
    publisher.publish(frame(START[:6], dof=6))
    ros.wait_for(lambda: abs(states[-1].position[6]) > 0.01, "joint 7 to move unasked")


def test_a_fault_parameter_out_of_range_is_refused(ros, nodes):
    start(nodes)
    joints(ros)
    result = ros.set_parameters("sim_node", fault_error=70000)[0]
    assert not result.successful and result.reason


@pytest.mark.parametrize("params, expected", [
    ({"driver_api": "v3"}, "one of v1, v2"),
    ({"variation": 3}, "0 .. 2"),
    ({"task": "stacking"}, "one of height, container, position"),
    ({"camera_rate_hz": -1.0}, "0 .. 60 Hz"),
    ({"config": "/nowhere/sim.yaml"}, "cannot read /nowhere/sim.yaml"),
])
def test_an_impossible_parameter_ends_the_node_with_a_word(nodes, params, expected):
    process = nodes.start("sim_node", params=params)
    assert process.wait() == 2
    assert expected in process.output()
