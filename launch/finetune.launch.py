"""Fine-tunes checkpoints beside the policy, or without one.

    ros2 launch thinkvla finetune.launch.py runs:=runs
    ros2 action send_goal --feedback /finetune_node/fine_tune thinkvla/action/FineTune \\
        "{checkpoint: checkpoints/base, datasets: [datasets/pick], out: pick, mode: 0, steps: 2000, validation_share: 0.1}"
"""
import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Exit code of a node that refused to start: a parameter, a file or an argument that cannot work.
REFUSED = 2
# A launch that is killed cannot end its nodes: they are interrupted when this process is gone.
ENDS_WITH_LAUNCH = {'THINKVLA_ENDS_WITH': str(os.getpid())}

ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of every node and topic'),
    DeclareLaunchArgument('params_file', default_value='',
                          description='ROS parameter file laid over config/finetune.yaml'),
    DeclareLaunchArgument('runs', default_value='runs',
                          description="Directory that a goal's relative out lies in; unfinished goals go on from there"),
    DeclareLaunchArgument('template', default_value='',
                          description='Training configuration of all goals; empty takes config/finetune_train.yaml'),
    DeclareLaunchArgument('log_level', default_value='info', choices=['debug', 'info', 'warn', 'error'],
                          description='Least severe messages shown'),
]


def stop_when_refused(event, _context):
    """A node that refuses to start ends the launch."""
    if event.returncode == REFUSED:
        # An error, so that the launch ends with an exit code of its own: a shutdown would count as success.
        raise RuntimeError(f'{event.process_name} refused to start; its message is above')
    return None


def fine_tune(context):
    """The node, with every argument known."""
    def argument(name):
        return LaunchConfiguration(name).perform(context)

    files = [os.path.join(SHARE, 'config', 'finetune.yaml')]
    if argument('params_file'):
        files.append(argument('params_file'))
    told = {'runs': argument('runs'), 'template': argument('template')}
    return [Node(package='thinkvla', executable='finetune_node', name='finetune_node', output='screen',
                 namespace=argument('namespace'), parameters=[*files, told],
                 arguments=['--ros-args', '--log-level', argument('log_level')],
                 on_exit=stop_when_refused, additional_env=ENDS_WITH_LAUNCH)]


def generate_launch_description():
    """finetune_node."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=fine_tune)])
