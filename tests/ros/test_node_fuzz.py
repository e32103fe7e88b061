"""Random and malformed messages, parameters and requests to arm_node and policy_node, while every command to the driver is
checked against the limits by code of its own.

THINKVLA_FUZZ_S is the time (s), THINKVLA_SEED the seed of the choices; the timing is the machine's.
"""

import array
import json
import math
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from arm_fixtures import INWARD, READY, FakeDriver, Source, start_arm  # noqa: F401
from builtin_interfaces.msg import Time as Stamp
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from limit_checker import LimitChecker, Limits
from policy_fixtures import Cameras, checkpoint, image, policy, robot_file  # noqa: F401
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rm_ros_interfaces.msg import Jointerrorcode, Rmerr
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from thinkvla.action import MoveNamed
from thinkvla.msg import ActionChunk, ArmStatus
from thinkvla.srv import AcquireLease, Ask, LoadCheckpoint, ReleaseLease

SECONDS = float(os.environ.get("THINKVLA_FUZZ_S", "12"))
SEED = int(os.environ.get("THINKVLA_SEED", str(random.randrange(2**32))))
ODD_NUMBERS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, -1.0, 1e9, -1e300]
STILL = [0.0] * 7
# The tool is about where it is in `ready`, and joint 5 close to its limit, from which the inverse kinematics moves away.
NEAR_A_LIMIT = ([0.0, 0.5236, 0.0, 1.0472, 3.0, -1.5708, 3.1], [0.2, 0.5236, 0.0, 1.0472, -3.01, -1.3963, 3.0])
ARMED = (ArmStatus.HOLDING, ArmStatus.EXECUTING, ArmStatus.MOVING, ArmStatus.BRAKING)
# Requests that are not answered yet; more would only queue up.
PENDING = 30
# Commands that may leave before the checker is discovered.
MISSED = 100


def text(rng):
    return rng.choice(["", " ", "policy", "fuzz", "..", "/", "ä" * 50, "x" * 100_000, "{}", "%s", "\n", "\u202e"])


def stamp(rng):
    return Stamp(sec=rng.choice([-2**31, -1, 0, 1, 2**31 - 1, int(time.time())]), nanosec=rng.choice([0, 1, 10**9, 2**32 - 1]))


class FuzzedDriver(FakeDriver):
    """A driver of which a share of the states is preceded by a wrong one."""

    def __init__(self, ros, rng):
        self.rng, self.share = rng, 0.0
        super().__init__(ros)
        self.joint_errors = ros.node.create_publisher(Jointerrorcode, "rm_driver/udp_joint_error_code", 10)

    def publish(self):
        if self.rng.random() < self.share:
            self.states.publish(self.wrong_state())
        super().publish()

    def wrong_state(self):
        rng = self.rng
        names, joints = [f"joint{i}" for i in range(1, 8)], [float(q) for q in self.joints]
        match rng.randrange(8):
            case 0:
                names, joints = [], []
            case 1:
                joints = joints[:rng.randrange(7)]
            case 2:
                names[rng.randrange(7)] = text(rng)
            case 3:
                joints[rng.randrange(7)] = rng.choice(ODD_NUMBERS)
            case 4:
                rng.shuffle(names)
            case 5:
                names, joints = names * 100, joints * 100
            case 6:
                joints = [q + rng.uniform(-0.03, 0.03) for q in joints]
            case 7:
                joints = [rng.uniform(-3.0, 3.0) for _ in joints]
        state = JointState(name=names, position=joints)
        state.header.stamp = self.node.get_clock().now().to_msg() if rng.random() < 0.7 else stamp(rng)
        return state

    def report_errors(self):
        rng = self.rng
        codes = [rng.choice([0, 1, -1, 0x100D, 2**31 - 1, -2**31]) for _ in range(rng.randrange(5))]
        self.errors.publish(Rmerr(err_len=rng.randrange(256), err=codes))
        joints = [rng.choice([0, 0, 0, 1, 65535]) for _ in range(rng.choice([0, 6, 7, 8, 50_000]))]
        self.joint_errors.publish(Jointerrorcode(joint_error=joints))

    def clear(self):
        self.errors.publish(Rmerr(err_len=1, err=[0]))
        self.joint_errors.publish(Jointerrorcode(joint_error=[0] * 7))


class Fuzz:
    """The choices of a run. Each method whose name begins with `send_` sends something that may be wrong."""

    def __init__(self, ros, rng, driver, arm, cameras):
        self.ros, self.rng, self.driver, self.arm, self.cameras = ros, rng, driver, arm, cameras
        self.source = Source(ros, name="fuzz", priority=AcquireLease.Request.OPERATOR)
        self.mover = ros.action_client(MoveNamed, "/arm_node/move_named")
        self.pending, self.sent = [], Counter()
        self.actions = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("send_")]
        self.weights = [20 if action.__name__ in ("send_chunk", "send_heartbeat") else 4 for action in self.actions]

    def ask(self, kind, name, request):
        self.pending = [future for future in self.pending if not future.done()]
        if len(self.pending) < PENDING:
            self.pending.append(self.ros.client(kind, name).call_async(request))

    def lease(self):
        return self.source.lease if self.rng.random() < 0.7 else self.rng.randrange(2**64)

    def send_chunk(self):
        rng = self.rng
        dim, steps = rng.choice([7, 8]), rng.randint(1, 30)
        scale = rng.choice([0.0, 0.001, 0.004, 0.004, 0.02, 0.5, 1e6])
        fields = {"space": ActionChunk.SPACE_EE7 if dim == 7 else ActionChunk.SPACE_JOINT8, "dim": dim,
                  "values": [rng.uniform(-scale, scale) for _ in range(dim * steps)],
                  "composition": rng.choice([0, 1]), "reference": rng.choice([0, 1]),
                  "step_period": rng.choice([0.1, 0.1, 0.05, 0.02])}
        breaks = [
            lambda: fields["values"].insert(rng.randrange(dim * steps), rng.choice(ODD_NUMBERS)),
            lambda: fields.update(values=[rng.choice(ODD_NUMBERS)] + fields["values"][1:]),
            lambda: fields.update(values=fields["values"][:rng.randrange(dim * steps)]),
            lambda: fields.update(values=fields["values"] * rng.choice([2, 50])),
            lambda: fields.update(horizon=rng.choice([0, 1, 1001, 2**32 - 1])),
            lambda: fields.update(dim=rng.choice([0, 1, 9, 2**32 - 1])),
            lambda: fields.update(space=rng.randrange(256), composition=rng.randrange(256), reference=rng.randrange(256)),
            lambda: fields.update(step_period=rng.choice([*ODD_NUMBERS, rng.uniform(0.0, 6.0)])),
            lambda: fields.update(observation_stamp=stamp(rng)),
            lambda: fields.update(expires=stamp(rng)),
            lambda: fields.update(header=Header(frame_id=text(rng), stamp=stamp(rng))),
            lambda: fields.update(source=text(rng)),
            lambda: fields.update(lease=rng.randrange(2**64)),
            lambda: fields.update(plan_id=rng.choice([0, 1, 2**64 - 1])),
        ]
        if rng.random() < 0.5:
            for break_it in rng.sample(breaks, rng.randint(1, 3)):
                break_it()
        self.source.chunk(steps=steps, **fields)

    def send_heartbeat(self):
        rng = self.rng
        fields = {"source": text(rng), "lease": self.lease(), "sequence": rng.choice([0, 1, 2**64 - 1]),
                  "header": Header(stamp=stamp(rng))}
        self.source.beat(**{field: fields[field] for field in rng.sample(sorted(fields), rng.randint(1, 4))})

    def send_errors(self):
        self.driver.report_errors()

    def send_states(self):
        self.driver.share = self.rng.choice([0.0, 0.1, 0.5])

    def send_images(self):
        rng = self.rng
        wrong = image("top")
        match rng.randrange(5):
            case 0:
                wrong.encoding = text(rng)[:1000]
            case 1:
                wrong.data = array.array("B", bytes(rng.randrange(len(wrong.data))))
            case 2:
                wrong.step = rng.choice([0, 1, 2**32 - 1])
            case 3:
                wrong.height = rng.choice([0, 1, 2**32 - 1])
            case 4:
                wrong.header.frame_id = text(rng)
        self.cameras.images["top"] = rng.choice([wrong, image("top"), image("top")])

    def send_lease_request(self):
        request = AcquireLease.Request(source=text(self.rng), priority=self.rng.choice([0, 0, 1, 2, 255]))
        self.ask(AcquireLease, "/arm_node/acquire_lease", request)

    def send_release(self):
        self.ask(ReleaseLease, "/arm_node/release_lease", ReleaseLease.Request(lease=self.rng.randrange(2**64)))

    def send_arming(self):
        self.ask(SetBool, "/arm_node/set_armed", SetBool.Request(data=self.rng.random() < 0.8))

    def send_stop(self):
        name = self.rng.choice(["stop", "reset_fault", "reset_fault"])
        self.ask(Trigger, f"/arm_node/{name}", Trigger.Request())

    def send_parameters(self):
        rng = self.rng
        node, names = rng.choice([
            ("arm_node", ["command_rate_hz", "dry_run", "robot", "driver_node", "nobody"]),
            ("policy_node", ["replan_steps", "camera_age_limit", "camera_periods", "camera_slop", "checkpoint", "device"])])
        value = rng.choice([True, 0, -1, 2**62, 0.5, math.nan, math.inf, text(rng), [text(rng)], [1, 2], [0.5]])
        parameter = Parameter(rng.choice(names), value=value).to_parameter_msg()
        self.ask(SetParameters, f"/{node}/set_parameters", SetParameters.Request(parameters=[parameter]))

    def send_transition(self):
        # Not the transitions that end the node for good.
        number = self.rng.choice([0, Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP,
                                  Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE, 99, 255])
        self.ask(ChangeState, "/policy_node/change_state", ChangeState.Request(transition=Transition(id=number)))

    def send_question(self):
        self.ask(Ask, "/policy_node/ask", Ask.Request(question=text(self.rng)))

    def send_checkpoint(self):
        self.ask(LoadCheckpoint, "/policy_node/load_checkpoint", LoadCheckpoint.Request(path=text(self.rng)[:200]))

    def storm(self, seconds):
        """Sends for this long, faster than anybody should."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            action = self.rng.choices(self.actions, self.weights)[0]
            action()
            self.sent[action.__name__] += 1
            time.sleep(self.rng.choice([0.0, 0.001, 0.01, 0.05]))

    def recover(self):
        """Ends everything wrong, arms the arm and takes the lease: no input may leave a state without a way out."""
        self.driver.share = 0.0
        self.cameras.images = {camera: image(camera) for camera in self.cameras.images}

        def recovered():
            self.driver.clear()
            self.ros.call(ReleaseLease, "/arm_node/release_lease", ReleaseLease.Request(lease=self.source.lease))
            request = AcquireLease.Request(source=self.source.name, priority=AcquireLease.Request.OPERATOR)
            answer = self.ros.call(AcquireLease, "/arm_node/acquire_lease", request)
            if answer.granted:
                self.source.lease, self.source.plan_id = answer.lease, 0
            self.arm.trigger("reset_fault")
            armed = self.ros.call(SetBool, "/arm_node/set_armed", SetBool.Request(data=True)).success
            seen = len(self.arm.statuses)
            self.ros.wait_for(lambda: len(self.arm.statuses) > seen + 1, "a status")
            status = self.arm.statuses[-1]
            return (armed and answer.granted and status.mode == ArmStatus.HOLDING
                    and status.lease == self.source.lease)

        self.ros.wait_for(recovered, "an armed arm and the lease, once nothing is wrong any more")

    def place(self, joints):
        """Puts the arm elsewhere, as when it is moved by hand. It is disarmed before, and after as well, because an answer to an
        earlier request may have armed it meanwhile."""
        self.driver.share = 0.0

        def disarmed():
            self.ros.call(SetBool, "/arm_node/set_armed", SetBool.Request(data=False))
            seen = len(self.arm.statuses)
            self.ros.wait_for(lambda: len(self.arm.statuses) > seen + 1, "a status")
            return self.arm.mode() not in ARMED

        self.ros.wait_for(disarmed, "an arm that is not armed")
        self.driver.joints = list(joints)
        self.ros.wait_for(disarmed, "an arm that is not armed")

    def to_ready(self):
        """Moves the arm to the middle of its workspace; whether it arrives does not matter."""
        goal = MoveNamed.Goal(name="ready", speed=0.5, lease=self.source.lease)
        self.ros.wait_for(self.mover.server_is_ready, "the action of named moves")
        handle = self.ros.result(self.mover.send_goal_async(goal), "an answer to a named move")
        self.ros.result(handle.get_result_async(), "the end of a named move")

    def move(self, checker, step):
        """Follows a chunk that nothing is wrong with."""
        before = checker.limits.commands
        self.source.chunk(step=step)
        moving = lambda: checker.limits.commands > before + 10 or self.arm.mode() == ArmStatus.FAULT
        self.ros.wait_for(lambda: moving() or self.arm.mode() == ArmStatus.HOLDING and checker.limits.commands > before,
                          "commands of a sound chunk", deadline_s=10.0)


@pytest.mark.timeout(SECONDS + 600)
def test_whatever_arrives_no_command_breaks_a_limit_and_no_node_ends(ros, start_arm, policy):
    print(f"\nTHINKVLA_SEED={SEED}")
    rng = random.Random(SEED)
    driver = FuzzedDriver(ros, random.Random(SEED + 1))
    arm, checker, cameras = start_arm(), LimitChecker(ros), Cameras(ros).start()
    processes = [arm.process, policy()]
    assert ros.lifecycle("policy_node", "configure")
    fuzz = Fuzz(ros, rng, driver, arm, cameras)
    end, rounds = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        if rounds % 4 == 2:
            fuzz.place(rng.choice(NEAR_A_LIMIT))
        elif rounds % 4 == 3:
            fuzz.place(READY)
        fuzz.recover()
        # From anywhere else a way inwards may lead out of reach.
        step = STILL
        if rounds % 4 == 0:
            fuzz.to_ready()
            fuzz.recover()
            at_ready = max(abs(q - ready) for q, ready in zip(driver.joints, READY)) < 0.01
            step = INWARD if at_ready else STILL
        fuzz.move(checker, step)
        if rng.random() < 0.25:
            # The policy drives as long as the fuzz lets it.
            ros.call(ReleaseLease, "/arm_node/release_lease", ReleaseLease.Request(lease=fuzz.source.lease))
            fuzz.ask(ChangeState, "/policy_node/change_state",
                     ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE)))
        fuzz.storm(rng.uniform(0.5, 3.0))
        rounds += 1
        assert all(process.running() for process in processes), ros.nodes.output()
        assert not checker.limits.broken, json.dumps(checker.report(), indent=1)
    fuzz.recover()
    fuzz.move(checker, STILL)
    report = {"seed": SEED, "seconds": SECONDS, "rounds": rounds, "sent": dict(fuzz.sent), **checker.report()}
    checker.close()
    if folder := os.environ.get("THINKVLA_REPORT"):
        Path(folder, "node_fuzz.json").write_text(json.dumps(report, indent=1))
    print(f"measured: {sum(fuzz.sent.values())} random inputs in {rounds} rounds, {report['commands']} commands in "
          f"{report['motions']} motions, {sum(report['broken'].values())} outside a limit, {report['missed']} not checked")
    assert not report["broken"], json.dumps(report, indent=1)
    assert report["missed"] <= MISSED, "the checker heard too few commands"
    assert all(1 <= grip.position <= 1000 and not grip.block and grip.timeout == 0 for grip in driver.grips)
    assert arm.statuses[-1].nonfinite == 0
    # Each round and the end have a motion of their own, of which more than ten commands are awaited.
    assert rounds >= 2 and report["motions"] > rounds and report["commands"] > 10 * rounds, "the arm hardly moved"


def still(limits, seconds=0.1):
    """The arm in `ready`, as its states say, then commands to stay there."""
    limits.state(READY, 0.0)
    for tick in range(round(seconds / limits.period)):
        limits.command(list(READY), tick * limits.period)


@pytest.mark.parametrize("limit, change, after", [
    ("first command", lambda q: q, 1.0),
    ("one command a tick", lambda q: q, 0.002),
    ("velocity", lambda q: [q[0] + 0.03, *q[1:]], 0.01),
    ("acceleration", lambda q: [*q[:6], q[6] + 0.003], 0.01),
    ("step", lambda q: [*q[:6], q[6] + 0.2], 0.01),
    ("joint range", lambda q: [*q[:3], 2.4, *q[4:]], 0.01),
    ("table", lambda q: [q[0], 1.6, *q[2:]], 0.01),
    ("workspace", lambda q: [1.4, *q[1:]], 0.01),
    ("tool speed", lambda q: [q[0] + 0.03, *q[1:]], 0.01),
    ("finite", lambda q: [*q[:6], math.nan], 0.01),
])
def test_the_checker_finds_what_it_is_there_for(limit, change, after):
    limits = Limits()
    still(limits)
    assert not limits.broken and limits.starts == 1, limits.examples
    if limit == "first command":
        limits.state([q + 0.01 for q in READY], 0.9)
    limits.command(change(list(READY)), limits.last[0] + after)
    assert limit in limits.broken, limits.examples


@pytest.mark.parametrize("modes, chunks, found", [
    ((ArmStatus.STOPPED, ArmStatus.STOPPED), (1, 1), 4),
    ((ArmStatus.FAULT, ArmStatus.DISARMED), (1, 1), 4),
    ((ArmStatus.DISARMED, ArmStatus.FAULT), (1, 2), 0),
    ((ArmStatus.EXECUTING, ArmStatus.STOPPED), (1, 1), 0),
    ((ArmStatus.DISARMED, ArmStatus.MOVING), (1, 1), 0),
])
def test_the_checker_finds_commands_of_an_arm_that_may_not_move(modes, chunks, found):
    limits = Limits()
    still(limits)
    for mode, count, at in zip((*modes, ArmStatus.HOLDING), (*chunks, chunks[1]), (0.015, 0.055, 0.095)):
        limits.status(mode, count, at)
    assert limits.broken == ({"silence": found} if found else {}), limits.examples
