"""A policy node with a small untrained checkpoint; everything around it is simulated with rclpy."""

import array
import subprocess

import pytest
import yaml
from conftest import binaries
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from thinkvla.msg import ArmStatus
from thinkvla.srv import AcquireLease, ReleaseLease

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CAMERAS = ("top", "wrist")
WIDTH, HEIGHT, RATE_HZ = 64, 48, 20.0
LEASE = 7
FACTS = {"arm": "rm75", "base_frame": "base_link", "tool_frame": "tcp"}


def make_checkpoint(folder, *options):
    """Writes the smallest checkpoint, with random weights, for small cameras; options choose a variant."""
    command = [str(binaries() / "thinkvla"), "init-checkpoint", "--size", "small", str(folder), *options]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    contract = yaml.safe_load((folder / "contract.yaml").read_text())
    for camera in contract["robot"]["cameras"]:
        camera.update(width=WIDTH, height=HEIGHT, rate_hz=RATE_HZ)
    (folder / "contract.yaml").write_text(yaml.safe_dump(contract))
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The smallest checkpoint."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small")


@pytest.fixture
def robot_file(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(FACTS))
    return path


@pytest.fixture
def world(ros):
    return World(ros)


@pytest.fixture
def policy(nodes, checkpoint, robot_file):
    """Returns a function that starts the policy node; its keywords are further parameters."""

    def start(**params):
        return nodes.start("policy_node", params={
            "checkpoint": str(checkpoint), "robot": str(robot_file), "threads": 1, "instruction": "pick up the cube",
            # The machine that runs the tests may be slow; time limits have tests of their own.
            "inference_limit": 30.0, "camera_age_limit": 2.0, "camera_periods": 0.0, "rate_tolerance": 0.9, "activation_timeout": 20.0,
            **params})

    return start


class Cameras:
    """Both cameras, as the policy receives them."""

    def __init__(self, ros):
        self.ros, self.timers = ros, []
        self.images = {camera: image(camera) for camera in CAMERAS}
        self.silent, self.frozen = set(), set()
        self.publishers = {camera: (
            ros.node.create_publisher(Image, f"{camera}/image_raw", qos_profile_sensor_data),
            ros.node.create_publisher(CompressedImage, f"{camera}/image_raw/compressed", qos_profile_sensor_data))
            for camera in CAMERAS}

    def start(self, rate_hz=RATE_HZ):
        self.timers = [self.ros.node.create_timer(1.0 / rate_hz, self.shoot)]
        return self

    def shoot(self):
        stamp = self.ros.node.get_clock().now().to_msg()
        for camera in CAMERAS:
            message = self.images[camera]
            if camera in self.silent:
                continue
            message.header.stamp = stamp
            if camera not in self.frozen and len(message.data):
                message.data[0] = (message.data[0] + 1) % 256
            raw, compressed = self.publishers[camera]
            (raw if isinstance(message, Image) else compressed).publish(message)


class World(Cameras):
    """Cameras and arm node, as the policy receives them."""

    def __init__(self, ros):
        super().__init__(ros)
        self.status = ArmStatus(mode=ArmStatus.HOLDING, driver_api="v2")
        self.grant, self.acquired, self.released = True, [], []
        node = ros.node
        self.status_publisher = node.create_publisher(ArmStatus, "arm_status", LATCHED)
        self.instruction = node.create_publisher(String, "instruction", LATCHED)
        self.services = [node.create_service(AcquireLease, "arm_node/acquire_lease", self.acquire),
                         node.create_service(ReleaseLease, "arm_node/release_lease", self.release)]

    def start(self, rate_hz=RATE_HZ):
        super().start(rate_hz)
        self.timers.append(self.ros.node.create_timer(0.05, self.report))
        return self

    def acquire(self, request, response):
        self.acquired.append((request.source, request.priority))
        response.granted = self.grant
        if self.grant:
            response.lease = self.status.lease = LEASE
            self.status.lease_source = request.source
        else:
            response.message = "held by teleop until it lets go"
        return response

    def release(self, request, response):
        self.released.append(request.lease)
        self.status.lease, self.status.lease_source = 0, ""
        response.released = True
        return response

    def report(self):
        self.status.header.stamp = self.ros.node.get_clock().now().to_msg()
        self.status_publisher.publish(self.status)


def image(camera, width=WIDTH, height=HEIGHT):
    """A grey image of a camera."""
    message = Image(width=width, height=height, encoding="rgb8", step=3 * width)
    message.header.frame_id = f"{camera}_camera_optical_frame"
    message.data = array.array("B", bytes([128]) * (3 * width * height))
    return message
