"""Fine-tunes checkpoints beside the policy, or without one.

    ros2 launch thinkvla finetune.launch.py runs:=runs
    ros2 action send_goal --feedback /finetune_node/fine_tune thinkvla/action/FineTune \\
        "{checkpoint: checkpoints/base, datasets: [datasets/pick], out: pick, mode: 0, steps: 2000, validation_share: 0.1}"
"""
import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction

HERE = os.path.dirname(os.path.abspath(__file__))
# ROS loads launch files by their paths and does not look for modules beside them.
sys.path.append(HERE)
from thinkvla_nodes import LOG_LEVEL, checked, own_node, parameter_files, value_of  # noqa: E402

SHARE = os.path.dirname(HERE)

ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of every node and topic'),
    DeclareLaunchArgument('params_file', default_value='',
                          description='ROS parameter file laid over config/nodes/finetune.yaml'),
    DeclareLaunchArgument('runs', default_value='',
                          description="Directory that a goal's relative out lies in; unfinished goals go on from "
                                      'there; empty takes that of the parameter files, runs'),
    DeclareLaunchArgument('template', default_value='',
                          description='Training configuration of all goals; empty takes config/train/finetune.yaml'),
    LOG_LEVEL,
]


def fine_tune(context):
    """Returns the node, with all arguments resolved."""
    def argument(name):
        return value_of(context, name)

    files = [os.path.join(SHARE, 'config', 'nodes', 'finetune.yaml'), *parameter_files(context, 'params_file')]
    given = {name: argument(name) for name in ('runs', 'template') if argument(name)}
    return [own_node('finetune_node', namespace=argument('namespace'), parameters=[*files, *([given] if given else [])],
                     arguments=['--ros-args', '--log-level', argument('log_level')])]


def generate_launch_description():
    """Returns finetune_node."""
    return LaunchDescription([*checked(ARGUMENTS), OpaqueFunction(function=fine_tune)])
