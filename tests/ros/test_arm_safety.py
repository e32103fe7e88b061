"""The arm node against a stand-in for Realman's driver, over real ROS 2: what bad input and bad luck get."""

import math
import signal
import time

import pytest
from arm_fixtures import READY, FakeDriver, Source, start_arm  # noqa: F401
from rm_ros_interfaces.msg import Jointerrorcode, Jointpos
from std_msgs.msg import UInt16
from thinkvla.action import MoveNamed
from thinkvla.msg import ArmStatus, GateEvent
from thinkvla.srv import AcquireLease


def armed(ros, start_arm, api="v2"):
    driver, arm = FakeDriver(ros, api), start_arm()
    arm.arm()
    return driver, arm


def moving(ros, start_arm, api="v2"):
    driver, arm = armed(ros, start_arm, api)
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


def test_a_source_that_dies_leaves_a_held_arm(ros, start_arm):
    driver, arm, source = moving(ros, start_arm)
    source.die()
    arm.wait_mode(ArmStatus.HOLDING, "the arm to hold")
    assert "heartbeat" in arm.wait_event("fresh", GateEvent.HELD).message
    assert driver.stops == []


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


def test_two_command_publishers_are_refused(ros, start_arm):
    FakeDriver(ros)
    ros.node.create_publisher(Jointpos, "rm_driver/movej_canfd_cmd", 1)
    arm = start_arm()
    ros.wait_for(lambda: "found 2 publishers" in arm.refused_to_arm(), "the refusal")


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
    feedback = []
    goal = ros.send_goal(MoveNamed, "/arm_node/move_named", MoveNamed.Goal(name="home", speed=0.5), feedback)
    result = ros.result(goal.get_result_async(), "the end of the move").result
    assert result.success, result.message
    assert feedback and feedback[0].remaining > feedback[-1].remaining
    assert math.degrees(driver.joints[3]) == pytest.approx(90, abs=0.01)
    goal = ros.send_goal(MoveNamed, "/arm_node/move_named", MoveNamed.Goal(name="ready", speed=0.05))
    arm.wait_mode(ArmStatus.MOVING, "the move")
    ros.result(goal.cancel_goal_async(), "the cancellation")
    arm.wait_mode(ArmStatus.HOLDING, "rest")
    goal = ros.send_goal(MoveNamed, "/arm_node/move_named", MoveNamed.Goal(name="nowhere", speed=0.5))
    if goal.accepted:
        assert "home, ready" in ros.result(goal.get_result_async(), "the refusal").result.message


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
