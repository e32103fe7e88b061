"""An input device that is simulated with rclpy, the arm it moves, and the node between them."""

import math
import time

import pytest
import yaml
from arm_fixtures import Arm
from conftest import ROOT
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import Joy
from thinkvla.msg import ArmStatus

# Button of the deadman in config/teleop/gamepad.yaml; in the other mappings it is button 0.
DEADMAN = 4
FORWARD_AXIS = 1
# Time before a button without effect is pressed again.
PATIENCE_S = 3.0


class Stick:
    """A joystick that publishes its state 50 times a second, until `die`, and the message `beside` on another topic."""

    def __init__(self, ros, deadman=DEADMAN, beside=None, topic=None):
        self.ros, self.deadman = ros, deadman
        self.joy = Joy(axes=[0.0] * 8, buttons=[0] * 12)
        self.beside = beside
        self.publisher = ros.publisher(Joy, "/joy")
        self.beside_publisher = ros.publisher(type(beside), topic) if beside else None
        self.sent = 0
        self.timer = ros.node.create_timer(0.02, self.send)
        reports = ros.collect(DiagnosticArray, "/diagnostics")
        operator = lambda: [s for r in reports for s in r.status if s.name == "teleop_node: operator"]
        ros.wait_for(lambda: operator() and operator()[-1].level == DiagnosticStatus.OK, "an operator who is heard")

    def send(self):
        self.publisher.publish(self.joy)
        if self.beside:
            self.beside_publisher.publish(self.beside)
        self.sent += 1

    def settle(self):
        """Waits until the present state has been sent a few times."""
        until = self.sent + 5
        self.ros.wait_for(lambda: self.sent >= until, "the joystick to repeat itself")

    def press(self, button):
        self.joy.buttons[button] = 1
        self.settle()

    def order(self, button, done, what):
        """Presses a button until it has taken effect: the node ignores input from while the machine stalls, and a
        person would press again, too."""
        pressed = -math.inf

        def worked():
            nonlocal pressed
            if not done() and time.monotonic() > pressed + PATIENCE_S:
                self.let_go(button)
                self.press(button)
                pressed = time.monotonic()
            return done()
        self.ros.wait_for(worked, what)

    def let_go(self, button):
        self.joy.buttons[button] = 0
        self.settle()

    def hold(self, forward=0.0):
        self.joy.axes[FORWARD_AXIS] = forward
        self.press(self.deadman)

    def release(self):
        self.joy.axes[FORWARD_AXIS] = 0.0
        self.let_go(self.deadman)

    def die(self):
        self.ros.node.destroy_timer(self.timer)


class Robot(Arm):
    """The simulated arm behind arm_node; it is armed when all nodes are up, because starting one takes the CPU."""

    def __init__(self, ros, process):
        super().__init__(ros, process)
        ros.wait_for(lambda: self.statuses, "a report of the arm")

    def arm(self):
        """Arms until the arm keeps holding: when the machine stalls at that moment, the arm node correctly latches a
        fault."""
        def holds():
            super(Robot, self).arm()
            until = len(self.statuses) + 10
            faulty = lambda: self.mode() == ArmStatus.FAULT
            self.ros.wait_for(lambda: faulty() or len(self.statuses) >= until, "reports")
            if faulty():
                self.trigger("reset_fault")
            return self.mode() == ArmStatus.HOLDING

        self.ros.wait_for(holds, "an arm that holds")

    def now(self) -> ArmStatus:
        return self.statuses[-1]

    def tool(self):
        position = self.now().commanded_pose.position
        return (position.x, position.y, position.z)

    def measured(self):
        position = self.now().measured_pose.position
        return (position.x, position.y, position.z)

    def wait_holder(self, source):
        self.ros.wait_for(lambda: self.now().lease_source == source, f"the lease of {source!r}")

    def wait_following(self):
        chunks = self.now().chunks
        self.ros.wait_for(lambda: self.now().chunks > chunks + 5, "chunks that are followed")

    def wait_rest(self):
        self.wait_mode(ArmStatus.HOLDING, "the arm to hold")

    def stays_silent(self):
        """Returns whether no command leaves during ten statuses."""
        until, commands = len(self.statuses) + 10, self.now().commands
        self.ros.wait_for(lambda: len(self.statuses) >= until, "reports")
        if self.mode() != ArmStatus.HOLDING:
            pytest.fail(f"the arm does not hold{self.ros.nodes.output()}")
        return self.now().commands == commands


@pytest.fixture
def robot(ros, nodes, tmp_path):
    arm = yaml.safe_load((ROOT / "config/robots/rm75.yaml").read_text())
    # The longest timeouts permitted, because the machine that runs the tests may be slow.
    arm["timeouts"].update(heartbeat_s=0.09, state_s=0.09)
    file = tmp_path / "arm.yaml"
    file.write_text(yaml.safe_dump(arm))
    nodes.start("sim_node", params={"camera_rate_hz": 0.0})
    return Robot(ros, nodes.start("arm_node", params={"dry_run": False, "robot": str(file)}))


@pytest.fixture
def teleop(nodes):
    def start(mapping, stdin=None, **params):
        more = {} if stdin is None else {"stdin": stdin}
        return nodes.start("teleop_node", params={"mapping": mapping, **params}, **more)

    return start
