"""Brings up everything between cameras and arm: arm node, policy, cameras, robot model, static frames, rviz.

On a real arm start Realman's own driver first, then this, in dry run:
    ros2 launch thinkvla policy.launch.py checkpoint:=DIR calibration:=FILE
and with dry_run:=false once what rviz shows is right.
"""
import math
import os
import sys
import xml.etree.ElementTree as ElementTree

import yaml
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch_ros.actions import Node

HERE = os.path.dirname(os.path.abspath(__file__))
# ROS loads launch files by their paths and does not look for modules beside them.
sys.path.append(HERE)
from thinkvla_nodes import (BOOLEAN, LOG_LEVEL, SIM_AND_NAMESPACE, checked, installed, number, own_node,  # noqa: E402
                            parameter_files, value_of)

SHARE = os.path.dirname(HERE)

ARGUMENTS = [
    *SIM_AND_NAMESPACE,
    DeclareLaunchArgument('params_file', default_value='',
                          description="ROS parameter file laid over the nodes' own values"),
    DeclareLaunchArgument('robot', default_value='',
                          description='File that describes the arm, as config/robots/rm75.yaml; empty takes that one'),
    DeclareLaunchArgument('checkpoint', default_value='', description='Checkpoint directory; empty starts no policy'),
    DeclareLaunchArgument('autostart', default_value='true', choices=BOOLEAN,
                          description='Configure and activate the policy at once; false leaves it to ros2 lifecycle'),
    DeclareLaunchArgument('dry_run', default_value='auto', choices=['auto', *BOOLEAN],
                          description='Compute and show arm commands without sending them; auto: true on a real arm, '
                                      'false with sim:=true'),
    DeclareLaunchArgument('rviz', default_value='false', choices=BOOLEAN, description='Open rviz'),
    DeclareLaunchArgument('urdf', default_value=os.path.join(SHARE, 'urdf', 'rm75.urdf'),
                          description='Robot description'),
    DeclareLaunchArgument('calibration', default_value='',
                          description='Camera calibration file (see config/robots/sim_cameras.yaml): static frames; '
                                      'empty keeps those of the robot description'),
    DeclareLaunchArgument('cameras', default_value='top,wrist', description='Names of the cameras, comma separated'),
    DeclareLaunchArgument('camera_package', default_value='',
                          description='Package of the camera driver, e.g. v4l2_camera; empty starts none'),
    DeclareLaunchArgument('camera_executable', default_value='',
                          description='Executable of the camera driver, e.g. v4l2_camera_node'),
    DeclareLaunchArgument('camera_params_file', default_value='',
                          description='Parameters of the camera drivers, whose nodes are called <camera>_camera'),
    DeclareLaunchArgument('camera_arguments', default_value='',
                          description='Further command line arguments of each camera driver'),
    DeclareLaunchArgument('camera_topic', default_value='image_raw',
                          description='Image topic of the driver, remapped to <camera>/image_raw'),
    DeclareLaunchArgument('camera_info_topic', default_value='camera_info',
                          description='camera_info topic of the driver, remapped to <camera>/camera_info'),
    DeclareLaunchArgument('use_sim_time', default_value='false', choices=BOOLEAN,
                          description='Take the time from /clock, which the simulator publishes with sim:=true'),
    DeclareLaunchArgument('task', default_value='height', choices=['height', 'container', 'position'],
                          description='With sim:=true: task of the first episode'),
    DeclareLaunchArgument('variation', default_value='0', choices=['0', '1', '2'],
                          description='With sim:=true: level of the factor that the task is about'),
    DeclareLaunchArgument('seed', default_value='0', description='With sim:=true: draws the rest of the first episode'),
    DeclareLaunchArgument('expert', default_value='false', choices=BOOLEAN,
                          description='With sim:=true: the scripted expert drives the first episode'),
    DeclareLaunchArgument('enclaves', default_value='',
                          description='Where the SROS2 enclaves of the nodes lie in the keystore, e.g. /thinkvla; empty '
                                      'gives the nodes none (see docs/reliability.md)'),
    LOG_LEVEL,
]


def is_number(value):
    """Returns whether a value is a finite number; YAML reads 1e-3 as a text."""
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def read_calibration(path):
    """Reads the frames of a calibration file; an error names the invalid entry."""
    if not path:
        return []
    if not os.path.isfile(path):
        raise RuntimeError(f'calibration:={path}: expected a calibration file, found none '
                           '(see config/robots/sim_cameras.yaml)')
    with open(path, encoding='utf-8') as file:
        described = yaml.safe_load(file)
    frames = described.get('frames') if isinstance(described, dict) else None
    if not isinstance(frames, list):
        raise RuntimeError(f'{path}: expected a list called frames (see config/robots/sim_cameras.yaml)')
    for index, frame in enumerate(frames):
        vectors = isinstance(frame, dict) and all(
            isinstance(frame.get(key), list) and len(frame[key]) == 3
            and all(map(is_number, frame[key])) for key in ('xyz', 'rpy'))
        if not vectors or not frame.get('parent') or not frame.get('child'):
            raise RuntimeError(f'{path}: frames[{index}]: expected parent, child, xyz [m] and rpy [rad] of three '
                               f'numbers each, found {frame}')
    return frames


def calibrated(urdf_path, frames):
    """Returns the robot description with calibrated camera frames, and the frames that it does not contain, so that no
    frame is published twice."""
    robot = ElementTree.parse(urdf_path).getroot()
    joints = {joint.find('child').get('link'): joint for joint in robot.findall('joint')}
    missing = []
    for frame in frames:
        joint = joints.get(frame['child'])
        if joint is None:
            missing.append(frame)
            continue
        if joint.find('parent').get('link') != frame['parent'] or joint.get('type') != 'fixed':
            raise RuntimeError(f"{urdf_path}: {frame['child']}: expected a fixed joint from {frame['parent']}, as in "
                               f"the calibration file, found a {joint.get('type')} joint from "
                               f"{joint.find('parent').get('link')}")
        origin = joint.find('origin')
        if origin is None:
            origin = ElementTree.SubElement(joint, 'origin')
        for key in ('xyz', 'rpy'):
            origin.set(key, ' '.join(str(float(value)) for value in frame[key]))
    return ElementTree.tostring(robot, encoding='unicode'), missing


def bring_up(context):
    """Returns the nodes, with all arguments resolved."""
    def argument(name):
        return value_of(context, name)

    sim = argument('sim') == 'true'
    dry_run = not sim if argument('dry_run') == 'auto' else argument('dry_run') == 'true'
    # The simulator renders as fast as the machine allows; the node's own limits are for real cameras.
    policy_files = [os.path.join(SHARE, 'config', 'nodes', 'policy_sim.yaml')] if sim else []
    files = parameter_files(context, 'params_file')
    robot = {'robot': argument('robot')} if argument('robot') else {}
    common = {'namespace': argument('namespace'), 'output': 'screen'}
    ros_arguments = ['--ros-args', '--log-level', argument('log_level')]
    use_sim_time = argument('use_sim_time') == 'true'
    # The simulator gives the time only if the argument says so; elsewhere a parameter file may say it as well.
    clock = [{'use_sim_time': use_sim_time}] if sim or use_sim_time else []

    def ours(executable, *parameters, shipped=(), time=clock):
        enclave = ['--enclave', f"{argument('enclaves').rstrip('/')}/{executable}"] if argument('enclaves') else []
        return own_node(executable, namespace=argument('namespace'), arguments=[*ros_arguments, *enclave],
                        parameters=[*shipped, *files, *time, *parameters])

    def optional(package, executable, reason, **kwargs):
        if installed(package):
            return Node(package=package, executable=executable, arguments=kwargs.pop('arguments', []) + ros_arguments,
                        **common, **kwargs)
        return LogInfo(msg=f'{package} is not installed: {reason}')

    actions = [LogInfo(msg='dry run: arm commands are shown, not sent')] if dry_run else []
    if sim:
        # The node that publishes /clock cannot take its time from it.
        actions.append(ours('sim_node', {
            'task': argument('task'), 'variation': int(argument('variation')), 'seed': number(context, 'seed', int),
            'expert': argument('expert') == 'true', 'publish_clock': use_sim_time},
            time=[{'use_sim_time': False}]))
    # In a simulation the arm node accepts no driver but sim_node, whatever else is in the graph.
    driver = {'driver_node': 'sim_node'} if sim else {}
    actions.append(ours('arm_node', {'dry_run': dry_run, **robot, **driver}))
    if argument('checkpoint'):
        actions.append(ours('policy_node', {'checkpoint': argument('checkpoint'),
                                            'autostart': argument('autostart') == 'true', **robot},
                            shipped=policy_files))
    else:
        actions.append(LogInfo(msg='no checkpoint given: no policy is started'))

    frames = read_calibration(argument('calibration'))
    description, missing = calibrated(argument('urdf'), frames)
    actions.append(optional('robot_state_publisher', 'robot_state_publisher', 'no robot model in tf and rviz',
                            parameters=[{'robot_description': description}, *clock]))
    for frame in missing:
        pose = [str(float(value)) for value in [*frame['xyz'], *frame['rpy']]]
        options = [part for key, value in zip(('x', 'y', 'z', 'roll', 'pitch', 'yaw'), pose)
                   for part in (f'--{key}', value)]
        actions.append(optional('tf2_ros', 'static_transform_publisher', f"no static frame {frame['child']}",
                                name=f"{frame['child']}_publisher",
                                arguments=[*options, '--frame-id', frame['parent'],
                                           '--child-frame-id', frame['child']]))

    cameras = [camera.strip() for camera in argument('cameras').split(',') if camera.strip()]
    if argument('camera_package') and not sim:
        driver_files = parameter_files(context, 'camera_params_file')
        for camera in cameras:
            topic, info = argument('camera_topic'), argument('camera_info_topic')
            actions.append(optional(
                argument('camera_package'), argument('camera_executable'), f'no driver for camera {camera}',
                name=f'{camera}_camera', parameters=[*driver_files, *clock],
                arguments=argument('camera_arguments').split(),
                remappings=[(topic, f'{camera}/image_raw'), (f'{topic}/compressed', f'{camera}/image_raw/compressed'),
                            (info, f'{camera}/camera_info')]))

    if argument('rviz') == 'true':
        # The rviz file has absolute topic names; in a namespace they are remapped.
        shown = ('robot_description', 'planned_path_markers', 'workspace_markers',
                 *(f'{camera}/image_raw' for camera in cameras))
        actions.append(optional('rviz2', 'rviz2', 'nothing to look at',
                                arguments=['-d', os.path.join(SHARE, 'rviz', 'policy.rviz')], parameters=clock,
                                remappings=[(f'/{name}', name) for name in shown]))
    return actions


def generate_launch_description():
    """Returns the arguments and the nodes."""
    return LaunchDescription([*checked(ARGUMENTS), OpaqueFunction(function=bring_up)])
