"""The simulated RM75 with both cameras behind Realman's topics, and everything of policy.launch.py on top of it."""
import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

HERE = os.path.dirname(os.path.abspath(__file__))
# ROS loads launch files by their paths and does not look for modules beside them.
sys.path.append(HERE)
from thinkvla_nodes import BOOLEAN, LOG_LEVEL, checked  # noqa: E402

ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='sim',
                          description='Namespace of every node and topic; one without a real driver'),
    DeclareLaunchArgument('params_file', default_value='', description='Parameter file laid over the shipped ones'),
    DeclareLaunchArgument('checkpoint', default_value='',
                          description='Checkpoint directory; empty starts no policy, as for the scripted expert'),
    DeclareLaunchArgument('autostart', default_value='true', choices=BOOLEAN,
                          description='Configure and activate the policy at once; false leaves it to ros2 lifecycle'),
    DeclareLaunchArgument('dry_run', default_value='false', choices=BOOLEAN,
                          description='Compute and show arm commands without sending them'),
    DeclareLaunchArgument('rviz', default_value='false', choices=BOOLEAN, description='Open rviz'),
    DeclareLaunchArgument('use_sim_time', default_value='false', choices=BOOLEAN,
                          description='Take the time from /clock, which the simulator publishes then'),
    DeclareLaunchArgument('task', default_value='height', choices=['height', 'container', 'position'],
                          description='Task of the first episode'),
    DeclareLaunchArgument('variation', default_value='0', choices=['0', '1', '2'],
                          description='Level of the factor that the task is about'),
    DeclareLaunchArgument('seed', default_value='0', description='Draws the rest of the first episode'),
    DeclareLaunchArgument('expert', default_value='false', choices=BOOLEAN,
                          description='The scripted expert drives the first episode'),
    LOG_LEVEL,
]


def generate_launch_description():
    """Returns policy.launch.py with sim:=true."""
    passed = {argument.name: LaunchConfiguration(argument.name) for argument in ARGUMENTS}
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(HERE, 'policy.launch.py')),
        launch_arguments={**passed, 'sim': 'true'}.items())
    return LaunchDescription([*checked(ARGUMENTS), include])
