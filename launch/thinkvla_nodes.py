"""What the launch files of this package share: nodes that end with their launch, and arguments that several have."""
import os

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

BOOLEAN = ['true', 'false']
OPERATORS = ['keyboard', 'gamepad', 'spacemouse', 'leader', 'vr']
# Exit code of a node that refused to start: a parameter, a file or an argument that cannot work.
REFUSED = 2

# Where a simulated and a real driver hear the same topics, both would obey.
SIM_AND_NAMESPACE = [
    DeclareLaunchArgument('sim', default_value='false', choices=BOOLEAN,
                          description='Start the simulated arm, driver and cameras in place of real ones'),
    DeclareLaunchArgument('namespace',
                          default_value=PythonExpression(["'sim' if '", LaunchConfiguration('sim'), "' == 'true' else ''"]),
                          description='Namespace of every node and topic; sim with sim:=true, so that no real driver '
                                      'hears the simulation'),
]
LOG_LEVEL = DeclareLaunchArgument('log_level', default_value='info', choices=['debug', 'info', 'warn', 'error'],
                                  description='Least severe messages shown')


def installed(package):
    """Whether a package is there to be used."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def stop_when_refused(event, _context):
    """A node that refuses to start ends the launch; one that dies later leaves the arm node holding the arm."""
    if event.returncode == REFUSED:
        # An error, so that the launch ends with an exit code of its own: a shutdown would count as success.
        raise RuntimeError(f'{event.process_name} refused to start; its message is above')
    return None


def own_node(executable, **kwargs):
    """A node of this package, called as its executable."""
    # A launch that is killed cannot end its nodes: they are interrupted when this process is gone.
    return Node(package='thinkvla', executable=executable, name=executable, output='screen', on_exit=stop_when_refused,
                additional_env={'THINKVLA_ENDS_WITH': str(os.getpid())}, **kwargs)
