"""Tests of the tools: a build says what it lacks and how far it is, and two folders are compared."""
import importlib.util
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def program(path, lines):
    """Writes a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(['#!/bin/sh', *lines]) + '\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def lacking(tmp_path):
    """Returns a function that runs lacking.sh on a machine with ROS, this Rust and these variables, and nothing else."""
    def run(rust, **variables):
        program(tmp_path / 'bin' / 'cargo', [f'echo "cargo {rust} (0123 2026-01-01)"'])
        environment = {'PATH': f'{tmp_path}/bin:/usr/bin:/bin', 'HOME': str(tmp_path), 'ROS_DISTRO': 'jazzy', **variables}
        return subprocess.run([str(ROOT / 'tools' / 'setup' / 'lacking.sh'), '--nodes'], env=environment,
                              capture_output=True, text=True, timeout=60)

    return run


def test_a_build_without_its_generator_names_the_command_that_brings_it(lacking):
    done = lacking('99.0.0')
    assert done.returncode == 1
    assert 'the Rust message generator is missing' in done.stderr and str(ROOT / 'tools' / 'setup.sh') in done.stderr


def test_a_build_without_ros_names_the_command_that_sources_it(lacking):
    done = lacking('99.0.0', THINKVLA_BINDGEN='true', ROS_DISTRO='')
    assert done.returncode == 1 and 'no ROS 2 is sourced' in done.stderr and 'setup.bash' in done.stderr


def test_nodes_that_are_not_built_are_named(lacking):
    done = lacking('99.0.0', THINKVLA_BINDGEN='true')
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and all('NOT BUILT' in line and 'tools/setup.sh' in line for line in lines)
    assert 'policy_node' in lines[0] and 'sim_node' in lines[1]


def test_a_feature_that_was_asked_for_is_not_left_out(lacking):
    done = lacking('99.0.0', THINKVLA_BINDGEN='true', THINKVLA_FEATURES='ros,torch')
    assert done.returncode == 1 and 'the feature torch needs' in done.stderr


def test_a_rust_that_is_too_old_is_refused(lacking):
    done = lacking('1.75.0', THINKVLA_BINDGEN='true')
    assert done.returncode == 1 and 'or newer, found 1.75.0' in done.stderr


def test_packages_for_another_python_lie_in_folders_of_their_own(tmp_path):
    versions = ROOT / 'tools' / 'setup' / 'versions.sh'

    def folders():
        script = f'set -euo pipefail; . {versions}; echo "$python_dir"; echo "$ros_dir"; echo "$bindgen_dir"'
        environment = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'THINKVLA_DEPS': str(tmp_path / 'deps')}
        done = subprocess.run(['bash', '-c', script], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [pathlib.Path(line) for line in done.stdout.splitlines()]

    python, *before = folders()
    (python / 'lib' / 'python3.11').mkdir(parents=True)
    assert folders()[1:] == before
    (python / 'lib' / 'python3.11').rename(python / 'lib' / 'python3.12')
    assert folders()[1:] == [path.with_name(f'{path.name}-python3.12') for path in before]


def module(path):
    """Loads a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_progress_is_told_where_there_is_no_terminal(tmp_path, capfd, monkeypatch):
    progress = module(ROOT / 'tools' / 'setup' / 'progress.py')
    monkeypatch.setattr(progress, 'EVERY_S', 0.0)
    cargo = program(tmp_path / 'cargo', [
        r"printf '   Compiling serde v1.0.0\n    Building [==>  ] 3/40: serde, tch\r' >&2",
        r"printf 'error: cannot find it\n' >&2", 'exit 101'])
    assert progress.main([str(cargo), 'build']) == 101
    out, err = capfd.readouterr()
    assert out.startswith('build: 3 of 40 crates, 37 left, ') and out.endswith('; compiling serde, tch\n')
    assert err == 'error: cannot find it\n'


def compare(a, b):
    command = [sys.executable, str(ROOT / 'tools' / 'check' / 'compare_folders.py'), str(a), str(b)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize('name, a, b, equal', [
    ('weights.bin', 'one', 'two', False),
    ('runs/metrics.jsonl', '{"loss": 1, "seconds": 2.0}', '{"loss": 1, "seconds": 3.0}', True),
    ('runs/metrics.jsonl', '{"loss": 1, "seconds": 2.0}', '{"loss": 2, "seconds": 2.0}', False),
    ('eval/eval.json', '{"trials": [{"seconds": 1}], "cost": 1}', '{"trials": [{"seconds": 2}], "cost": 1}', False),
    ('printed/frames.txt', '24 frames in 3 s', '24 frames in 4 s', True),
    ('printed/frames.txt', '24 frames in 3 s', '25 frames in 3 s', False),
])
def test_folders_differ_in_all_but_times(tmp_path, name, a, b, equal):
    for side, text in (('a', a), ('b', b)):
        (tmp_path / side / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / side / name).write_text(text)
    done = compare(tmp_path / 'a', tmp_path / 'b')
    assert done.returncode == (0 if equal else 1), done.stdout
    assert equal or name in done.stdout


def test_a_file_that_one_side_lacks_is_a_difference(tmp_path):
    for side in 'ab':
        (tmp_path / side).mkdir()
        (tmp_path / side / 'both').touch()
    (tmp_path / 'b' / 'extra').touch()
    done = compare(tmp_path / 'a', tmp_path / 'b')
    assert done.returncode == 1 and 'extra: only in the second' in done.stdout
