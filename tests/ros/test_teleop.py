"""Tests of teleop_node: the input device moves the arm, its release brings the arm to rest, and nothing jumps."""

import math
import os
import pty
import signal
import termios
import threading

import pytest
from arm_fixtures import LATCHED, READY, Source
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile
from rm_ros_interfaces.msg import Jointpos
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from teleop_fixtures import FORWARD_AXIS, Stick, robot, teleop  # noqa: F401
from test_record import info, recorder  # noqa: F401
from test_record import robot as recorded  # noqa: F401
from thinkvla.action import MoveNamed
from thinkvla.msg import ArmStatus
from thinkvla.srv import AcquireLease, ReleaseLease

pytestmark = pytest.mark.stalls

# Buttons of config/teleop/gamepad.yaml.
HAND_BACK, SAVE, START = 1, 6, 7
# Half of 0.2 m/s for half a second, which is far more than braking takes on a slow machine.
BRAKED_M = 0.05
DRIVER_QUEUE = QoSProfile(depth=1000)


def away(a, b):
    return math.dist(a, b)


def test_a_held_stick_moves_the_tool_and_a_released_one_leaves_it_at_rest(ros, robot, teleop):
    teleop("gamepad")
    stick = Stick(ros)
    robot.arm()
    start = robot.tool()
    stick.joy.axes[FORWARD_AXIS] = 1.0
    stick.settle()
    assert robot.stays_silent(), "moved without the deadman"
    stick.hold(forward=1.0)
    ros.wait_for(lambda: robot.tool()[0] > start[0] + 0.03, "the tool to move forward")
    assert abs(robot.tool()[1] - start[1]) < 0.005 and abs(robot.tool()[2] - start[2]) < 0.005
    assert robot.now().lease_source == "teleop"
    let_go = robot.tool()
    stick.release()
    robot.wait_rest()
    assert away(robot.tool(), let_go) < BRAKED_M
    assert robot.stays_silent()
    assert away(robot.tool(), robot.measured()) < 0.01


def test_a_stick_that_falls_silent_counts_as_let_go_until_it_was(ros, robot, teleop):
    process = teleop("gamepad")
    stick = Stick(ros)
    robot.arm()
    stick.hold(forward=1.0)
    robot.wait_following()
    stick.die()
    robot.wait_rest()
    assert robot.stays_silent()
    ros.wait_for(lambda: "joystick: expected a message every 0.3 s" in process.output(), "the reason")
    stick.timer = ros.node.create_timer(0.02, stick.send)
    stick.settle()
    assert robot.stays_silent(), "moved without a new press"
    stick.release()
    stick.hold(forward=1.0)
    robot.wait_following()


def test_a_clutch_goes_on_from_where_the_arm_is_however_far_arm_and_hand_were_moved(ros, robot, teleop):
    teleop("vr", after_release="hand_back")
    hand = PoseStamped()
    hand.header.frame_id, hand.pose.orientation.w = "vr", 1.0
    clutch = Stick(ros, deadman=0, beside=hand, topic="/vr/hand")
    robot.arm()
    start = robot.tool()
    clutch.hold()
    robot.wait_following()
    # In two steps, because a leap counts as a pose lost by the tracker.
    for _ in range(2):
        hand.pose.position.y += 0.02
        clutch.settle()
    ros.wait_for(lambda: robot.tool()[1] > start[1] + 0.038, "the tool to follow the hand")
    assert robot.tool()[1] < start[1] + 0.045
    clutch.release()
    robot.wait_rest()
    # Meanwhile another source moves the arm, and the tracked pose changes.
    robot.wait_holder("")
    mover = Source(ros, "mover")
    goal = MoveNamed.Goal(name="home", speed=0.5, lease=mover.lease)
    assert ros.result(ros.send_goal(MoveNamed, "/arm_node/move_named", goal).get_result_async(), "the move").result.success
    ros.call(ReleaseLease, "/arm_node/release_lease", ReleaseLease.Request(lease=mover.lease))
    mover.die()
    hand.pose.position.x = 3.0
    clutch.settle()
    rest, commands = robot.now().commanded_joints, ros.collect(Jointpos, "/rm_driver/movej_canfd_cmd", DRIVER_QUEUE)
    clutch.hold()
    robot.wait_following()
    assert commands
    assert max(abs(q - r) for command in commands for q, r in zip(command.joint, rest)) < 1e-3


def test_a_person_takes_the_arm_from_a_policy_and_it_stays_theirs_until_handed_back(ros, robot, teleop):
    teleop("gamepad")
    stick = Stick(ros)
    robot.arm()
    policy = Source(ros)
    policy.chunk(steps=40)
    ros.wait_for(lambda: robot.mode() == ArmStatus.EXECUTING, "the policy to drive")
    stick.hold()
    robot.wait_holder("teleop")
    robot.wait_following()
    # The policy keeps sending chunks.
    insisting = ros.node.create_timer(0.05, policy.chunk)
    robot.wait_event("lease")
    robot.wait_following()
    assert robot.now().lease_source == "teleop"
    stick.release()
    robot.wait_rest()
    robot.wait_holder("teleop")
    assert robot.stays_silent()
    ros.node.destroy_timer(insisting)
    assert not Source(ros).granted
    stick.order(HAND_BACK, lambda: robot.now().lease_source == "", "the lease to be given back")
    policy = Source(ros)
    assert policy.granted
    policy.chunk()
    ros.wait_for(lambda: robot.now().plan_id == policy.plan_id and robot.mode() == ArmStatus.EXECUTING,
                 "the policy to drive again")


def test_a_lease_that_lapsed_while_the_node_stalled_is_the_persons_again(ros, robot, teleop):
    process = teleop("gamepad")
    stick = Stick(ros)
    robot.arm()
    stick.hold()
    robot.wait_holder("teleop")
    stick.release()
    robot.wait_rest()
    process.signal(signal.SIGSTOP)
    robot.wait_holder("")
    process.signal(signal.SIGCONT)
    robot.wait_holder("teleop")
    assert robot.stays_silent()
    stick.order(HAND_BACK, lambda: robot.now().lease_source == "", "the lease to be given back")


def test_a_lapsed_lease_is_asked_for_until_it_is_granted(ros, robot, teleop):
    process = teleop("gamepad")
    stick = Stick(ros)
    robot.arm()
    stick.hold()
    robot.wait_holder("teleop")
    stick.release()
    robot.wait_rest()
    process.signal(signal.SIGSTOP)
    robot.wait_holder("")
    robot.process.signal(signal.SIGSTOP)
    process.signal(signal.SIGCONT)
    ros.wait_for(lambda: "did not answer" in process.output(), "a request that fails")
    robot.process.signal(signal.SIGCONT)
    # The request that failed is granted late, and that lease lapses within twenty statuses.
    kept = lambda: [status.lease_source for status in robot.statuses[-30:]] == ["teleop"] * 30
    ros.wait_for(kept, "the lease to stay the person's")


def test_with_hand_back_the_lease_is_free_whenever_the_deadman_is_up(ros, robot, teleop):
    teleop("gamepad", after_release="hand_back")
    stick = Stick(ros)
    robot.arm()
    for _ in range(2):
        stick.hold()
        robot.wait_holder("teleop")
        robot.wait_following()
        stick.release()
        robot.wait_holder("")
        robot.wait_rest()


def test_a_leader_away_from_the_arm_is_refused_and_one_brought_there_is_followed(ros, robot, teleop):
    process = teleop("leader")
    leader = JointState(name=[f"joint{i}" for i in range(1, 8)], position=[READY[0] + 0.5, *READY[1:]])
    pedal = Stick(ros, deadman=0, beside=leader, topic="/leader/joint_states")
    robot.arm()
    pedal.hold()
    ros.wait_for(lambda: "joint1 +0.5" in process.output(), "the refusal with the joint's name")
    assert robot.stays_silent()
    pedal.release()
    leader.position = READY
    pedal.settle()
    pedal.hold()
    robot.wait_following()
    leader.position = [READY[0] + 0.2, *READY[1:]]
    ros.wait_for(lambda: abs(robot.now().measured_joints[0] - READY[0] - 0.2) < 0.01, "the arm to follow the leader")


class Terminal:
    """A terminal with a simulated user."""

    def __init__(self):
        self.person, self.node = pty.openpty()
        self.before = termios.tcgetattr(self.node)

    def type(self, keys):
        os.write(self.person, keys)

    def hold(self, ros, key, until, what):
        """Holds a key; repeats it, as a terminal does."""
        up = threading.Event()

        def repeat():
            while not up.wait(0.03):
                self.type(key)

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            ros.wait_for(until, what)
        finally:
            up.set()
            thread.join()

    def is_raw(self):
        return not termios.tcgetattr(self.node)[3] & (termios.ICANON | termios.ECHO)


def test_keys_move_the_arm_while_they_are_held_and_the_terminal_is_put_back(ros, robot, teleop):
    terminal = Terminal()
    process = teleop("keyboard", stdin=terminal.node, instructions=["lift the block", "push the box"])
    received = ros.collect(String, "/instruction", LATCHED)
    published = lambda words: words in [message.data for message in received]
    ros.wait_for(lambda: published("lift the block"), "the first instruction")
    ros.wait_for(terminal.is_raw, "single keys")
    robot.arm()
    start = robot.tool()
    terminal.hold(ros, b"e", lambda: robot.tool()[2] > start[2] + 0.01, "the tool to rise")
    let_go = robot.tool()
    robot.wait_rest()
    assert away(robot.tool(), let_go) < BRAKED_M
    assert robot.stays_silent()
    assert not published("push the box")
    terminal.type(b"t")
    ros.wait_for(lambda: published("push the box"), "the next instruction")
    terminal.type(b"h")
    ros.wait_for(lambda: robot.mode() == ArmStatus.MOVING, "the move to home")
    # A second move does not take the place of the first, which could not be ended any more.
    terminal.type(b"r")
    ros.wait_for(lambda: "no move to ready" in process.output(), "the second move to be refused")
    terminal.type(b" ")
    robot.wait_rest()
    assert "home" not in robot.now().reason, "the move was not ended"
    terminal.type(b"x")
    robot.wait_mode(ArmStatus.STOPPED, "the stop")
    assert process.interrupt() == 0
    assert termios.tcgetattr(terminal.node) == terminal.before


def test_buttons_start_and_save_an_episode_of_the_instruction(ros, recorded, recorder, teleop):
    recorder(missing_share=1.0, longest_gap=10.0)
    process = teleop("gamepad", instructions=["lift the block"])
    stick = Stick(ros)
    stick.order(START, lambda: "record_node/start: recording" in process.output(), "the recording to begin")
    until = recorded.count + 30
    ros.wait_for(lambda: recorded.count >= until, "pictures")
    stick.order(SAVE, lambda: "record_node/save: saved episode 0" in process.output(), "the episode to be saved")
    assert info(recorder)["total_episodes"] == 1


def test_a_node_that_ends_leaves_an_arm_at_rest_and_a_free_lease(ros, robot, teleop):
    process = teleop("gamepad")
    stick = Stick(ros)
    robot.arm()
    stick.hold(forward=1.0)
    robot.wait_following()
    process.kill9()
    robot.wait_rest()
    assert robot.stays_silent()
    robot.wait_holder("")
    stick.die()
    process = teleop("gamepad")
    Stick(ros).hold()
    robot.wait_holder("teleop")
    assert process.interrupt() == 0
    robot.wait_holder("")
    assert Source(ros, "another", AcquireLease.Request.OPERATOR).granted


@pytest.mark.parametrize("params, expected", [
    ({"mapping": "keyboard"}, "expected a terminal for the keyboard"),
    ({"mapping": "/no/such.yaml"}, "cannot read the mapping /no/such.yaml"),
    ({"mapping": "gamepad", "instructions": ["lift", " "]}, "found none in number 2"),
    ({"mapping": "gamepad", "after_release": "go_on"}, "expected one of hold, hand_back"),
])
def test_what_cannot_work_is_refused_at_start(nodes, params, expected):
    process = nodes.start("teleop_node", params=params)
    assert process.wait() == 2
    assert expected in process.output()
