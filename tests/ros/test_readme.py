"""The parameter tables of the README are what the running nodes say of themselves.

After changing a parameter: THINKVLA_UPDATE_README=1 tools/with_env.sh ... -m pytest tests/ros/test_readme.py
"""

import os
import re
from pathlib import Path

import pytest
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, ListParameters

README = Path(__file__).resolve().parents[2] / "README.md"
TYPES = {
    ParameterType.PARAMETER_BOOL: "bool",
    ParameterType.PARAMETER_INTEGER: "int",
    ParameterType.PARAMETER_DOUBLE: "float",
    ParameterType.PARAMETER_STRING: "string",
    ParameterType.PARAMETER_DOUBLE_ARRAY: "floats",
    ParameterType.PARAMETER_STRING_ARRAY: "strings",
}
# Every ROS node has this one.
COMMON = {"use_sim_time"}


def shown(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return "[" + ", ".join(f"{number:g}" for number in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(ros, node):
    names = ros.call(ListParameters, f"/{node}/list_parameters").result.names
    names = sorted(set(names) - COMMON)
    described = ros.call(DescribeParameters, f"/{node}/describe_parameters", DescribeParameters.Request(names=names))
    rows = ["| parameter | type | default | allowed | what it does |", "|---|---|---|---|---|"]
    for descriptor, value in zip(described.descriptors, ros.get_parameters(node, *names), strict=True):
        assert descriptor.description, f"{node}: {descriptor.name} has no description"
        allowed = descriptor.additional_constraints or "–"
        rows.append(f"| `{descriptor.name}` | {TYPES[descriptor.type]}{'' if descriptor.read_only else ', live'} "
                    f"| {shown(value)} | {allowed} | {descriptor.description} |")
    return "\n".join(rows)


@pytest.mark.parametrize("node", ["arm_node", "policy_node", "record_node", "finetune_node", "sim_node",
                                  "teleop_node"])
def test_the_parameter_table_is_what_the_node_declares(ros, nodes, node, tmp_path):
    # The recorder does not start without a folder to write to, and a keyboard needs a terminal.
    needed = {"record_node": ("dataset", str(tmp_path / "set"), "empty"),
              "teleop_node": ("mapping", "gamepad", "`keyboard`")}.get(node)
    nodes.start(node, params=dict([needed[:2]]) if needed else {})
    ros.wait_for_nodes(node)
    declared = table(ros, node)
    if needed:
        declared = declared.replace(f"`{needed[1]}`", needed[2])
    text = README.read_text()
    section = re.compile(rf"(<!-- {node}: made by tests/ros/test_readme.py -->\n)(.*?)(\n<!-- end -->)", re.S)
    found = section.search(text)
    assert found, f"{README.name} has no section for {node}"
    if os.environ.get("THINKVLA_UPDATE_README"):
        README.write_text(section.sub(lambda match: match[1] + declared + match[3], text))
        return
    assert found[2] == declared
