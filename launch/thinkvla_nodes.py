"""Shared parts of the launch files of this package: nodes that end with their launch, and common arguments."""
import difflib
import os
import sys

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

BOOLEAN = ['true', 'false']
OPERATORS = ['keyboard', 'gamepad', 'spacemouse', 'leader', 'vr']
# Exit code of a node that refused to start because of an invalid parameter, file or argument.
REFUSED = 2

# If a simulated and a real driver received the same topics, both would obey.
SIM_AND_NAMESPACE = [
    DeclareLaunchArgument('sim', default_value='false', choices=BOOLEAN,
                          description='Start the simulated arm, driver and cameras in place of real ones'),
    DeclareLaunchArgument('namespace',
                          default_value=PythonExpression(["'sim' if '", LaunchConfiguration('sim'), "' == 'true' else ''"]),
                          description='Namespace of every node and topic; sim with sim:=true, so that no real driver '
                                      'hears the simulation'),
]
# Arguments of the operator's node, of teleop.launch.py and of launch files that include it.
OPERATOR = [
    DeclareLaunchArgument('mapping', default_value='',
                          description="Mapping file in place of the operator's shipped one (see config/teleop)"),
    DeclareLaunchArgument('after_release', default_value='hold', choices=['hold', 'hand_back'],
                          description='hold keeps the lease when the deadman is let go, hand_back frees it'),
    DeclareLaunchArgument('instructions', default_value='',
                          description='What the episodes are of, in order, separated by semicolons'),
    DeclareLaunchArgument('driver', default_value='true', choices=BOOLEAN,
                          description='Start joy_node or spacenav_node for what the operator holds'),
    DeclareLaunchArgument('terminal', default_value='',
                          description="Command that opens a terminal for the keyboard, e.g. 'xterm -e'; empty takes "
                                      'the present one'),
]
LOG_LEVEL = DeclareLaunchArgument('log_level', default_value='info', choices=['debug', 'info', 'warn', 'error'],
                                  description='Least severe messages shown')


# Names of the arguments of all files that are loaded: a file that is included sees the arguments of the others.
DECLARED = set()
# Whether a file of this folder was named to `ros2 launch`. One of another package may have arguments of any name.
LAUNCHED = any(word.endswith('.launch.py') and os.path.basename(word) in os.listdir(os.path.dirname(__file__))
               for word in sys.argv)


def checked(arguments):
    """Returns the declarations of a launch file's arguments, and a check of those that are given: `ros2 launch` ignores
    arguments that no file declares, so unknown ones that resemble a known one are refused."""
    known = {argument.name for argument in arguments}
    DECLARED.update(known)

    def refuse_misspelt(context):
        for name in sorted(set(context.launch_configurations) - DECLARED if LAUNCHED else ()):
            for meant in difflib.get_close_matches(name, known, 1, 0.8):
                raise RuntimeError(f'unknown launch argument {name}: expected {meant}; --show-args lists them')

    return [*arguments, OpaqueFunction(function=refuse_misspelt)]


def value_of(context, name):
    """Returns the value of an argument. Shells do not expand `~/` after `:=`, so it is done here."""
    value = LaunchConfiguration(name).perform(context)
    return os.path.expanduser(value) if value.startswith('~/') else value


def parameter_files(context, name):
    """Returns the parameter file that an argument names, in a list that is empty without one. `ros2 launch` would start
    the nodes without a file that does not exist."""
    path = value_of(context, name)
    if path and not os.path.isfile(path):
        raise RuntimeError(f'{name}:={path}: expected a parameter file, found none; correct the path')
    return [path] if path else []


def number(context, name, kind):
    """Returns the number that an argument gives; `kind` is int or float."""
    value = value_of(context, name)
    try:
        return kind(value)
    except ValueError:
        expected = 'a whole number' if kind is int else 'a number'
        raise RuntimeError(f'{name}:={value}: expected {expected}') from None


def installed(package):
    """Returns whether a package is installed."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def stop_when_refused(event, _context):
    """Ends the launch when a node refuses to start; a node that fails later leaves the arm node holding the arm."""
    if event.returncode == REFUSED:
        # An exception, so that the launch ends with a non-zero exit code; a shutdown would count as success.
        raise RuntimeError(f'{event.process_name} refused to start; its message is above')
    return None


def own_node(executable, **kwargs):
    """Returns a node of this package, named like its executable."""
    # A launch that is killed cannot end its nodes, so they are interrupted when this process ends.
    return Node(package='thinkvla', executable=executable, name=executable, output='screen', on_exit=stop_when_refused,
                additional_env={'THINKVLA_ENDS_WITH': str(os.getpid())}, **kwargs)
