"""Tests of sim_node's cameras: messages like those of a camera driver, and the simulated faults."""

import math

import pytest
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

CAMERAS = ["top", "wrist"]


def images(ros, camera, **kwargs):
    received = ros.collect(Image, f"/{camera}/image_raw", qos_profile_sensor_data, **kwargs)
    ros.wait_for(lambda: received, f"a picture of {camera}")
    return received


def stamp(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def test_pictures_are_rgb8_640x480_with_stamps_and_optical_frames(ros, nodes):
    nodes.start("sim_node")
    pictures = {camera: images(ros, camera) for camera in CAMERAS}
    for camera, received in pictures.items():
        ros.wait_for(lambda: len(received) >= 5, "five pictures")
        picture = received[-1]
        assert (picture.width, picture.height, picture.encoding, picture.step) == (640, 480, "rgb8", 1920)
        assert picture.header.frame_id == f"{camera}_camera_optical_frame"
        assert len(picture.data) == 480 * 1920 and len(set(picture.data[::997])) > 10
        assert stamp(received[-1]) > stamp(received[0])
        (end,) = ros.node.get_publishers_info_by_topic(f"/{camera}/image_raw")
        assert end.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    stamps = [{stamp(p) for p in pictures[camera]} for camera in CAMERAS]
    assert stamps[0] & stamps[1], "both cameras look at the same moment"


@pytest.mark.parametrize("camera, field_of_view_deg", [("top", 48.0), ("wrist", 70.0)])
def test_camera_info_goes_with_the_picture(ros, nodes, camera, field_of_view_deg):
    nodes.start("sim_node")
    infos = ros.collect(CameraInfo, f"/{camera}/camera_info", qos_profile_sensor_data)
    ros.wait_for(lambda: infos, "camera info")
    info = infos[-1]
    focal = 240.0 / math.tan(math.radians(field_of_view_deg) / 2.0)
    assert list(info.k) == pytest.approx([focal, 0, 319.5, 0, focal, 239.5, 0, 0, 1])
    assert (info.width, info.height, info.header.frame_id) == (640, 480, f"{camera}_camera_optical_frame")


def test_rate_zero_means_no_cameras(ros, nodes):
    nodes.start("sim_node", params={"camera_rate_hz": 0.0})
    ros.wait_for_nodes("sim_node")
    ros.wait_for(lambda: "/joint_states" in dict(ros.node.get_topic_names_and_types()), "the driver's topics")
    assert "/top/image_raw" not in dict(ros.node.get_topic_names_and_types())


def test_a_frozen_camera_repeats_its_picture_under_fresh_stamps(ros, nodes):
    nodes.start("sim_node", params={"expert": False})
    received = images(ros, "top")
    assert ros.set_parameters("sim_node", fault_top_camera="frozen")[0].successful
    count = len(received)
    ros.wait_for(lambda: len(received) >= count + 5, "pictures of the frozen camera")
    last = received[count + 2:]
    assert all(p.data == last[0].data for p in last)
    assert len({stamp(p) for p in last}) == len(last)


def test_a_dropped_camera_is_silent_and_the_other_goes_on(ros, nodes):
    nodes.start("sim_node", params={"fault_wrist_camera": "dropped"})
    top = images(ros, "top")
    wrist = ros.collect(Image, "/wrist/image_raw", qos_profile_sensor_data)
    ros.wait_for(lambda: len(top) >= 5, "pictures of the other camera")
    assert not wrist
    ros.set_parameters("sim_node", fault_wrist_camera="none")
    ros.wait_for(lambda: wrist, "the camera to come back")


def test_a_late_camera_publishes_old_stamps(ros, nodes):
    nodes.start("sim_node", params={"fault_top_camera": "late"})
    received = images(ros, "top")
    age = ros.node.get_clock().now().nanoseconds * 1e-9 - stamp(received[-1])
    assert age > 0.4


def test_a_truncated_picture_announces_more_than_it_holds(ros, nodes):
    nodes.start("sim_node", params={"fault_wrist_camera": "truncated"})
    picture = images(ros, "wrist")[-1]
    assert (picture.height * picture.step, len(picture.data)) == (921600, 460800)
