"""Tests of the test harness: our interfaces are transported unchanged, and tests do not interfere with each other."""

from conftest import Ros, claim_domain
from rm_ros_interfaces.msg import Jointpos
from thinkvla.msg import ActionChunk


def test_an_action_chunk_crosses_the_wire_unchanged(ros):
    received = ros.collect(ActionChunk, "/chunk", publishers=0)
    publisher = ros.publisher(ActionChunk, "/chunk")
    sent = ActionChunk()
    sent.header.frame_id = "base_link"
    publisher.publish(sent)
    ros.wait_for(lambda: received, "the chunk")
    assert received[0] == sent


def test_realman_messages_bear_the_names_the_driver_matches_on(ros):
    ros.node.create_publisher(Jointpos, "/rm_driver/movej_canfd_cmd", 10)
    types = ros.wait_for(lambda: dict(ros.node.get_topic_names_and_types()).get("/rm_driver/movej_canfd_cmd"), "the topic")
    assert types == ["rm_ros_interfaces/msg/Jointpos"]
    assert list(Jointpos.get_fields_and_field_types().items()) == [
        ("joint", "sequence<float>"), ("follow", "boolean"), ("expand", "float"), ("dof", "uint8")]


def test_two_domains_do_not_hear_each_other(ros, domain, nodes):
    other_domain, claim = claim_domain()
    with claim:
        assert other_domain != domain
        other = Ros(other_domain, nodes)
        try:
            other.node.create_publisher(Jointpos, "/elsewhere", 10)
            other.wait_for(lambda: "/elsewhere" in dict(other.node.get_topic_names_and_types()), "own topic")
            assert "/elsewhere" not in dict(ros.node.get_topic_names_and_types())
        finally:
            other.close()
