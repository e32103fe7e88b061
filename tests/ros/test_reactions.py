"""Measures how the arm is brought to rest when a camera falls silent or arm_node gets a signal, and how long it takes.

The tests assert that it happens and print the time (`pytest -s`), which also depends on the machine. THINKVLA_REPEATS
is the number of repetitions.
"""

import os
import shutil
import signal

import pytest
from arm_fixtures import FakeDriver, Source, start_arm  # noqa: F401
from conftest import STALLED
from policy_fixtures import Cameras, checkpoint, policy, robot_file  # noqa: F401
from rclpy.time import Time
from test_policy_switch import calm, change
from thinkvla.msg import ActionChunk, ArmStatus, GateEvent

CAMERA_HZ, AGE_LIMIT_S = 30.0, 3.0
REPEATS = int(os.environ.get("THINKVLA_REPEATS", "1"))


def stalled(arm):
    """Returns whether the machine stalled for so long that the arm node found state or heartbeat too old."""
    return arm.mode() == ArmStatus.FAULT and any(sign in arm.statuses[-1].reason for sign in STALLED)


def report(what, seconds, note=""):
    ordered = sorted(1e3 * one for one in seconds)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    print(f"\nmeasured: {what}: n {len(ordered)}, p50 {at(0.5):.1f} ms, p99 {at(0.99):.1f} ms, max {ordered[-1]:.1f} ms{note}")


def seconds(stamp):
    return Time.from_msg(stamp).nanoseconds * 1e-9


@pytest.mark.timeout(3600)
def test_a_camera_that_falls_silent_brings_the_arm_to_rest(ros, policy, checkpoint, start_arm, tmp_path):
    calmer = tmp_path / "calm"
    shutil.copytree(checkpoint, calmer)
    change(calmer, calm)
    driver, arm, cameras = FakeDriver(ros), start_arm(), Cameras(ros).start(CAMERA_HZ)
    # The limit in periods is the one that counts.
    policy(checkpoint=str(calmer), replan_steps=2, rate_tolerance=1.0, camera_slop=0.2, camera_age_limit=AGE_LIMIT_S,
           camera_periods=3.0, frozen_after=60.0)
    chunks = ros.collect(ActionChunk, "/chunk")
    assert ros.lifecycle("policy_node", "configure")
    arm.arm()

    def wait(condition, what):
        ros.wait_for(lambda: condition() or stalled(arm), what)
        return not stalled(arm)

    def lose_a_camera():
        """Returns the times from the last image to the hold and to the last command; None when the machine stalled."""
        if ros.state("policy_node") != "active":
            assert ros.lifecycle("policy_node", "activate")
        there = len(chunks)
        if not (wait(lambda: len(chunks) > there + 2, "chunks")
                and wait(lambda: arm.mode() == ArmStatus.EXECUTING, "the arm to follow them")):
            return None
        before = len(arm.events)
        cameras.silent.add("wrist")
        last = seconds(cameras.images["wrist"].header.stamp)

        def holds():
            return [event for event in arm.events[before:] if (event.kind, event.check) == (GateEvent.HELD, "fresh")]
        if not (wait(holds, "the hold") and wait(lambda: arm.mode() == ArmStatus.HOLDING, "the arm at rest")):
            return None
        assert "heartbeat" in holds()[0].message
        return seconds(holds()[0].header.stamp) - last, driver.commands[-1][0] - last

    taken, stalls = [], 0
    while len(taken) < REPEATS:
        times = lose_a_camera()
        cameras.silent.clear()
        if times:
            taken.append(times)
        else:
            stalls += 1
            assert stalls <= 2 + REPEATS, "the machine stands still too often to tell"
            assert arm.trigger("reset_fault").success
            arm.arm()
    assert min(hold for hold, _ in taken) < 0.5 * AGE_LIMIT_S, "the camera was lost by its age"
    note = f"; left out, for the machine stood still: {stalls}"
    report("last image of a camera → arm_node begins braking", [hold for hold, _ in taken], note)
    report("last image of a camera → last command", [rest for _, rest in taken], note)


@pytest.fixture(scope="module")
def stops():
    """Collects the times from each signal to the first stop, and prints them at the end."""
    times = {}
    yield times
    for name, seconds in times.items():
        report(f"{name} to arm_node, arm moving → first stop at the driver", seconds)


@pytest.mark.stalls
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_signal_to_a_moving_arm_node_sends_the_stop(ros, start_arm, stops, number, repeat):
    driver, arm = FakeDriver(ros), start_arm()
    arm.arm()
    source = Source(ros)
    assert source.granted, source.message
    source.chunk()
    ros.wait_for(lambda: len(driver.commands) > 20, "twenty commands")
    signalled = driver.now()
    arm.process.signal(number)
    ros.wait_for(lambda: len(driver.stops) >= 3, "three stops")
    stops.setdefault(number.name, []).append(driver.stops[0] - signalled)
    assert arm.process.wait() == 0, arm.process.output()
