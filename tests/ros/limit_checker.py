"""Checks every joint command at the driver against the arm's file, rm75.yaml, with kinematics of its own: what arm_node computes
takes no part in it.

A command is compared with the one before. After a gap in the commands the arm is at rest, and the next command must be where
it was measured. Between two statuses of an arm that may not move no command may leave. Commands carry no stamp, so the times
are those at which the middleware published them.
"""

import math
from collections import Counter, deque

import rclpy
import yaml
from conftest import ROOT
from rclpy.qos import QoSProfile
from rm_ros_interfaces.msg import Jointpos
from sensor_msgs.msg import JointState
from thinkvla.msg import ArmStatus

ROBOT = next((ROOT / "config").rglob("rm75.yaml"))
# Base to shoulder, upper arm, forearm, wrist to flange (m), from Realman's manual.
SHOULDER_M, UPPER_ARM_M, FOREARM_M, FLANGE_M = 0.2405, 0.256, 0.21, 0.144
FIRST_COMMAND_RAD = 1e-3
# Positions are rounded to 32 bits: relative to the limits, and in metres.
ROUNDING, ROUNDING_M = 0.01, 2e-5
# Share of a period that two commands lie apart at least: a late tick may be followed by the next after half a period.
CLOSEST = 0.45
# Gaps between commands, in periods: below the first the motion goes on, above the second a new one begins. arm_node, which
# decides by the ticks of its loop, draws the line at 3.
GOES_ON, BEGINS = 2.5, 5.0
# Time for which a measured position counts as the arm's (s): states and commands arrive in any order.
RECENT_S = 0.3
KEPT = 200
# Modes in which no command may leave.
NO_COMMAND_MODES = (ArmStatus.DISARMED, ArmStatus.STOPPED, ArmStatus.FAULT)


def turn_y(angle, vector):
    x, y, z = vector
    return (math.cos(angle) * x + math.sin(angle) * z, y, math.cos(angle) * z - math.sin(angle) * x)


def turn_z(angle, vector):
    x, y, z = vector
    return (math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y, z)


def up(length, vector):
    return (vector[0], vector[1], vector[2] + length)


def points(joints, of_flange):
    """Elbow, wrist and flange, and points that are fixed to the flange, in the base frame (m)."""
    q1, q2, q3, q4, q5, q6, q7 = joints
    from_elbow = lambda p: up(SHOULDER_M, turn_z(q1, turn_y(q2, turn_z(q3, up(UPPER_ARM_M, p)))))
    from_wrist = lambda p: from_elbow(turn_y(q4, turn_z(q5, up(FOREARM_M, p))))
    from_flange = lambda p: from_wrist(turn_y(q6, turn_z(q7, up(FLANGE_M, p))))
    nowhere = (0.0, 0.0, 0.0)
    links = [from_elbow(nowhere), from_wrist(nowhere), from_flange(nowhere)]
    return links, [from_flange(tuple(point)) for point in of_flange]


class Limits:
    """The limits of an arm's file, and the commands that break them. It knows no ROS."""

    def __init__(self, file=ROBOT):
        arm = yaml.safe_load(file.read_text())
        self.period = 1.0 / arm["command_rate_hz"]
        self.limits, self.workspace, tool = arm["limits"], arm["workspace"], arm["tool"]
        self.of_flange = [tool["offset_m"], *tool["points_m"]]
        self.last, self.velocity = None, None
        self.measured = deque()
        self.statuses, self.unjudged = deque(maxlen=3), deque(maxlen=10_000)
        self.commands, self.starts = 0, 0
        self.broken, self.examples = Counter(), []

    def state(self, joints, at):
        """Records measured joints (rad) at a time (s)."""
        self.measured.append((at, joints))
        while at - self.measured[0][0] > RECENT_S:
            self.measured.popleft()

    def status(self, mode, chunks, at):
        """Checks the commands between the two statuses before this one: a command may arrive after a status that left later.

        Without a chunk that was accepted in between, the arm had nothing to follow, whether or not it was armed meanwhile.
        """
        self.statuses.append((at, mode, chunks))
        if len(self.statuses) < 3:
            return
        (begun, was, before), (ended, became, after), _ = self.statuses
        while self.unjudged and self.unjudged[0] <= ended:
            sent = self.unjudged.popleft()
            if sent > begun and was in NO_COMMAND_MODES and became in NO_COMMAND_MODES and before == after:
                self.note("silence", f"a command between mode {was} and mode {became}", sent)

    def command(self, joints, at):
        """Checks a command (rad), published at a time (s)."""
        self.commands += 1
        self.unjudged.append(at)
        if len(joints) != 7 or not all(map(math.isfinite, joints)):
            self.note("finite", f"{joints}", at)
            return
        broken = self.place(joints)
        gap = math.inf if self.last is None else at - self.last[0]
        if gap < CLOSEST * self.period:
            broken.append(("one command a tick", f"two commands within {1e3 * gap:.2f} ms"))
        going_on, beginning = self.step(joints), self.start(joints)
        if gap > BEGINS * self.period or (gap > GOES_ON * self.period and not beginning):
            broken += beginning
            self.starts += 1
            self.velocity = None
        else:
            broken += going_on
            last = self.last[1]
            self.velocity = [(q - before) / self.period for q, before in zip(joints, last)]
        self.last = (at, joints)
        for limit, found in broken:
            self.note(limit, found, at)

    def note(self, limit, found, at):
        self.broken[limit] += 1
        if len(self.examples) < KEPT:
            self.examples.append({"limit": limit, "found": found, "at": at, "command": self.commands})

    def start(self, joints):
        """Compares the first command of a motion with where the arm was just measured."""
        away = [max(abs(q - m) for q, m in zip(joints, measured)) for _, measured in self.measured]
        if away and min(away) > FIRST_COMMAND_RAD + 1e-5:
            return [("first command", f"{min(away):.5f} rad from the measured joints")]
        return [] if away else [("first command", "no joint state before it")]

    def step(self, joints):
        """Compares a command with the one before."""
        broken = []
        if self.last is None:
            return broken
        limits, slack = self.limits, 1.0 + ROUNDING
        for joint, (q, before) in enumerate(zip(joints, self.last[1])):
            way = q - before
            if abs(way) > slack * limits["step_rad"]:
                broken.append(("step", f"joint {joint + 1} by {way:.4f} rad"))
            velocity = way / self.period
            if abs(velocity) > slack * limits["velocity_rad_s"][joint]:
                broken.append(("velocity", f"joint {joint + 1} at {velocity:.3f} rad/s"))
            # The speed of the first command is unknown: it may have changed twice by what is allowed.
            change = velocity / 2 if self.velocity is None else velocity - self.velocity[joint]
            allowed = limits["acceleration_rad_s2"][joint]
            if abs(change) / self.period > slack * allowed + 0.05:
                broken.append(("acceleration", f"joint {joint + 1} at {change / self.period:.2f} rad/s^2"))
        (_, [now, *_]), (_, [then, *_]) = points(joints, self.of_flange), points(self.last[1], self.of_flange)
        speed = math.dist(now, then) / self.period
        if speed > slack * limits["tool_speed_m_s"]:
            broken.append(("tool speed", f"{speed:.4f} m/s"))
        return broken

    def place(self, joints):
        """Checks the position of a command by itself."""
        broken = []
        limits, space = self.limits, self.workspace
        for joint, q in enumerate(joints):
            lowest = limits["lower_rad"][joint] + limits["margin_rad"]
            highest = limits["upper_rad"][joint] - limits["margin_rad"]
            if not lowest - 1e-5 <= q <= highest + 1e-5:
                broken.append(("joint range", f"joint {joint + 1} at {q:.4f} rad"))
        links, of_flange = points(joints, self.of_flange)
        for axis, value in enumerate(of_flange[0]):
            if not space["tool_min_m"][axis] - ROUNDING_M <= value <= space["tool_max_m"][axis] + ROUNDING_M:
                broken.append(("workspace", f"tool at {of_flange[0]}"))
        for what, found, clearance in (("link", links, "link_clearance_m"), ("tool", of_flange, "tool_clearance_m")):
            lowest = min(z for _, _, z in found)
            if lowest < space["table_height_m"] + space[clearance] - ROUNDING_M:
                broken.append(("table", f"{what} {lowest:.5f} m above the base"))
        return broken


class LimitChecker:
    """Receives commands, joint states and statuses with a node of its own, which publishes nothing that a driver does."""

    def __init__(self, ros, file=ROBOT):
        self.ros, self.limits, self.sent = ros, Limits(file), 0
        self.node = rclpy.create_node("limit_checker", context=ros.context)
        self.node.create_subscription(Jointpos, "rm_driver/movej_canfd_cmd", self.command, QoSProfile(depth=1000))
        self.node.create_subscription(JointState, "joint_states", self.state, QoSProfile(depth=100))
        self.node.create_subscription(ArmStatus, "arm_status", self.status, QoSProfile(depth=100))
        ros.executor.add_node(self.node)

    def command(self, command, info):
        at = info["source_timestamp"] * 1e-9
        if command.dof != 7 or command.follow:
            self.limits.note("form", f"dof {command.dof}, follow {command.follow}", at)
        self.limits.command([float(q) for q in command.joint], at)

    def state(self, state, info):
        """Takes a state as arm_node does: seven finite joints by their names."""
        by_name = {}
        for name, position in zip(state.name, state.position):
            by_name.setdefault(name, position)
        joints = [by_name.get(f"joint{i}", math.nan) for i in range(1, 8)]
        if all(map(math.isfinite, joints)):
            self.limits.state(joints, info["source_timestamp"] * 1e-9)

    def status(self, status, info):
        self.sent = status.commands
        self.limits.status(status.mode, status.chunks, info["source_timestamp"] * 1e-9)

    def close(self):
        self.ros.executor.remove_node(self.node)
        self.node.destroy_node()

    def report(self):
        """What was checked and what was broken; `missed` counts commands that arm_node sent and that were not checked."""
        limits = self.limits
        return {"commands": limits.commands, "missed": max(0, self.sent - limits.commands), "motions": limits.starts,
                "broken": dict(limits.broken), "examples": limits.examples}
