"""Starts the operator's node and the driver of the input device, beside a running arm node.

    ros2 launch thinkvla teleop.launch.py operator:=gamepad
A keyboard needs a terminal: that of ros2 launch, or one of its own with terminal:='xterm -e'.
"""
import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch_ros.actions import Node

HERE = os.path.dirname(os.path.abspath(__file__))
# ROS loads launch files by their paths and does not look for modules beside them.
sys.path.append(HERE)
from thinkvla_nodes import (LOG_LEVEL, OPERATOR, OPERATORS, checked, installed, own_node, parameter_files,  # noqa: E402
                            value_of)

JOY, SPACENAV = ('joy', 'joy_node'), ('spacenav', 'spacenav_node')
# Leader arms and trackers come with drivers of their own; the joystick is their deadman.
DRIVERS = {'gamepad': JOY, 'spacemouse': SPACENAV, 'leader': JOY, 'vr': JOY}

ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of every node and topic'),
    DeclareLaunchArgument('params_file', default_value='',
                          description='ROS parameter file; arguments of this launch have priority over it'),
    DeclareLaunchArgument('operator', default_value='keyboard', choices=OPERATORS,
                          description='What the operator holds, with the mapping of that name in config/teleop'),
    *OPERATOR,
    DeclareLaunchArgument('robot', default_value='',
                          description='File that describes the arm, as config/robots/rm75.yaml; empty takes that one'),
    LOG_LEVEL,
]


def bring_up(context):
    """Returns the nodes, with all arguments resolved."""
    def argument(name):
        return value_of(context, name)

    operator = argument('operator')
    common = {'namespace': argument('namespace'), 'arguments': ['--ros-args', '--log-level', argument('log_level')]}
    parameters = {'mapping': argument('mapping') or operator, 'after_release': argument('after_release')}
    if argument('robot'):
        parameters['robot'] = argument('robot')
    instructions = [words.strip() for words in argument('instructions').split(';') if words.strip()]
    if instructions:
        # ROS has no empty list parameters; an empty list is expressed by leaving the parameter out.
        parameters['instructions'] = instructions
    actions = [own_node('teleop_node', parameters=[*parameter_files(context, 'params_file'), parameters],
                        prefix=argument('terminal') if operator == 'keyboard' else '', **common)]
    if argument('driver') == 'true' and operator in DRIVERS:
        package, executable = DRIVERS[operator]
        if installed(package):
            actions.append(Node(package=package, executable=executable, name=executable, output='screen', **common))
        else:
            actions.append(LogInfo(msg=f'{package} is not installed: nothing reads the {operator}'))
    return actions


def generate_launch_description():
    """Returns the arguments and the nodes."""
    return LaunchDescription([*checked(ARGUMENTS), OpaqueFunction(function=bring_up)])
