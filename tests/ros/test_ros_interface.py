"""Tests that the parameter tables of docs/ros_interface.md equal the declarations of the running nodes, and that the
commands in the README and the documentation pages exist with the options and arguments given there.

After changing a parameter, regenerate the tables:
    . tools/env.sh && THINKVLA_UPDATE_DOCS=1 "$THINKVLA_PYTHON" -m pytest tests/ros/test_ros_interface.py -k parameter_table
"""

import functools
import importlib
import itertools
import math
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from arm_fixtures import Arm, FakeDriver
from conftest import ROOT, binaries
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, ListParameters
from std_srvs.srv import SetBool
from thinkvla.msg import ArmStatus

INTERFACE = ROOT / "docs" / "ros_interface.md"
# decisions.md also names things that no longer exist.
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "decisions.md")]
TYPES = {
    ParameterType.PARAMETER_BOOL: "bool",
    ParameterType.PARAMETER_INTEGER: "int",
    ParameterType.PARAMETER_DOUBLE: "float",
    ParameterType.PARAMETER_STRING: "string",
    ParameterType.PARAMETER_DOUBLE_ARRAY: "floats",
    ParameterType.PARAMETER_STRING_ARRAY: "strings",
}
# Every ROS node has this parameter.
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
    text = INTERFACE.read_text()
    section = re.compile(rf"(<!-- {node}: made by tests/ros/test_ros_interface.py -->\n)(.*?)(\n<!-- end -->)", re.S)
    found = section.search(text)
    assert found, f"{INTERFACE.name} has no section for {node}"
    if os.environ.get("THINKVLA_UPDATE_DOCS"):
        INTERFACE.write_text(section.sub(lambda match: match[1] + declared + match[3], text))
        return
    assert found[2] == declared


def blocks(page):
    """Lines of the code blocks of a page, fenced and indented; continuation lines are joined."""
    fenced, lines = False, []
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            lines.append(line.strip())
    return re.sub(r"\s*\\\n", " ", "\n".join(lines)).splitlines()


def commands(page):
    """Commands of a page as lists of words: those of its blocks, and those in its sentences and tables."""
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))
    for line in itertools.chain(blocks(page), spans):
        # Text after a wider gap explains the command.
        for part in re.split(r" && ", re.sub(r"\s{2,}(?!-).*$|\s#.*$", "", line)):
            if part.split(" ")[0] in CHECKS:
                yield shlex.split(part)


@functools.cache
def launch_arguments(file):
    """Names of the arguments of a launch file."""
    shown = subprocess.run([sys.executable, str(ROOT / "tools" / "check" / "mini_launch.py"), "--show-args",
                            str(ROOT / "launch" / file)], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^'(\w+)':$", shown, re.M))


@functools.cache
def help_of(*verbs):
    """Help text of a subcommand; None if it does not exist."""
    shown = subprocess.run([binaries() / "thinkvla", *verbs, "--help"], capture_output=True, text=True)
    return shown.stdout if shown.returncode == 0 else None


def check_launch(file, *arguments):
    for argument in arguments:
        name = argument.split(":=")[0]
        assert ":=" in argument and name in launch_arguments(file), f"{file} has no argument {argument}"


def interface(name):
    package, kind, name = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def filled(message, text):
    """Fills a message with the fields of a command line, as ros2 does."""
    fields = yaml.safe_load(text)
    for name, value in fields.items():
        field = getattr(message, name)
        setattr(message, name, type(field)(value) if isinstance(field, (bool, int, float, str)) else value)
    return message


def check_ros2(verb, *rest):
    options = [word for word in rest if word.startswith("--")]
    words = [word for word in rest if not word.startswith("--")]
    if verb == "launch" and words and words[0] == "thinkvla":
        check_launch(*words[1:])
    elif verb == "run" and words and words[0] == "thinkvla":
        assert (binaries() / words[1]).exists(), f"there is no program {words[1]}"
    elif verb == "topic" and words[1] != "/joy":
        assert f"`{words[1].removeprefix('/')}`" in INTERFACE.read_text() or f"`{words[1]}`" in INTERFACE.read_text()
    elif (verb, *words[:1]) == ("service", "call"):
        assert not options and words[1].removeprefix("/sim").strip("/") in INTERFACE.read_text()
        filled(interface(words[2]).Request(), words[3] if len(words) > 3 else "{}")
    elif (verb, *words[:1]) == ("action", "send_goal"):
        assert set(options) <= {"--feedback"} and words[1].strip("/") in INTERFACE.read_text()
        filled(interface(words[2]).Goal(), words[3])


def check_thinkvla(*words):
    verbs = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z-]+", word), words))[:2]
    if not verbs:
        return
    shown = help_of(verbs[0])
    if shown and "\nCommands:\n" in shown:
        shown = help_of(*verbs)
    assert shown is not None, f"thinkvla has no verb {' '.join(verbs)}"
    for word in words:
        option = word.strip("[]")
        if option.startswith("--"):
            assert re.search(rf"{option}\b", shown), f"thinkvla {' '.join(verbs)} has no option {option}"
        elif option.startswith("config/"):
            assert (ROOT / option).exists(), f"there is no {option}"


def check_make(*targets):
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.M), f"the Makefile has no target {target}"


CHECKS = {"ros2": check_ros2, "thinkvla": check_thinkvla, "make": check_make}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_what_there_is(page):
    wrong = []
    for program, *words in commands(page):
        try:
            CHECKS[program](*words)
        except Exception as error:
            wrong.append(f"{shlex.join([program, *words])}: {error}")
    assert not wrong, "\n".join(wrong)
    for path in re.findall(r"`((?:config|tools|launch|msg|src|tests)/[\w./-]+)`", page.read_text()):
        assert (ROOT / path).exists(), f"there is no {path}"


def bring_up_step(number):
    """Commands of a step of the bring-up on a real arm."""
    page = (ROOT / "docs" / "real_robot.md").read_text()
    step = re.search(rf"^\*\*{number}\. .*?(?=^\*\*{number + 1}\. |\Z)", page, re.M | re.S)[0]
    lines = "".join(re.findall(r"```\n(.*?)```", step, re.S)).splitlines()
    return step, [shlex.split(line, comments=True) for line in lines]


@pytest.mark.stalls
def test_the_first_moves_of_a_real_arm_are_slow(ros, nodes, tmp_path):
    step, given = bring_up_step(5)
    slow = tmp_path / "slow.yaml"
    limits = r"`limits.tool_speed_m_s` (\d\.\d+) and every entry of `limits.velocity_rad_s` (\d\.\d+)"
    tool_m_s, joint_rad_s = re.search(limits, step).groups()
    robot = yaml.safe_load((ROOT / "config" / "robots" / "rm75.yaml").read_text())
    robot["limits"].update(tool_speed_m_s=float(tool_m_s), velocity_rad_s=[float(joint_rad_s)] * 7)
    slow.write_text(yaml.safe_dump(robot))
    launch, show, arm, move = [[word.replace("/path/to/slow.yaml", str(slow)) for word in words] for words in given]

    driver = FakeDriver(ros, joints=[0.0, 0.0, 0.0, math.pi / 2, 0.0, math.pi / 2, 0.0])
    assert launch[:3] == ["ros2", "launch", "thinkvla"]
    running = Arm(ros, nodes.launch(*launch[3:]))
    _, _, _, node, parameter = show
    assert ros.get_parameters(node.strip("/"), parameter) == [str(slow)]
    request = filled(SetBool.Request(), arm[-1])
    ros.wait_for(lambda: ros.call(SetBool, arm[3], request).success, "the arm to be armed")
    assert move[:3] == ["ros2", "run", "thinkvla"]
    # At the highest speed permitted, which is faster than the page asks for.
    mover = nodes.start(move[3], arguments=[*move[4:-1], 1.0])
    assert mover.wait() == 0, nodes.output()
    joints = [joints for _, joints, _, _ in driver.commands]
    steps = [max(abs(b - a) for a, b in zip(*pair)) for pair in zip(joints, joints[1:])]
    fastest = float(joint_rad_s) / robot["command_rate_hz"]
    assert 0.5 * fastest < max(steps) < fastest * (1 + 1e-6)
    assert running.mode() == ArmStatus.HOLDING
