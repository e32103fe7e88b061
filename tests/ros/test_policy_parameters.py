"""Tests of parameters: descriptions, and refusal of invalid values at start, at run time, and by the exit code."""

import pytest
import yaml
from conftest import ROOT
from policy_fixtures import checkpoint, policy, robot_file  # noqa: F401
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, ListParameters

REFUSED = 2


def test_every_parameter_has_type_range_unit_and_a_sentence(ros, policy):
    policy()
    names = ros.call(ListParameters, "/policy_node/list_parameters").result.names
    own = [name for name in names if name != "use_sim_time" and not name.startswith("qos_overrides")]
    assert {"checkpoint", "replan_steps", "camera_age_limit", "image_transport"} <= set(own)
    described = ros.call(DescribeParameters, "/policy_node/describe_parameters",
                         DescribeParameters.Request(names=own)).descriptors
    for parameter in described:
        assert len(parameter.description.split()) > 4, parameter.name
        assert parameter.additional_constraints, parameter.name
        if parameter.type == ParameterType.PARAMETER_DOUBLE:
            assert len(parameter.floating_point_range) == 1, parameter.name
        if parameter.type == ParameterType.PARAMETER_INTEGER:
            assert len(parameter.integer_range) == 1, parameter.name
    limit = next(parameter for parameter in described if parameter.name == "camera_age_limit")
    assert limit.description.endswith("[s]") and limit.additional_constraints == "0.02 .. 5 s"
    assert not limit.read_only
    assert next(parameter for parameter in described if parameter.name == "checkpoint").read_only


def test_sets_outside_the_range_are_refused(ros, policy):
    policy()
    good, high, negative, nan = (ros.set_parameters("policy_node", camera_age_limit=value)[0]
                                 for value in (0.3, 6.0, -1.0, float("nan")))
    assert good.successful
    assert not high.successful and not negative.successful and not nan.successful
    assert high.reason
    assert not ros.set_parameters("policy_node", camera_age_limit="soon")[0].successful
    assert not ros.set_parameters("policy_node", checkpoint="/elsewhere")[0].successful
    assert ros.get_parameters("policy_node", "camera_age_limit") == [0.3]


@pytest.mark.parametrize("params, complaint", [
    ({"camera_age_limit": 60.0}, "parameter camera_age_limit: expected 0.02 .. 5 s, found 60"),
    ({"camera_age_limit": float("nan")}, "parameter camera_age_limit: expected 0.02 .. 5 s, found NaN"),
    ({"replan_steps": 0}, "parameter replan_steps: expected 1 .. 1000 steps, found 0"),
    ({"image_transport": "theora"}, 'parameter image_transport: expected one of raw, compressed, auto, found "theora"'),
    ({"replan_steps": "many"}, "parameter replan_steps: expected a whole number, e.g. 10, found another type"),
])
def test_an_impossible_value_at_start_is_refused_by_name(policy, params, complaint):
    process = policy(**params)
    assert process.wait() == REFUSED
    assert complaint in process.output()


def test_a_launch_with_a_checkpoint_that_cannot_work_ends(policy):
    process = policy(checkpoint="/no/such/checkpoint", autostart=True)
    assert process.wait() == REFUSED
    assert "/no/such/checkpoint" in process.output()


def test_the_shipped_parameter_file_holds_what_the_node_declares(ros, nodes):
    file = ROOT / "config" / "nodes" / "policy_sim.yaml"
    nodes.start("policy_node", arguments=["--ros-args", "--params-file", file])
    values = yaml.safe_load(file.read_text())["/**"]["ros__parameters"]
    assert ros.get_parameters("policy_node", *values) == list(values.values())


def test_more_steps_than_a_chunk_has_are_refused(ros, policy):
    process = policy(replan_steps=900)
    assert not ros.lifecycle("policy_node", "configure")
    assert "parameter replan_steps: expected at most the checkpoint's" in process.output()
