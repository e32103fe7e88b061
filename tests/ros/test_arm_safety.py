"""Tests of the arm node with a stand-in for Realman's driver, over real ROS 2: invalid input and failures."""

import contextlib
import math
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import rclpy
from arm_fixtures import READY, Arm, FakeDriver, Source, start_arm  # noqa: F401
from builtin_interfaces.msg import Time as Stamp
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from rm_ros_interfaces.msg import Cartepos, Gripperset, Jointerrorcode, Jointpos, Rmerr
from sensor_msgs.msg import JointState
from std_msgs.msg import Empty, Header, UInt16
from thinkvla.action import MoveNamed
from thinkvla.msg import ActionChunk, ArmStatus, GateEvent, Heartbeat
from thinkvla.srv import AcquireLease, ReleaseLease


def armed(ros, start_arm, api="v2"):
    driver, arm = FakeDriver(ros, api), start_arm()
    arm.arm()
    return driver, arm


def moving(ros, start_arm, api="v2"):
    return in_motion(ros, FakeDriver(ros, api), start_arm())


def in_motion(ros, driver, arm):
    arm.arm()
    source = Source(ros)
    assert source.granted, source.message
    source.chunk()
    ros.wait_for(lambda: len(driver.commands) > 20, "twenty commands")
    return driver, arm, source


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_chunk_becomes_joint_commands_as_the_driver_needs_them(ros, start_arm, api):
    driver, arm, _ = moving(ros, start_arm, api)
    assert arm.statuses[-1].driver_api == api
    assert all(len(joint) == 7 and dof == 7 and not follow for _, joint, dof, follow in driver.commands)
    first = driver.commands[0][1]
    assert max(abs(a - b) for a, b in zip(first, READY)) < 1e-3
    arm.wait_mode(ArmStatus.HOLDING, "the chunk to run out")
    status = arm.statuses[-1]
    assert status.commanded_pose.position.x == pytest.approx(0.338 - 0.08, abs=1e-3)
    assert (status.nonfinite, status.chunks, status.underruns) == (0, 1, 1)
    assert status.header.frame_id == "base_link"


def test_a_source_that_dies_leaves_a_held_arm(ros, start_arm):
    driver, arm, source = moving(ros, start_arm)
    source.die()
    arm.wait_mode(ArmStatus.HOLDING, "the arm to hold")
    assert "heartbeat" in arm.wait_event("fresh", GateEvent.HELD).message
    assert driver.stops == []


@pytest.mark.stalls
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP])
def test_every_signal_that_ends_the_node_stops_the_arm(ros, start_arm, number):
    driver, arm, _ = moving(ros, start_arm)
    arm.process.signal(number)
    assert arm.process.wait() == 0, arm.process.output()
    ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")


@pytest.mark.stalls
def test_a_node_under_nohup_outlives_its_terminal(ros, start_arm):
    driver, arm = FakeDriver(ros), start_arm(process={"ignores": [signal.SIGHUP]})
    driver, arm, _ = in_motion(ros, driver, arm)
    arm.process.signal(signal.SIGHUP)
    arm.wait_mode(ArmStatus.HOLDING, "the chunk to run out as it would have")
    assert driver.stops == []
    assert arm.process.interrupt() == 0
    ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")


@pytest.mark.stalls
def test_a_panic_in_any_thread_stops_the_arm(ros, start_arm):
    driver, arm = FakeDriver(ros), start_arm("examples/arm_node_that_panics", {"stdin": subprocess.PIPE})
    driver, arm, _ = in_motion(ros, driver, arm)
    arm.process.popen.communicate(b"\n")
    assert "as the test wants it" in arm.process.output()
    ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")


@pytest.mark.stalls
def test_a_launch_that_is_killed_leaves_a_stopped_arm(ros, nodes):
    driver, launch = FakeDriver(ros), nodes.launch("policy.launch.py", "dry_run:=false")
    driver, arm, _ = in_motion(ros, driver, Arm(ros, launch))
    node = int(re.search(r"arm_node started with pid (\d+)", launch.output())[1])
    try:
        launch.kill9()
        ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")
        ros.wait_for(lambda: not Path(f"/proc/{node}").exists(), "the end of the node")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(node, signal.SIGKILL)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_ctrl_c_sends_the_stop_the_generation_understands(ros, start_arm, api):
    driver, arm, _ = moving(ros, start_arm, api)
    assert arm.process.interrupt() == 0
    ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")


def test_a_wish_to_end_that_comes_as_many_signals_stops_the_arm_all_the_same(ros, start_arm):
    driver, arm, _ = moving(ros, start_arm)
    while arm.process.running():
        arm.process.signal(signal.SIGINT)
        time.sleep(0.002)
    assert arm.process.wait() == 0, arm.process.output()
    ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")


def test_the_stop_service_is_latched_until_reset_and_armed_again(ros, start_arm):
    driver, arm, source = moving(ros, start_arm)
    assert arm.trigger("stop").success
    arm.wait_mode(ArmStatus.STOPPED, "the stop")
    ros.wait_for(lambda: len(driver.stops) == 3, "three stops")
    sent = len(driver.commands)
    source.chunk()
    assert "stopped" in arm.wait_event("mode").message
    assert "reset" in arm.refused_to_arm()
    assert len(driver.commands) == sent
    assert arm.trigger("reset_fault").success
    arm.arm()
    arm.wait_mode(ArmStatus.HOLDING, "the arm armed again")


def test_a_frozen_driver_with_fresh_stamps_is_a_fault(ros, start_arm):
    driver, arm, _ = moving(ros, start_arm)
    driver.frozen = True
    arm.wait_mode(ArmStatus.FAULT, "the fault")
    assert "identical" in arm.wait_event("state", GateEvent.FAULT).message


def test_a_driver_error_is_named_and_latched(ros, start_arm):
    driver, arm, _ = moving(ros, start_arm)
    driver.report(0x100D)
    arm.wait_mode(ArmStatus.FAULT, "the fault")
    assert "collision" in arm.statuses[-1].reason
    ros.wait_for(lambda: "collision" in arm.trigger("reset_fault").message, "the reset to be refused")
    driver.report(0)
    ros.wait_for(lambda: arm.trigger("reset_fault").success, "the fault to be reset once the error is gone")


def test_a_joint_error_is_named_and_latched(ros, start_arm):
    driver, arm, _ = moving(ros, start_arm)
    codes = ros.publisher(Jointerrorcode, "rm_driver/udp_joint_error_code", 10)
    codes.publish(Jointerrorcode(joint_error=[0, 0, 0x20, 0, 0, 0, 0], dof=7))
    arm.wait_mode(ArmStatus.FAULT, "the fault")
    assert "joint error 0x0020" in arm.statuses[-1].reason
    assert driver.stops


def test_a_driver_that_never_heard_from_its_arm_is_not_armed(ros, start_arm):
    FakeDriver(ros, joints=[0.0] * 7)
    arm = start_arm()
    ros.wait_for(lambda: "exactly zero" in arm.refused_to_arm(), "the refusal")


@pytest.mark.parametrize("message, topic, check", [
    (ActionChunk(), "/chunk", "chunk"),
    (Heartbeat(source="test"), "/heartbeat", "lease"),
    (JointState(), "/joint_states", "state"),
    (Rmerr(err_len=1, err=[0x100D]), "/rm_driver/udp_rm_err", "driver"),
], ids=["chunk", "heartbeat", "joint_states", "udp_rm_err"])
def test_what_is_sent_best_effort_is_not_heard_and_its_sender_is_named(ros, start_arm, message, topic, check):
    arm, sent = start_arm(), []
    unheard = ros.node.create_publisher(type(message), topic, qos_profile_sensor_data)
    ros.node.create_timer(0.02, lambda: sent.append(unheard.publish(message)))
    named = f"{topic}: /test publishes best effort, and nothing of it is heard"
    reports = ros.collect(DiagnosticArray, "/diagnostics")
    warnings = lambda: [status.message for report in reports for status in report.status
                        if (status.name, status.level) == ("arm_node: topics", DiagnosticStatus.WARN)]
    ros.wait_for(lambda: named in arm.process.output(), "the sender's name in the log")
    ros.wait_for(lambda: any(named in warning for warning in warnings()), "the sender's name in the diagnostics")
    until = len(sent) + 50
    ros.wait_for(lambda: len(sent) >= until, "messages that nobody hears")
    answers = lambda: [event for event in arm.events if event.check == check]
    assert not answers()
    # The same message is answered where it arrives.
    heard = ros.publisher(type(message), topic)
    ros.wait_for(lambda: heard.publish(message) or answers(), "the answer")


@pytest.mark.parametrize("kind, topic", [
    (Jointpos, "rm_driver/movej_canfd_cmd"),
    (Cartepos, "rm_driver/movep_canfd_cmd"),
    (Gripperset, "rm_driver/set_gripper_position_cmd"),
    (Empty, "rm_driver/move_stop_cmd"),
    (Empty, "rm_driver/set_arm_continue_cmd"),
    (UInt16, "rm_driver/set_tool_voltage_cmd"),
    (JointState, "joint_states"),
    (Rmerr, "rm_driver/udp_rm_err"),
])
def test_a_second_publisher_is_refused_by_name_and_ends_what_is_armed(ros, start_arm, kind, topic):
    _, arm = armed(ros, start_arm)
    second = ros.node.create_publisher(kind, topic, 1)
    arm.wait_mode(ArmStatus.FAULT, "a fault")
    assert topic in arm.statuses[-1].reason and "/test" in arm.statuses[-1].reason
    arm.trigger("reset_fault")
    refusal = arm.refused_to_arm()
    assert topic in refusal and "/test" in refusal
    ros.node.destroy_publisher(second)
    # Queries to the driver move nothing.
    ros.node.create_publisher(Empty, "rm_driver/get_current_arm_state_cmd", 1)
    arm.arm()


@pytest.mark.parametrize("kind, topic", [(Jointpos, "rm_driver/movej_canfd_cmd"), (JointState, "joint_states")])
def test_a_second_publisher_is_found_where_the_topic_is_remapped_to(ros, nodes, kind, topic):
    FakeDriver(ros)
    arm = Arm(ros, nodes.start("arm_node", params={"dry_run": False}, remaps={topic: "elsewhere"}))
    ros.node.create_subscription(kind, "elsewhere", lambda _: None, 1)
    ends = [ros.node.create_publisher(kind, "elsewhere", 1) for _ in range(2)]
    ros.wait_for(lambda: "found" in (answer := arm.refused_to_arm()) and topic in answer and "/test" in answer, "the refusal")
    for end in ends:
        ros.node.destroy_publisher(end)


def test_a_second_driver_that_listens_is_refused_by_name(ros, start_arm):
    FakeDriver(ros)
    other = rclpy.create_node("second_driver", context=ros.context)
    other.create_subscription(Jointpos, "rm_driver/movej_canfd_cmd", lambda _: None, 10)
    recorder = rclpy.create_node("recorder", context=ros.context)
    recorder.create_subscription(Jointpos, "rm_driver/movej_canfd_cmd", lambda _: None, 10)
    arm = start_arm()
    arm.arm()
    # A node that only subscribes is a recorder; one that also publishes a driver's reports would move its arm.
    other.create_publisher(UInt16, "rm_driver/udp_hand_status", 10)
    arm.wait_mode(ArmStatus.FAULT, "a fault")
    reason = arm.statuses[-1].reason
    assert "/second_driver" in reason and "/recorder" not in reason
    other.destroy_node()
    recorder.destroy_node()


def test_signs_of_two_driver_generations_are_refused(ros, start_arm):
    FakeDriver(ros, "v2")
    ros.node.create_publisher(UInt16, "rm_driver/udp_sys_err", 10)
    arm = start_arm()
    ros.wait_for(lambda: "both" in arm.refused_to_arm(), "the refusal")


@pytest.mark.parametrize("check, fields", [
    ("finite", {"values": [math.nan] + [0.0] * 139}),
    ("chunk", {"dim": 8}),
    ("chunk", {"step_period": -0.1}),
    ("lease", {"lease": 999}),
    ("fresh", {"observation_stamp": Stamp(sec=1)}),
    ("clock", {"observation_stamp": Stamp(sec=2**31 - 2), "expires": Stamp(sec=2**31 - 1)}),
    ("workspace", {"values": [0.5] + [0.0] * 139}),
])
def test_a_chunk_that_cannot_work_is_refused_by_an_event_and_the_arm_holds(ros, start_arm, check, fields):
    driver, arm = armed(ros, start_arm)
    source = Source(ros)
    source.chunk(**fields)
    event = arm.wait_event(check)
    assert "expected" in event.message and "found" in event.message
    assert driver.commands == []
    assert arm.mode() == ArmStatus.HOLDING


def test_an_operator_pre_empts_and_a_second_policy_does_not(ros, start_arm):
    _, arm, _ = moving(ros, start_arm)
    second = Source(ros, "second policy")
    assert not second.granted and "held by policy" in second.message
    operator = Source(ros, "teleop", AcquireLease.Request.OPERATOR)
    assert operator.granted
    ros.wait_for(lambda: arm.statuses[-1].lease_source == "teleop", "the operator in the status")


def test_a_named_move_arrives_with_feedback_and_can_be_cancelled(ros, start_arm):
    driver, arm = armed(ros, start_arm)
    feedback, source = [], Source(ros)
    goal = named_move(ros, source, "home", 0.5, feedback)
    result = ros.result(goal.get_result_async(), "the end of the move").result
    assert result.success, result.message
    assert feedback and feedback[0].remaining > feedback[-1].remaining
    assert math.degrees(driver.joints[3]) == pytest.approx(90, abs=0.01)
    goal = named_move(ros, source, "ready", 0.05)
    arm.wait_mode(ArmStatus.MOVING, "the move")
    ros.result(goal.cancel_goal_async(), "the cancellation")
    arm.wait_mode(ArmStatus.HOLDING, "rest")
    goal = named_move(ros, source, "nowhere", 0.5)
    if goal.accepted:
        assert "home, ready" in ros.result(goal.get_result_async(), "the refusal").result.message


def named_move(ros, source, name, speed, feedback=None):
    goal = MoveNamed.Goal(name=name, speed=speed, lease=source.lease)
    return ros.send_goal(MoveNamed, "/arm_node/move_named", goal, feedback)


def test_a_named_move_needs_the_lease_and_ends_with_its_holder(ros, start_arm):
    driver, arm = armed(ros, start_arm)
    source = Source(ros)
    stranger = ros.send_goal(MoveNamed, "/arm_node/move_named", MoveNamed.Goal(name="home", speed=0.05))
    if stranger.accepted:
        message = ros.result(stranger.get_result_async(), "the refusal").result.message
        assert "lease" in message and "policy" in message
    assert driver.commands == []
    goal = named_move(ros, source, "home", 0.05)
    arm.wait_mode(ArmStatus.MOVING, "the move")
    source.die()
    arm.wait_mode(ArmStatus.HOLDING, "rest")
    assert not ros.result(goal.get_result_async(), "the end of the move").result.success
    operator = Source(ros, "teleop", AcquireLease.Request.OPERATOR)
    goal = named_move(ros, operator, "home", 0.05)
    arm.wait_mode(ArmStatus.MOVING, "the move")
    ros.call(ReleaseLease, "/arm_node/release_lease", ReleaseLease.Request(lease=operator.lease))
    assert "lease" in ros.result(goal.get_result_async(), "the end of the move").result.message


@pytest.mark.parametrize("wrong", [{"source": "rosbag"}, {"sequence": 1}, {"stamp": 0}])
def test_a_heartbeat_that_somebody_else_repeats_keeps_nobody_alive(ros, start_arm, wrong):
    driver, arm, source = moving(ros, start_arm)
    source.die()
    fields = dict(wrong)
    if fields.pop("stamp", None) is not None:
        fields["header"] = Header()
    repeated = ros.node.create_timer(0.02, lambda: source.beat(**fields))
    arm.wait_mode(ArmStatus.HOLDING, "rest")
    ros.wait_for(lambda: arm.statuses[-1].lease == 0, "the lease to lapse")
    ros.node.destroy_timer(repeated)
    assert any("heartbeat" in event.message for event in arm.events)



def test_a_dry_run_sends_nothing(ros, start_arm):
    driver, arm = FakeDriver(ros), start_arm(dry_run=True)
    arm.arm()
    Source(ros).chunk()
    ros.wait_for(lambda: arm.statuses and arm.statuses[-1].commands > 50, "fifty commands computed")
    arm.trigger("stop")
    arm.wait_mode(ArmStatus.STOPPED, "the stop")
    assert driver.commands == [] and driver.stops == [] and driver.grips == []


@pytest.mark.parametrize("params, needle", [
    ({"command_rate_hz": 5.0}, "command_rate_hz"),
    ({"robot": "/no/such/file.yaml"}, "/no/such/file.yaml"),
])
def test_parameters_that_cannot_work_keep_the_node_from_starting(nodes, params, needle):
    process = nodes.start("arm_node", params=params)
    assert process.wait() == 2
    assert needle in process.output()


def test_a_robot_file_that_is_none_is_refused_at_once(nodes, tmp_path):
    os.mkfifo(tmp_path / "robot.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name, found in [("robot.yaml", "found a FIFO"), ("zero.yaml", "found a character device")]:
        process = nodes.start("arm_node", params={"robot": str(tmp_path / name)})
        assert process.wait() == 2
        assert found in process.output() and name in process.output()
