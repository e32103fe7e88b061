"""An arm node with a stand-in for Realman's driver, implemented with rclpy."""

import math

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from rm_ros_interfaces.msg import Gripperset, Jointpos, Rmerr
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Empty, UInt16
from std_srvs.srv import SetBool, Trigger
from thinkvla.msg import ActionChunk, ArmStatus, GateEvent, Heartbeat
from thinkvla.srv import AcquireLease

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
DRIVER_QUEUE = 1000
READY = [math.radians(degrees) for degrees in (0, 30, 0, 60, 0, 90, 0)]
INWARD = [-0.004, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


class FakeDriver:
    """Stand-in for the driver: follows commands at once, publishes states at 100 Hz; generation `v1` or `v2`."""

    def __init__(self, ros, api="v2", joints=READY):
        self.node, self.api, self.joints = ros.node, api, list(joints)
        self.frozen, self.stamped, self.commands, self.stops, self.grips = False, True, [], [], []
        node = ros.node
        node.create_subscription(Jointpos, "rm_driver/movej_canfd_cmd", self.follow, DRIVER_QUEUE)
        node.create_subscription(Gripperset, "rm_driver/set_gripper_position_cmd", self.grips.append, DRIVER_QUEUE)
        node.create_subscription(Bool if api == "v1" else Empty, "rm_driver/move_stop_cmd", self.stop, DRIVER_QUEUE)
        self.states = node.create_publisher(JointState, "joint_states", 10)
        if api == "v1":
            self.errors = node.create_publisher(UInt16, "rm_driver/udp_sys_err", 10)
        else:
            self.errors = node.create_publisher(Rmerr, "rm_driver/udp_rm_err", 10)
        self.timer = node.create_timer(0.01, self.publish)

    def follow(self, command):
        self.commands.append((self.now(), list(command.joint), command.dof, command.follow))
        if not self.frozen:
            self.joints = list(command.joint)

    def stop(self, _):
        self.stops.append(self.now())

    def now(self):
        return self.node.get_clock().now().nanoseconds * 1e-9

    def publish(self):
        state = JointState(name=[f"joint{i}" for i in range(1, 8)], position=[float(q) for q in self.joints])
        if self.stamped:
            state.header.stamp = self.node.get_clock().now().to_msg()
        self.states.publish(state)

    def report(self, code):
        self.errors.publish(UInt16(data=code) if self.api == "v1" else Rmerr(err_len=1, err=[code]))

    def vanish(self):
        self.node.destroy_timer(self.timer)


class Source:
    """A source of motion: holds the lease, sends heartbeats at 50 Hz, and chunks on request."""

    def __init__(self, ros, name="policy", priority=AcquireLease.Request.POLICY, now=None):
        self.ros, self.name, self.plan_id, self.sequence = ros, name, 0, 0
        self.now = now or (lambda: ros.node.get_clock().now().to_msg())
        self.chunks = ros.publisher(ActionChunk, "chunk", 1)
        self.beats = ros.publisher(Heartbeat, "heartbeat", 1)
        answer = ros.call(AcquireLease, "/arm_node/acquire_lease", AcquireLease.Request(source=name, priority=priority))
        self.granted, self.lease, self.message = answer.granted, answer.lease, answer.message
        self.timer = ros.node.create_timer(0.02, self.beat)

    def beat(self, **fields):
        self.sequence += 1
        beat = Heartbeat(source=self.name, lease=self.lease, sequence=self.sequence)
        beat.header.stamp = self.now()
        for field, value in fields.items():
            setattr(beat, field, value)
        self.beats.publish(beat)

    def die(self):
        self.ros.node.destroy_timer(self.timer)

    def chunk(self, step=INWARD, steps=20, **fields):
        self.plan_id += 1
        chunk = ActionChunk(space=ActionChunk.SPACE_EE7, step_period=0.1, horizon=steps, dim=7, source=self.name,
                            values=[float(value) for value in step] * steps, lease=self.lease, plan_id=self.plan_id)
        chunk.header.stamp = chunk.observation_stamp = self.now()
        chunk.header.frame_id = "base_link"
        chunk.expires.sec, chunk.expires.nanosec = chunk.observation_stamp.sec + 1, chunk.observation_stamp.nanosec
        for field, value in fields.items():
            setattr(chunk, field, value)
        self.chunks.publish(chunk)
        return chunk


class Arm:
    """Client of the arm node: its status, events and services."""

    def __init__(self, ros, process):
        self.ros, self.process = ros, process
        self.statuses = ros.collect(ArmStatus, "arm_status", LATCHED)
        self.events = ros.collect(GateEvent, "gate_events", 100)

    def mode(self):
        return self.statuses[-1].mode if self.statuses else None

    def wait_mode(self, mode, what):
        self.ros.wait_for(lambda: self.mode() == mode, what)

    def wait_event(self, check, kind=GateEvent.REFUSED):
        found = lambda: [e for e in self.events if e.check == check and e.kind == kind]
        return self.ros.wait_for(found, f"an event of {check}")[0]

    def arm(self):
        """Arms as soon as driver and state have been seen."""
        answers = []

        def armed():
            answers.append(self.ros.call(SetBool, "/arm_node/set_armed", SetBool.Request(data=True)))
            return answers[-1].success

        self.ros.wait_for(armed, "the arm to be armed")
        # The response arrives before the next status.
        self.ros.wait_for(lambda: self.mode() != ArmStatus.DISARMED, "a status that says so")

    def refused_to_arm(self):
        answer = self.ros.call(SetBool, "/arm_node/set_armed", SetBool.Request(data=True))
        assert not answer.success
        return answer.message

    def trigger(self, name):
        return self.ros.call(Trigger, f"/arm_node/{name}")


@pytest.fixture
def start_arm(ros, nodes):
    def start(program="arm_node", process=None, **params):
        return Arm(ros, nodes.start(program, params={"dry_run": False, **params}, **(process or {})))

    return start
