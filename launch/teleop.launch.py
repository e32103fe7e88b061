"""Starts the operator's node, and the driver of what the operator holds, beside a running arm node.

    ros2 launch thinkvla teleop.launch.py operator:=gamepad
A keyboard needs a terminal: that of ros2 launch, or one of its own with terminal:='xterm -e'.
"""
import os

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

BOOLEAN = ['true', 'false']
OPERATORS = ['keyboard', 'gamepad', 'spacemouse', 'leader', 'vr']
# Exit code of a node that refused to start: a parameter, a file or an argument that cannot work.
REFUSED = 2
# A launch that is killed cannot end its nodes: they are interrupted when this process is gone.
ENDS_WITH_LAUNCH = {'THINKVLA_ENDS_WITH': str(os.getpid())}
JOY, SPACENAV = ('joy', 'joy_node'), ('spacenav', 'spacenav_node')
# Leader arms and trackers come with drivers of their own; the joystick is their deadman.
DRIVERS = {'gamepad': JOY, 'spacemouse': SPACENAV, 'leader': JOY, 'vr': JOY}

ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of every node and topic'),
    DeclareLaunchArgument('operator', default_value='keyboard', choices=OPERATORS,
                          description='What the operator holds, with the mapping of that name in config/teleop'),
    DeclareLaunchArgument('mapping', default_value='',
                          description='Mapping file in place of the shipped one (see config/teleop)'),
    DeclareLaunchArgument('after_release', default_value='hold', choices=['hold', 'hand_back'],
                          description='hold keeps the lease when the deadman is let go, hand_back frees it'),
    DeclareLaunchArgument('instructions', default_value='',
                          description='What the episodes are of, in order, separated by semicolons'),
    DeclareLaunchArgument('robot', default_value='',
                          description='File that describes the arm, as config/rm75.yaml; empty takes that one'),
    DeclareLaunchArgument('driver', default_value='true', choices=BOOLEAN,
                          description='Start joy_node or spacenav_node for what the operator holds'),
    DeclareLaunchArgument('terminal', default_value='',
                          description="Command that opens a terminal for the keyboard, e.g. 'xterm -e'; empty takes "
                                      'the present one'),
    DeclareLaunchArgument('log_level', default_value='info', choices=['debug', 'info', 'warn', 'error'],
                          description='Least severe messages shown'),
]


def stop_when_refused(event, _context):
    """A node that refuses to start ends the launch; one that dies later leaves the arm node holding the arm."""
    if event.returncode == REFUSED:
        # An error, so that the launch ends with an exit code of its own: a shutdown would count as success.
        raise RuntimeError(f'{event.process_name} refused to start; its message is above')
    return None


def bring_up(context):
    """The nodes, with every argument known."""
    def argument(name):
        return LaunchConfiguration(name).perform(context)

    operator = argument('operator')
    common = {'namespace': argument('namespace'), 'output': 'screen',
              'arguments': ['--ros-args', '--log-level', argument('log_level')]}
    told = {'mapping': argument('mapping') or operator, 'after_release': argument('after_release')}
    if argument('robot'):
        told['robot'] = argument('robot')
    instructions = [words.strip() for words in argument('instructions').split(';') if words.strip()]
    if instructions:
        # ROS has no empty lists: a parameter that is not given is one.
        told['instructions'] = instructions
    actions = [Node(package='thinkvla', executable='teleop_node', name='teleop_node', parameters=[told],
                    prefix=argument('terminal') if operator == 'keyboard' else '', on_exit=stop_when_refused,
                    additional_env=ENDS_WITH_LAUNCH, **common)]
    if argument('driver') == 'true' and operator in DRIVERS:
        package, executable = DRIVERS[operator]
        try:
            get_package_prefix(package)
            actions.append(Node(package=package, executable=executable, name=executable, **common))
        except PackageNotFoundError:
            actions.append(LogInfo(msg=f'{package} is not installed: nothing reads the {operator}'))
    return actions


def generate_launch_description():
    """The arguments, then the nodes."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=bring_up)])
