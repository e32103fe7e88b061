"""Records episodes: starts the recorder, the operator's input, and everything of policy.launch.py without a policy.

    ros2 launch thinkvla collect.launch.py sim:=true operator:=gamepad dataset:=out/data/mine \\
        instructions:='lift the block'
Keys and buttons start, save and discard; so do the services:
    ros2 service call /sim/record_node/start std_srvs/srv/Trigger
"""
import os
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

HERE = os.path.dirname(os.path.abspath(__file__))
# ROS loads launch files by their paths and does not look for modules beside them.
sys.path.append(HERE)
from thinkvla_nodes import (BOOLEAN, LOG_LEVEL, OPERATOR, OPERATORS, SIM_AND_NAMESPACE, checked, number,  # noqa: E402
                            own_node, parameter_files, value_of)

# Passed on to policy.launch.py.
PASSED = [
    *SIM_AND_NAMESPACE,
    DeclareLaunchArgument('params_file', default_value='',
                          description='Parameter file of all nodes, laid over the shipped ones'),
    DeclareLaunchArgument('robot', default_value='',
                          description='File that describes the arm, as config/robots/rm75.yaml; empty takes that one'),
    DeclareLaunchArgument('checkpoint', default_value='',
                          description='Checkpoint directory of a policy to be corrected; empty starts none'),
    DeclareLaunchArgument('dry_run', default_value='auto', choices=['auto', *BOOLEAN],
                          description='Compute and show arm commands without sending them; auto: true on a real arm, '
                                      'false with sim:=true'),
    DeclareLaunchArgument('rviz', default_value='false', choices=BOOLEAN, description='Open rviz'),
    DeclareLaunchArgument('calibration', default_value='',
                          description='Camera calibration file (see config/robots/sim_cameras.yaml)'),
    DeclareLaunchArgument('camera_package', default_value='',
                          description='Package of the camera driver, e.g. v4l2_camera; empty starts none'),
    DeclareLaunchArgument('camera_executable', default_value='',
                          description='Executable of the camera driver, e.g. v4l2_camera_node'),
    DeclareLaunchArgument('camera_params_file', default_value='', description='Parameters of the camera drivers'),
    LOG_LEVEL,
]
OWN = [
    DeclareLaunchArgument('dataset', default_value='', description='Folder of the dataset: new, or one to go on with'),
    DeclareLaunchArgument('contract', default_value='',
                          description='contract.yaml whose robot is recorded; empty takes an RM75 with a top and a '
                                      'wrist camera of 640x480'),
    DeclareLaunchArgument('instruction', default_value='', description='What the episodes are of, in words'),
    DeclareLaunchArgument('fps', default_value='',
                          description='Rows a second; empty takes that of the parameter file, or 10'),
    DeclareLaunchArgument('operator', default_value='none', choices=['none', *OPERATORS],
                          description='What a person drives the arm with; none starts no teleop_node'),
]


def included(file, arguments):
    """Includes another launch file of this package, and passes these arguments on."""
    passed = {argument.name: LaunchConfiguration(argument.name) for argument in arguments}
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(os.path.join(HERE, file)),
                                    launch_arguments=passed.items())


def record(context):
    """Returns the recorder and the operator's launch file, with all arguments resolved."""
    def argument(name):
        return value_of(context, name)

    values = {name: argument(name) for name in ('dataset', 'contract', 'instruction') if argument(name)}
    if argument('fps'):
        values['fps'] = number(context, 'fps', float)
    parameters = [*parameter_files(context, 'params_file'), *([values] if values else [])]
    actions = [own_node('record_node', namespace=argument('namespace'), parameters=parameters,
                        arguments=['--ros-args', '--log-level', argument('log_level')])]
    if argument('operator') != 'none':
        shared = [given for given in [*PASSED, *OWN]
                  if given.name in ('namespace', 'params_file', 'robot', 'log_level', 'operator')]
        actions.append(included('teleop.launch.py', [*shared, *OPERATOR]))
    return actions


def generate_launch_description():
    """Returns policy.launch.py, record_node, and teleop.launch.py if there is an operator."""
    return LaunchDescription([*checked([*PASSED, *OWN, *OPERATOR]), included('policy.launch.py', PASSED),
                              OpaqueFunction(function=record)])
