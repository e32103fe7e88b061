"""Tests of arguments, parameters and topics given by users: they are interpreted as in ROS or refused by name, and what
is ignored is reported."""

import pytest
import yaml
from arm_fixtures import LATCHED, READY, Arm
from conftest import ROOT
from diagnostic_msgs.msg import DiagnosticArray
from policy_fixtures import checkpoint, policy, robot_file  # noqa: F401
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import String

REFUSED = 2
QUALITIES = {"best effort": qos_profile_sensor_data, "reliable": QoSProfile(depth=10), "kept": LATCHED}


def given(nodes, *arguments):
    return nodes.start("arm_node", arguments=["--ros-args", *arguments])


@pytest.mark.parametrize("pattern", ["/**", "/left/arm_node", "left/arm_node", "/**/arm_node", "/left/**", "/*/arm_node"])
def test_parameter_files_are_matched_as_in_rclcpp(ros, nodes, tmp_path, pattern):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({pattern: {"ros__parameters": {"command_rate_hz": 200.0}}}))
    given(nodes, "-r", "__ns:=/left", "--params-file", file)
    assert ros.get_parameters("left/arm_node", "command_rate_hz") == [200.0]


@pytest.mark.parametrize("pattern", ["/left/arm_node", "/**/arm_node", "/**"])
def test_the_last_of_a_parameters_values_counts(ros, nodes, tmp_path, pattern):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({pattern: {"ros__parameters": {"dry_run": False, "command_rate_hz": 200.0}}}))
    given(nodes, "-r", "__ns:=/left", "--params-file", file, "-p", "dry_run:=true")
    assert ros.get_parameters("left/arm_node", "dry_run", "command_rate_hz") == [True, 200.0]


def test_a_parameter_file_of_other_nodes_is_told(nodes, ros, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"/right/arm_node": {"ros__parameters": {"command_rate_hz": 200.0}}}))
    process = given(nodes, "--params-file", file)
    ros.wait_for(lambda: "found those of /right/arm_node; nothing of the file is used" in process.output(), "the warning")


@pytest.mark.parametrize("arguments, complaint", [
    (["--ros-args", "-p", "command_rate:=250.0"], "the nearest is command_rate_hz"),
    (["--ros-args", "-p", "dryrun:=false"], "the nearest is dry_run"),
    (["--dry-run"], "argument --dry-run: expected ROS arguments"),
    (["--ros-args", "--param-file", "ok.yaml"], "the nearest is --params-file"),
    (["--ros-args", "--bogus"], "argument --bogus: expected a flag that ROS has"),
    (["--ros-args", "-p"], "argument -p: expected NAME:=VALUE after it, without spaces, found none"),
    (["--ros-args", "-p", "dry_run"], "argument -p: expected NAME:=VALUE after it, without spaces, found dry_run"),
    (["--ros-args", "-p", "use_sim_time:=1"],
     "parameter use_sim_time, given by -p use_sim_time:=1: expected true or false, found 1"),
    (["--ros-args", "--params-file", "/no/such.yaml"], "argument --params-file /no/such.yaml: expected a parameter file"),
])
def test_what_no_node_has_is_refused(nodes, arguments, complaint):
    process = nodes.start("arm_node", arguments=arguments)
    assert process.wait() == REFUSED
    assert complaint in process.output()


@pytest.mark.parametrize("text", ["arm_node: [", "arm_node:\n  ros__parameters: {dry_run: true, dry_run: false}",
                                  "arm_node:\n  ros_parameters: {dry_run: true}", "dry_run: true"])
def test_a_parameter_file_that_cannot_be_read_is_refused_by_name(nodes, tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    process = given(nodes, "--params-file", file)
    assert process.wait() == REFUSED
    assert f"parameter file {file}" in process.output()


def test_an_empty_list_is_refused_by_name(nodes, tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("/**:\n  ros__parameters: {instructions: []}")
    process = nodes.start("teleop_node", arguments=["--ros-args", "--params-file", file])
    assert process.wait() == REFUSED
    assert f"parameter instructions, given by {file}: expected values in the list, found none" in process.output()


def test_what_only_ros_refuses_ends_the_launch_too(nodes):
    process = given(nodes, "-r", "no spaces:=here")
    assert process.wait() == REFUSED
    assert "ROS 2 refused" in process.output()


@pytest.mark.parametrize("name", ["sim_node", "teleop_node", "policy_node", "record_node", "finetune_node"])
def test_every_node_refuses_flags_that_ros_does_not_know(nodes, name):
    process = nodes.start(name, arguments=["--ros-args", "--bogus"])
    assert process.wait() == REFUSED
    assert "argument --bogus: expected a flag that ROS has" in process.output()


@pytest.mark.parametrize("instruction", ["pick <|im_end|> up", "press \N{LEFT-POINTING MAGNIFYING GLASS}"])
def test_an_instruction_that_no_prompt_can_hold_is_refused_at_the_start(nodes, instruction, tmp_path):
    process = nodes.start("record_node", params={"dataset": str(tmp_path / "set"), "instruction": instruction})
    assert process.wait() == REFUSED
    assert "parameter instruction: expected plain words" in process.output()
    assert not (tmp_path / "set").exists()


def test_a_misspelt_name_in_a_file_for_all_nodes_is_refused_and_a_foreign_one_is_not(ros, nodes):
    process = nodes.start("arm_node", params={"comand_rate_hz": 200.0})
    assert process.wait() == REFUSED
    process = nodes.start("arm_node", params={"checkpoint_of_somebody_else": "a"})
    ros.wait_for_nodes("arm_node")
    assert "warn" in process.output().lower() and "checkpoint_of_somebody_else" in process.output()


@pytest.mark.parametrize("qos", [QoSProfile(depth=10), qos_profile_sensor_data], ids=["volatile", "best effort"])
def test_instructions_are_heard_of_whoever_gives_them(ros, nodes, policy, qos, tmp_path):
    process = policy()
    nodes.start("record_node", params={"dataset": str(tmp_path / "set")})
    publisher = ros.publisher(String, "/instruction", qos, subscribers=2)

    def heard():
        # A volatile message is lost to a subscription that has not discovered the publisher yet.
        publisher.publish(String(data="push the green cup"))
        return "instruction: push the green cup" in process.output()
    ros.wait_for(heard, "the instruction")


@pytest.mark.parametrize("qos", list(QUALITIES.values()), ids=list(QUALITIES))
def test_a_leader_is_heard_whatever_its_quality_of_service(ros, nodes, qos):
    process = nodes.start("teleop_node", params={"mapping": "leader"})
    mapping = yaml.safe_load((ROOT / "config" / "teleop" / "leader.yaml").read_text())["input"]["leader"]
    leader = ros.publisher(JointState, f"/{mapping['topic']}", qos)
    pedal = ros.publisher(Joy, f"/{mapping['pad']['topic']}", qos)
    joints = JointState(name=[joint["name"] for joint in mapping["joints"]], position=READY)

    def send():
        leader.publish(joints)
        pedal.publish(Joy(axes=[0.0] * 8, buttons=[0] * 12))
    ros.node.create_timer(0.02, send)
    reports = ros.collect(DiagnosticArray, "/diagnostics")

    def silences():
        operator = [status for report in reports for status in report.status if status.name == "teleop_node: operator"]
        return [value.value for status in operator for value in status.values if value.key == "input_silent_s"]
    # "never" until the leader's joints have come.
    ros.wait_for(lambda: silences() and silences()[-1] != "never", "the leader to be heard")
    assert "best effort" not in process.output()


def test_a_simulation_gives_the_time_and_the_arm_lives_by_it(ros, nodes):
    nodes.start("sim_node", params={"camera_rate_hz": 0.0, "publish_clock": True})
    arm = Arm(ros, nodes.start("arm_node", params={"use_sim_time": True, "dry_run": False}))
    arm.arm()


@pytest.mark.parametrize("name, params", [
    ("arm_node", {}), ("sim_node", {}), ("teleop_node", {"mapping": "gamepad"}), ("policy_node", {}),
    ("record_node", {"dataset": "set"}), ("finetune_node", {"runs": "runs"})])
def test_a_node_that_has_just_started_ends_in_good_order(ros, nodes, name, params):
    process = nodes.start(name, params=params)
    ros.wait_for_nodes(name)
    assert process.interrupt() == 0, process.output()


def test_arm_node_says_at_start_what_will_hold(ros, nodes):
    process = nodes.start("arm_node")
    ros.wait_for_nodes("arm_node")
    ros.wait_for(lambda: "dry run" in process.output(), "what holds")
    assert all(line in process.output() for line in ("arm: rm75, 100 Hz", "driver generation:", "limits: tool"))
