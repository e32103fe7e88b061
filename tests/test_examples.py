"""Tests that the programs of examples/ run as their first lines say, on small inputs."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAMS = pathlib.Path(os.environ.get('CARGO_TARGET_DIR', ROOT / 'target')) / 'debug'


def run(program, *arguments, stdin=None):
    done = subprocess.run([PROGRAMS / program, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested():
    shown = {path.stem for path in (ROOT / 'examples').glob('*.rs')}
    assert shown == set(re.findall(r"'examples/(\w+)'", pathlib.Path(__file__).read_text()))


def test_a_policy_acts_on_two_images(tmp_path):
    run('thinkvla', 'questions', tmp_path / 'questions', '--count', 1, '--wrist')
    top, wrist = (next((tmp_path / 'questions' / 'images').glob(f'*_{camera}.png')) for camera in ('top', 'wrist'))
    output = run('examples/policy_on_two_images', ROOT / 'checkpoints' / 'small', top, wrist, 'pick up the red block')
    title, *steps = output.splitlines()[:-1]
    assert title.split() == ['step', 'x', 'y', 'z', 'rx', 'ry', 'rz', 'gripper']
    assert len(steps) == 8
    assert all(abs(float(value)) < 0.2 for step in steps for value in step.split()[1:4])


def test_a_dataset_is_read(tmp_path):
    run('thinkvla', 'frames', tmp_path / 'frames', '--count', 2, '--seed', 5)
    output = run('examples/read_dataset', tmp_path / 'frames')
    assert output.startswith('2 episodes, 2 rows, 10 rows a second\n')
    assert 'action: x y z rx ry rz gripper' in output
    assert output.count('  chunk of 8: 1 rows recorded, 56 values') == 2
    assert output.count('observation.images.wrist: Jpeg') == 2


@pytest.mark.parametrize('last, ends', [('0 0 0 0', 'gives the lease back: let go'),
                                        ('1 5 0 0', 'gives the lease back: standard input: expected HELD X Y Z')])
def test_an_input_device_drives_and_lets_go(last, ends):
    output = run('examples/input_device', stdin=f'0 0 0 0\n1 0 0 0\n1 0 0 0\n1 0.5 0 0\n{last}\n').splitlines()
    assert output[:2] == ['nothing to do', 'asks for the lease']
    ways = [float(re.search(r'ends at \[(\S+),', line)[1]) for line in output[2:4]]
    assert ways[0] == 0.0 and 0 < ways[1] < 0.05
    assert output[4].startswith(ends)
