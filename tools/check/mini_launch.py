#!/usr/bin/env python3
"""A STAND-IN for `ros2 launch`, for machines without it: NOT the ROS launch system.

    tools/check/mini_launch.py [--bin-dir DIR] [--show-args] thinkvla sim.launch.py [name:=value ...]
    tools/check/mini_launch.py [--bin-dir DIR] [--show-args] launch/sim.launch.py [name:=value ...]

Where launch_ros is installed it hands over to the real `ros2 launch`. Elsewhere it runs the part of the launch API that
this package's files use. Nodes of packages that are not installed are skipped with a line that says so. --bin-dir names
the folder with this package's executables when they are not installed. Like `ros2 launch` it ends with exit code 1 when
the launch itself fails, a handler of a node's end included, and with 0 however nodes end; unlike it, it refuses arguments
that the file does not declare.
"""
import importlib.util
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types

import yaml

LABEL = '[mini_launch, a stand-in for ros2 launch]'
GRACE_S = 5.0


class LaunchError(RuntimeError):
    """An invalid launch file or argument."""


def say(text):
    print(f'{LABEL} {text}', flush=True)


# --- the part of `launch` and `launch_ros` in use -------------------------------------------------------------------

class Context:
    """Launch arguments and the processes started so far."""

    def __init__(self, arguments, bin_dir):
        self.arguments, self.bin_dir = dict(arguments), bin_dir
        self.processes, self.names, self.scratch = [], set(), tempfile.mkdtemp(prefix='mini_launch_')
        self.ending, self.failed = threading.Event(), threading.Event()

    @property
    def launch_configurations(self):
        """The arguments by the name that they have in `launch`."""
        return self.arguments

    def child(self, arguments):
        """Returns the same launch with the arguments of an included file."""
        other = object.__new__(Context)
        other.__dict__.update(self.__dict__, arguments=dict(arguments))
        return other


def text(value, context):
    """Returns the text of a value: evaluates substitutions and joins lists."""
    if isinstance(value, (LaunchConfiguration, PythonExpression)):
        return value.perform(context)
    if isinstance(value, (list, tuple)):
        return ''.join(text(part, context) for part in value)
    return str(value)


class LaunchConfiguration:
    def __init__(self, variable_name):
        self.variable_name = variable_name

    def perform(self, context):
        if self.variable_name not in context.arguments:
            raise LaunchError(f'launch argument {self.variable_name} is used but not declared')
        return context.arguments[self.variable_name]


class PythonExpression:
    def __init__(self, expression):
        self.expression = expression

    def __repr__(self):
        return repr(''.join(str(getattr(part, 'variable_name', part)) for part in self.expression))

    def perform(self, context):
        return str(eval(text(self.expression, context), {}))


class LaunchDescription:
    def __init__(self, entities=()):
        self.entities = list(entities)


class DeclareLaunchArgument:
    def __init__(self, name, *, default_value=None, description='', choices=None):
        self.name, self.default_value, self.description, self.choices = name, default_value, description, choices

    def execute(self, context):
        if self.name not in context.arguments:
            if self.default_value is None:
                raise LaunchError(f'launch argument {self.name} is required: {self.description}')
            context.arguments[self.name] = text(self.default_value, context)
        value = context.arguments[self.name]
        context.names.add(self.name)
        if self.choices and value not in self.choices:
            raise LaunchError(f'launch argument {self.name}: expected one of {", ".join(self.choices)}, found {value!r}')


class LogInfo:
    def __init__(self, *, msg):
        self.msg = msg

    def execute(self, context):
        say(text(self.msg, context))


class OpaqueFunction:
    def __init__(self, *, function):
        self.function = function

    def execute(self, context):
        run(self.function(context) or [], context)


class PythonLaunchDescriptionSource:
    def __init__(self, location):
        self.location = location


class IncludeLaunchDescription:
    def __init__(self, source, *, launch_arguments=()):
        self.source, self.launch_arguments = source, launch_arguments

    def execute(self, context):
        passed = {name: text(value, context) for name, value in self.launch_arguments}
        run(load(self.source.location).entities, context.child(passed))


class ProcessExited:
    """Event that an on_exit handler receives."""

    def __init__(self, process_name, returncode):
        self.process_name, self.returncode = process_name, returncode


class Node:
    def __init__(self, *, package, executable, name=None, namespace='', parameters=(), remappings=(), arguments=(),
                 output='log', on_exit=None, prefix='', additional_env=None):
        self.package, self.executable, self.name, self.namespace = package, executable, name, namespace
        self.parameters, self.remappings, self.arguments = parameters, remappings, list(arguments)
        self.output, self.on_exit, self.prefix, self.additional_env = output, on_exit, prefix, additional_env or {}

    def path(self, context):
        if self.package == 'thinkvla' and context.bin_dir:
            return pathlib.Path(context.bin_dir, self.executable)
        for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
            found = pathlib.Path(prefix, 'lib', self.package, self.executable)
            if found.exists():
                return found
        return None

    def execute(self, context):
        path = self.path(context)
        if path is None or not path.exists():
            if self.package == 'thinkvla':
                raise LaunchError(f'{path or self.executable} is missing: build the package, or give its folder with '
                                  '--bin-dir')
            say(f'{self.package} is not installed: {self.executable} is skipped')
            return
        command = [*shlex.split(text(self.prefix, context)), str(path),
                   *(text(argument, context) for argument in self.arguments)]
        if '--ros-args' not in command:
            command.append('--ros-args')
        if self.name:
            command += ['-r', f'__node:={text(self.name, context)}']
        if text(self.namespace, context):
            command += ['-r', f'__ns:=/{text(self.namespace, context).strip("/")}']
        for source, target in self.remappings:
            command += ['-r', f'{text(source, context)}:={text(target, context)}']
        for parameters in self.parameters:
            command += ['--params-file', self.parameter_file(parameters, context)]
        process = subprocess.Popen(command, env={**os.environ, **self.additional_env}, start_new_session=True)
        say(f'{self.executable} started with pid {process.pid}')
        context.processes.append(process)
        threading.Thread(target=self.watch, args=(process, context), daemon=True).start()

    @staticmethod
    def parameter_file(parameters, context):
        if not isinstance(parameters, dict):
            path = text(parameters, context)
            if not os.path.isfile(path):
                raise LaunchError(f'parameter file {path} does not exist')
            return path
        handle, path = tempfile.mkstemp(suffix='.yaml', dir=context.scratch)
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            yaml.safe_dump({'/**': {'ros__parameters': parameters}}, file)
        return path

    def watch(self, process, context):
        code = process.wait()
        say(f'{self.executable} ended with exit code {code}')
        if self.on_exit:
            try:
                run(self.on_exit(ProcessExited(self.executable, code), context) or [], context)
            except RuntimeError as error:
                say(f'ending: {error}')
                context.failed.set()
                context.ending.set()


def pretend_to_be_launch():
    """Provides the modules that launch files import."""
    def module(name, **contents):
        made = types.ModuleType(name)
        made.__dict__.update(contents)
        sys.modules[name] = made

    module('launch', LaunchDescription=LaunchDescription)
    module('launch.actions', DeclareLaunchArgument=DeclareLaunchArgument, LogInfo=LogInfo,
           OpaqueFunction=OpaqueFunction, IncludeLaunchDescription=IncludeLaunchDescription)
    module('launch.launch_description_sources', PythonLaunchDescriptionSource=PythonLaunchDescriptionSource)
    module('launch.substitutions', LaunchConfiguration=LaunchConfiguration, PythonExpression=PythonExpression)
    module('launch_ros')
    module('launch_ros.actions', Node=Node)


# --- running a launch file ------------------------------------------------------------------------------------------

def load(path):
    """The launch description of a file."""
    spec = importlib.util.spec_from_file_location('launch_file', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def run(entities, context):
    for entity in entities:
        entity.execute(context)


def find(words):
    """Returns the path of the launch file, and the arguments after it."""
    if words and words[0].endswith('.py'):
        return words[0], words[1:]
    if len(words) < 2:
        raise LaunchError('expected PACKAGE FILE or a path to a launch file')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = os.path.join(prefix, 'share', words[0], 'launch', words[1])
        if os.path.isfile(path):
            return path, words[2:]
    raise LaunchError(f'{words[0]} has no launch file {words[1]} in AMENT_PREFIX_PATH; source its setup file, or give '
                      'the path of the launch file')


def arguments_of(words):
    """Parses name:=value pairs."""
    wrong = [word for word in words if ':=' not in word]
    if wrong:
        raise LaunchError(f'expected name:=value, found {wrong[0]!r}')
    return dict(word.split(':=', 1) for word in words)


def end(context):
    """Ends every process with SIGINT, and kills those that do not end in time."""
    for process in context.processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in context.processes:
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            say(f'pid {process.pid} did not end within {GRACE_S} s: killed')
            process.kill()
    shutil.rmtree(context.scratch, ignore_errors=True)


def show_arguments(description):
    for entity in description.entities:
        if isinstance(entity, DeclareLaunchArgument):
            choices = f' (one of {", ".join(entity.choices)})' if entity.choices else ''
            print(f"'{entity.name}':\n    {entity.description}{choices}\n    (default: {entity.default_value!r})")


def main(words):
    """Runs a launch file to its end; returns the exit code."""
    if importlib.util.find_spec('launch_ros') and shutil.which('ros2'):
        if '--bin-dir' in words:
            place = words.index('--bin-dir')
            del words[place:place + 2]
        os.execvp('ros2', ['ros2', 'launch', *words])
    bin_dir = None
    if '--bin-dir' in words:
        place = words.index('--bin-dir')
        bin_dir = words[place + 1]
        del words[place:place + 2]
    showing = '--show-args' in words
    words = [word for word in words if word != '--show-args']
    pretend_to_be_launch()
    path, rest = find(words)
    description = load(path)
    if showing:
        show_arguments(description)
        return 0
    context = Context(arguments_of(rest), bin_dir)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: context.ending.set())
    try:
        run(description.entities, context)
        unknown = sorted(set(context.arguments) - context.names)
        if unknown:
            raise LaunchError(f'unknown launch argument {unknown[0]}; --show-args lists them')
        while not context.ending.wait(0.05):
            if all(process.poll() is not None for process in context.processes):
                context.ending.wait(0.2)
                break
    finally:
        end(context)
    return 1 if context.failed.is_set() else 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except (LaunchError, RuntimeError, OSError, yaml.YAMLError) as error:
        sys.exit(f'{LABEL} error: {error}')
