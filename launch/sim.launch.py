"""The simulated RM75 with both cameras behind Realman's topics, and everything of policy.launch.py on top of it."""
import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

HERE = os.path.dirname(os.path.abspath(__file__))
BOOLEAN = ['true', 'false']

ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of every node and topic'),
    DeclareLaunchArgument('params_file', default_value='', description='Parameter file laid over the shipped ones'),
    DeclareLaunchArgument('checkpoint', default_value='',
                          description='Checkpoint directory; empty starts no policy, as for the scripted expert'),
    DeclareLaunchArgument('autostart', default_value='true', choices=BOOLEAN,
                          description='Configure and activate the policy at once; false leaves it to ros2 lifecycle'),
    DeclareLaunchArgument('dry_run', default_value='false', choices=BOOLEAN,
                          description='Compute and show arm commands without sending them'),
    DeclareLaunchArgument('rviz', default_value='false', choices=BOOLEAN, description='Open rviz'),
    DeclareLaunchArgument('log_level', default_value='info', choices=['debug', 'info', 'warn', 'error'],
                          description='Least severe messages shown'),
]


def generate_launch_description():
    """policy.launch.py with sim:=true."""
    passed = {argument.name: LaunchConfiguration(argument.name) for argument in ARGUMENTS}
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(HERE, 'policy.launch.py')),
        launch_arguments={**passed, 'sim': 'true'}.items())
    return LaunchDescription([*ARGUMENTS, include])
