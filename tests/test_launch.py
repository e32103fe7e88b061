"""Tests of the launch files: arguments are described, invalid ones are refused, and the right nodes start."""
import os
import pathlib
import stat
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = ['policy.launch.py', 'sim.launch.py', 'collect.launch.py', 'teleop.launch.py', 'finetune.launch.py']
CALIBRATION = ROOT / 'config' / 'robots' / 'sim_cameras.yaml'
NODE = '''#!/usr/bin/env python3
import os, sys, yaml
lines = ["\\t".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])]
for i, word in enumerate(sys.argv):
    if word == "--params-file":
        for section in (yaml.safe_load(open(sys.argv[i + 1])) or {}).values():
            for name, value in section["ros__parameters"].items():
                lines.append("\\t" + " ".join(f"{name}: {value}".split()))
with open(os.environ["CALLS"], "a") as calls:
    calls.write("\\n".join(lines) + "\\n")
sys.exit(int(os.environ.get("REFUSES") == os.path.basename(sys.argv[0])) * 2)
'''


@pytest.fixture
def launch(tmp_path):
    """Returns a function that runs a launch file with nodes that only log how they were called."""
    package = tmp_path / 'prefix' / 'lib'
    for path in ('thinkvla/arm_node', 'thinkvla/policy_node', 'thinkvla/sim_node', 'thinkvla/record_node',
                 'thinkvla/teleop_node', 'thinkvla/finetune_node', 'joy/joy_node', 'robot_state_publisher/robot_state_publisher', 'tf2_ros/static_transform_publisher', 'rviz2/rviz2',
                 'some_camera/driver'):
        node = package / path
        node.parent.mkdir(parents=True, exist_ok=True)
        node.write_text(NODE)
        node.chmod(node.stat().st_mode | stat.S_IXUSR)
        index = tmp_path / 'prefix' / 'share' / 'ament_index' / 'resource_index' / 'packages'
        index.mkdir(parents=True, exist_ok=True)
        (index / node.parent.name).touch()

    def run(file, *arguments, refuses=''):
        calls = tmp_path / 'calls'
        calls.write_text('')
        paths = [str(tmp_path / 'prefix'), os.environ.get('AMENT_PREFIX_PATH', '')]
        environment = {**os.environ, 'AMENT_PREFIX_PATH': os.pathsep.join(filter(None, paths)), 'CALLS': str(calls),
                       'REFUSES': refuses}
        done = subprocess.run([sys.executable, str(ROOT / 'tools' / 'check' / 'mini_launch.py'), str(ROOT / 'launch' / file),
                               *arguments], env=environment, capture_output=True, text=True, timeout=60)
        return done, calls.read_text()

    return run


def started(calls):
    return sorted(line.split('\t')[0] for line in calls.splitlines() if not line.startswith('\t'))


@pytest.mark.parametrize('file', FILES)
def test_every_argument_is_described(file):
    shown = subprocess.run([sys.executable, str(ROOT / 'tools' / 'check' / 'mini_launch.py'), '--show-args',
                            str(ROOT / 'launch' / file)], capture_output=True, text=True, check=True, timeout=60).stdout
    entries = shown.strip().split("\n'")
    assert len(entries) >= 5
    for entry in entries:
        name, description, default = entry.splitlines()[:3]
        assert len(description.split()) >= 2 and default.strip().startswith('(default:'), name


def test_a_real_arm_starts_in_dry_run_and_without_a_simulator(launch):
    done, calls = launch('policy.launch.py', 'checkpoint:=/some/checkpoint')
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['arm_node', 'policy_node', 'robot_state_publisher']
    assert 'dry_run: True' in calls and 'checkpoint: /some/checkpoint' in calls
    assert 'robot name="rm75"' in calls
    assert '__ns' not in calls and 'driver_node' not in calls
    # the node's own limits are those of real cameras
    assert not any(name in calls for name in ('camera_age_limit', 'camera_periods', 'inference_limit', 'rate_tolerance'))


def test_collecting_starts_the_recorder_beside_a_simulated_arm(launch):
    done, calls = launch('collect.launch.py', 'sim:=true', 'dataset:=/some/set', 'instruction:=lift it')
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['arm_node', 'record_node', 'robot_state_publisher', 'sim_node']
    assert 'dataset: /some/set' in calls and 'instruction: lift it' in calls
    assert calls.count('__ns:=/sim') == 4


@pytest.mark.parametrize('file, arguments', [('sim.launch.py', []), ('policy.launch.py', ['sim:=true'])])
def test_a_simulation_stays_where_no_real_driver_hears_it_and_obeys_no_other(launch, file, arguments):
    done, calls = launch(file, *arguments)
    assert done.returncode == 0, done.stderr
    assert calls.count('__ns:=/sim') == 3 and 'driver_node: sim_node' in calls
    _, calls = launch(file, *arguments, 'namespace:=left')
    assert '__ns:=/sim' not in calls and 'driver_node: sim_node' in calls


def test_a_policy_is_more_patient_with_a_simulation(launch):
    done, calls = launch('sim.launch.py', 'checkpoint:=/some/checkpoint')
    assert done.returncode == 0, done.stderr
    assert 'camera_age_limit: 0.5' in calls and 'rate_tolerance: 0.75' in calls and 'camera_periods: 0.0' in calls


def test_fine_tuning_starts_one_node_with_its_own_parameters(launch):
    done, calls = launch('finetune.launch.py', 'runs:=/some/runs', 'namespace:=left')
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['finetune_node']
    assert 'runs: /some/runs' in calls and 'niceness: 10' in calls and '__ns:=/left' in calls
    assert calls.count('\ttemplate:') == 1


def test_an_operator_comes_with_what_reads_their_hand(launch):
    done, calls = launch('collect.launch.py', 'sim:=true', 'operator:=gamepad', 'namespace:=left',
                         'instructions:=lift it; push it')
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['arm_node', 'joy_node', 'record_node', 'robot_state_publisher', 'sim_node', 'teleop_node']
    assert 'mapping: gamepad' in calls and "instructions: ['lift it', 'push it']" in calls
    assert calls.count('__ns:=/left') == 6


def test_a_keyboard_may_have_a_terminal_of_its_own(launch, tmp_path):
    terminal = tmp_path / 'terminal'
    terminal.write_text('#!/bin/sh\necho "terminal\t$*" >> "$CALLS"\nshift\nexec "$@"\n')
    terminal.chmod(0o755)
    done, calls = launch('teleop.launch.py', f'terminal:={terminal} -e')
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['teleop_node', 'terminal']
    assert 'mapping: keyboard' in calls and 'instructions' not in calls


def test_the_simulation_sends_commands(launch):
    done, calls = launch('sim.launch.py', 'namespace:=left', 'rviz:=true')
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['arm_node', 'robot_state_publisher', 'rviz2', 'sim_node']
    assert 'dry_run: False' in calls
    assert calls.count('__ns:=/left') == 4
    assert '/planned_path_markers:=planned_path_markers' in calls


def test_the_first_episode_and_the_clock_of_a_simulation_can_be_chosen(launch):
    done, calls = launch('sim.launch.py', 'task:=position', 'variation:=2', 'seed:=7', 'expert:=true', 'use_sim_time:=true')
    assert done.returncode == 0, done.stderr
    simulator = calls[calls.index('sim_node\t'):].split('\n')[1:]
    parameters = {line.strip() for line in simulator[:next((i for i, line in enumerate(simulator) if line[:1] != '\t'), None)]}
    assert {'task: position', 'variation: 2', 'seed: 7', 'expert: True', 'publish_clock: True', 'use_sim_time: False'} <= parameters
    assert calls.count('use_sim_time: True') == 2
    done, _ = launch('sim.launch.py', 'task:=stacking')
    assert done.returncode != 0 and 'position' in done.stderr


def test_any_camera_driver_can_be_named_and_remapped(launch):
    done, calls = launch('policy.launch.py', 'camera_package:=some_camera', 'camera_executable:=driver',
                         'camera_topic:=color/image', 'camera_arguments:=--fast', 'cameras:=top, wrist')
    assert done.returncode == 0, done.stderr
    drivers = [line for line in calls.splitlines() if line.startswith('driver')]
    assert len(drivers) == 2 and all('--fast' in driver for driver in drivers)
    for camera in ('top', 'wrist'):
        assert any(f'__node:={camera}_camera' in d and f'color/image:={camera}/image_raw' in d for d in drivers)


def test_what_is_not_installed_is_skipped_by_name(launch):
    done, _ = launch('policy.launch.py', 'camera_package:=no_such_camera', 'camera_executable:=driver')
    assert done.returncode == 0, done.stderr
    assert 'no_such_camera is not installed: no driver for camera top' in done.stdout


@pytest.mark.parametrize('arguments, complaint', [
    (['dry_run:=perhaps'], "dry_run: expected one of auto, true, false, found 'perhaps'"),
    (['dry_runn:=true'], 'unknown launch argument dry_runn: expected dry_run;'),
    (['params_file:=/no/such.yaml'], 'params_file:=/no/such.yaml: expected a parameter file, found none'),
    (['camera_package:=some_camera', 'camera_executable:=driver', 'camera_params_file:=/no/such.yaml'],
     'camera_params_file:=/no/such.yaml: expected a parameter file, found none'),
    (['sim:=true', 'seed:=first'], 'seed:=first: expected a whole number'),
    (['calibration:=/no/such.yaml'], '/no/such.yaml: expected a calibration file, found none'),
    (['calibration:=/dev/zero'], '/dev/zero: expected a calibration file, found none'),
])
def test_arguments_that_cannot_work_are_refused(launch, arguments, complaint):
    done, _ = launch('policy.launch.py', *arguments)
    assert done.returncode != 0 and complaint in done.stderr


@pytest.mark.parametrize('file, argument, meant', [
    ('sim.launch.py', 'variaton:=1', 'variation'),
    ('collect.launch.py', 'oprator:=gamepad', 'operator'),
    ('collect.launch.py', 'calibraton:=here', 'calibration'),
    ('teleop.launch.py', 'after_relase:=hand_back', 'after_release'),
    ('finetune.launch.py', 'run:=here', 'runs'),
])
def test_every_launch_file_refuses_misspelt_arguments(launch, file, argument, meant):
    done, calls = launch(file, argument)
    name = argument.split(':=')[0]
    assert done.returncode != 0 and f'unknown launch argument {name}: expected {meant};' in done.stderr
    assert not calls


def test_a_launch_file_of_others_may_have_arguments_of_any_name(launch, tmp_path):
    theirs = tmp_path / 'theirs.py'
    theirs.write_text(f'''
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def generate_launch_description():
    source = PythonLaunchDescriptionSource("{ROOT / 'launch' / 'policy.launch.py'}")
    return LaunchDescription([DeclareLaunchArgument("robots", default_value="2"),
                              IncludeLaunchDescription(source, launch_arguments=[("robots", "2")])])
''')
    done, calls = launch(theirs)
    assert done.returncode == 0, done.stderr
    assert started(calls) == ['arm_node', 'robot_state_publisher']


def test_a_parameter_file_reaches_every_node_that_is_started(launch, tmp_path):
    params = tmp_path / 'params.yaml'
    params.write_text(yaml.safe_dump({'/**': {'ros__parameters': {'of_the_file': 'yes'}}}))
    own = ['arm_node', 'policy_node', 'record_node', 'sim_node', 'teleop_node']
    done, calls = launch('collect.launch.py', 'sim:=true', 'checkpoint:=/some/checkpoint', 'operator:=keyboard',
                         f'params_file:={params}')
    assert done.returncode == 0, done.stderr
    nodes = [node for node in calls.split('\n') if node and not node.startswith('\t')]
    assert sorted(node.split('\t')[0] for node in nodes if str(params) in node) == own
    # What no argument says is left to the file.
    lines = calls[calls.index('record_node\t'):].split('\n')[1:]
    lines = lines[:next((i for i, line in enumerate(lines) if line[:1] != '\t'), None)]
    assert [line.split(':')[0].strip() for line in lines] == ['of_the_file']


def test_the_home_folder_is_known_where_shells_leave_it(launch, monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'params.yaml').write_text('{}')
    done, calls = launch('policy.launch.py', 'checkpoint:=~/base', 'params_file:=~/params.yaml')
    assert done.returncode == 0, done.stderr
    assert f'checkpoint: {tmp_path}/base' in calls and f'\t{tmp_path}/params.yaml' in calls


def test_the_clock_of_a_parameter_file_counts_on_a_real_arm_alone(launch):
    _, calls = launch('policy.launch.py')
    assert 'use_sim_time' not in calls
    _, calls = launch('policy.launch.py', 'sim:=true')
    assert calls.count('use_sim_time: False') >= 2


def test_a_calibration_of_another_form_is_refused_by_name(launch, tmp_path):
    path = tmp_path / 'calibration.yaml'
    path.write_text('- {parent: base_link, child: top_camera_link}')
    done, _ = launch('policy.launch.py', f'calibration:={path}')
    assert done.returncode != 0 and f'{path}: expected a list called frames' in done.stderr


@pytest.mark.parametrize('file, node', [('collect.launch.py', 'record_node'), ('finetune.launch.py', 'finetune_node')])
def test_nodes_beside_the_policy_end_their_launch_too(launch, file, node):
    done, _ = launch(file, refuses=node)
    assert done.returncode != 0, done.stdout
    assert f'{node} refused to start' in done.stdout


def test_a_node_that_refuses_its_parameters_ends_the_launch(launch):
    done, _ = launch('policy.launch.py', 'checkpoint:=/some/checkpoint', refuses='policy_node')
    assert done.returncode == 1
    assert 'policy_node refused to start' in done.stdout


def test_calibrated_frames_are_published_once(launch, tmp_path):
    calibration = yaml.safe_load(CALIBRATION.read_text())
    calibration['frames'][0]['xyz'] = [0.1, '2e-1', 0.3]
    calibration['frames'].append({'parent': 'base_link', 'child': 'third_camera_link', 'xyz': [0, 0, 1],
                                  'rpy': [0, 0, 0]})
    path = tmp_path / 'calibration.yaml'
    path.write_text(yaml.safe_dump(calibration))
    done, calls = launch('policy.launch.py', f'calibration:={path}')
    assert done.returncode == 0, done.stderr
    assert 'xyz="0.1 0.2 0.3"' in calls
    publishers = [line for line in calls.splitlines() if line.startswith('static_transform_publisher')]
    assert len(publishers) == 1 and '--child-frame-id\tthird_camera_link' in publishers[0]


def test_a_broken_calibration_is_refused_by_entry(launch, tmp_path):
    path = tmp_path / 'calibration.yaml'
    for frame in ('xyz: [0, 0]', 'xyz: [0, 0, 0], rpy: [0, 0, half]', 'xyz: [0, 0, .inf], rpy: [0, 0, 0]'):
        path.write_text(f'frames: [{{parent: base_link, child: top_camera_link, {frame}}}]')
        done, _ = launch('policy.launch.py', f'calibration:={path}')
        assert done.returncode != 0 and 'frames[0]: expected parent, child' in done.stderr


def test_the_simulated_calibration_equals_the_robot_description():
    robot = ElementTree.parse(ROOT / 'urdf' / 'rm75.urdf')
    joints = {joint.find('child').get('link'): joint for joint in robot.findall('joint')}
    frames = yaml.safe_load(CALIBRATION.read_text())['frames']
    assert {frame['child'] for frame in frames} == {link for link in joints if 'camera' in link}
    for frame in frames:
        joint = joints[frame['child']]
        assert joint.find('parent').get('link') == frame['parent']
        for key in ('xyz', 'rpy'):
            values = [float(value) for value in joint.find('origin').get(key).split()]
            assert values == pytest.approx(frame[key], abs=1e-12), frame['child']
