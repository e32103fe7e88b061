"""Tests over real ROS 2: nodes of this package at one end, rclpy at the other.

Run by `make test`, or after `make interfaces` and `cargo build --bins --examples --features torch,ros,sim`:

    tools/with_env.sh bash -c '"$THINKVLA_PYTHON" -m pytest tests/ros -q'

Each test has a ROS domain of its own, so that processes left over from another test cannot interfere. It uses fixtures:

    def test_heartbeat(ros, nodes):
        arm = nodes.start("arm_node", params={"dry_run": True}, remaps={"/a": "/b"})
        beats = ros.collect(Heartbeat, "/arm/heartbeat", qos=10)      # a list that fills up
        ros.wait_for(lambda: len(beats) >= 3, "three heartbeats")
        arm.kill9()

Tests wait for an observed condition (a matched publisher, a received message), never for a fixed time: `ros.wait_for`
polls until it holds, and fails with the condition and the output of every node. Deadlines only bound a hang.

* `ros` (`Ros`): a spinning rclpy node; `publisher`, `collect`, `call`, `send_goal`, `set_parameters`, `get_parameters`,
  `lifecycle`, `wait_for`, `wait_for_nodes`
* `nodes` (`Nodes`): `start(name, params=..., remaps=..., arguments=..., env=..., stdin=..., ignores=...)` and
  `launch(file, *arguments)` -> `Process`; all are stopped at the end of the test, the output is in `process.output()`
* `domain`: the ROS_DOMAIN_ID of the test

Binaries come from $THINKVLA_BIN, or else from `debug` in the Cargo target folder.
"""

import glob
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
import yaml
from _pytest.runner import runtestprotocol
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python

ROOT = Path(__file__).resolve().parents[2]
# The tests simulate nodes that must keep their period, such as a driver at 100 Hz, so they run at a higher priority.
# Without permission the priority is unchanged.
with contextlib.suppress(PermissionError):
    os.setpriority(os.PRIO_PROCESS, 0, -10)

DEADLINE_S = float(os.environ.get("THINKVLA_TEST_DEADLINE_S", "60"))
FIRST_DOMAIN, DOMAINS = 1, 100  # above 101 the ports overlap Linux's ephemeral ones


def binaries() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return Path(os.environ.get("THINKVLA_BIN", target / "debug"))


def claim_domain():
    """Claims a domain that no other test on this machine uses; returns it with a socket that keeps the claim while
    open."""
    start = os.getpid() % DOMAINS
    for offset in range(DOMAINS):
        domain = FIRST_DOMAIN + (start + offset) % DOMAINS
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0thinkvla-test-domain-{domain}")
            return domain, claim
        except OSError:
            claim.close()
    raise RuntimeError(f"all {DOMAINS} test domains are in use")


def segments() -> set:
    """Shared memory of Fast DDS participants, by path."""
    return {path for path in glob.glob("/dev/shm/fastrtps_*") if not path.endswith(("_el", "_sl"))}


def mapped() -> set:
    """Files of /dev/shm that some process still uses."""
    used = set()
    for maps in glob.glob("/proc/[0-9]*/maps"):
        try:
            used |= {line.split()[-1] for line in Path(maps).read_text().splitlines() if "/dev/shm/" in line}
        except OSError:  # the process ended, or belongs to another user
            continue
    return used


class Process:
    """A running node or launch. Its signal handling is that of a process started from a terminal, whatever the tests
    themselves ignore, except for the signals in `ignores`."""

    def __init__(self, name, command, env, log: Path, stdin=subprocess.DEVNULL, ignores=()):
        self.name, self.log = name, log

        def as_from_a_terminal():
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number in ignores else signal.SIG_DFL)

        with open(log, "wb") as out:
            self.popen = subprocess.Popen(
                command, env=env, stdin=stdin, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent,
                start_new_session=True, preexec_fn=as_from_a_terminal)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number) -> None:
        if self.running():
            self.popen.send_signal(number)

    def wait(self, deadline_s=DEADLINE_S) -> int:
        """Waits for the end; returns the exit status, or the negative number of the signal that ended it."""
        return self.popen.wait(deadline_s)

    def interrupt(self) -> int:
        """Sends SIGINT; returns the exit status."""
        self.signal(signal.SIGINT)
        return self.wait()

    def kill9(self) -> None:
        """Kills the process with SIGKILL, so that no destructor runs."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        try:
            self.wait(10)
        except subprocess.TimeoutExpired:
            self.kill9()


class Nodes:
    def __init__(self, domain: int, folder: Path):
        self.domain, self.folder, self.processes = domain, folder, []

    def start(self, executable, *, name=None, params=None, remaps=None, arguments=(), env=None,
              stdin=subprocess.DEVNULL, ignores=()) -> Process:
        """Starts a node. `params` become a parameter file; `arguments` go before `--ros-args`."""
        binary = binaries() / executable
        assert binary.exists(), f"{binary} is missing: cargo build --bins --examples --features torch,ros,sim, or set THINKVLA_BIN"
        ros_arguments = []
        for old, new in (remaps or {}).items():
            ros_arguments += ["-r", f"{old}:={new}"]
        if name:
            ros_arguments += ["-r", f"__node:={name}"]
        count = len(self.processes)
        if params:
            file = self.folder / f"{count}_{binary.name}.yaml"
            file.write_text(yaml.safe_dump({"/**": {"ros__parameters": params}}))
            ros_arguments += ["--params-file", str(file)]
        command = [str(binary), *map(str, arguments)] + (["--ros-args", *ros_arguments] if ros_arguments else [])
        return self._start(name or binary.name, command, env or {}, stdin, ignores)

    def launch(self, file, *arguments) -> Process:
        """Starts a launch file of this package with tools/check/mini_launch.py."""
        command = [sys.executable, str(ROOT / "tools" / "check" / "mini_launch.py"), "--bin-dir", str(binaries()),
                   str(ROOT / "launch" / file), *arguments]
        return self._start(file, command, {"PYTHONUNBUFFERED": "1"}, subprocess.DEVNULL, ())

    def _start(self, name, command, env, stdin, ignores) -> Process:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(self.domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
                       "ROS_LOG_DIR": str(self.folder / "log"), "NO_COLOR": "1", **env}
        log = self.folder / f"{len(self.processes)}_{name}.txt"
        process = Process(name, command, environment, log, stdin, ignores)
        self.processes.append(process)
        return process

    def output(self) -> str:
        return "".join(f"\n--- {p.name} (exit {p.popen.poll()}) ---\n{p.output()[-4000:]}" for p in self.processes)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()


class LockedActionClient(ActionClient):
    """An action client for another thread than the executor's. rclpy notes a request after it has sent it, and drops a
    response that its executor takes in between as one that nobody asked for."""

    def __init__(self, *arguments):
        self._requesting = threading.RLock()
        super().__init__(*arguments)

    def send_goal_async(self, *arguments, **options):
        with self._requesting:
            return super().send_goal_async(*arguments, **options)

    def _cancel_goal_async(self, goal_handle):
        with self._requesting:
            return super()._cancel_goal_async(goal_handle)

    def _get_result_async(self, goal_handle):
        with self._requesting:
            return super()._get_result_async(goal_handle)

    async def execute(self, taken_data):
        with self._requesting:
            await super().execute(taken_data)


class Ros:
    """The rclpy side of a test: one node, spun by a thread of its own."""

    def __init__(self, domain: int, nodes: Nodes):
        self.nodes, self.context, self.clients = nodes, Context(), {}
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("test", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass

    def close(self) -> None:
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def wait_for(self, condition, what: str, deadline_s=DEADLINE_S):
        """Polls until `condition()` is true and returns its value; fails at the deadline, showing the nodes."""
        end = time.monotonic() + deadline_s
        while not (value := condition()):
            if time.monotonic() > end:
                pytest.fail(f"waited {deadline_s:.0f} s in vain for {what}{self.nodes.output()}")
            time.sleep(0.005)
        return value

    def wait_for_nodes(self, *names: str) -> None:
        self.wait_for(lambda: set(names) <= set(self.node.get_node_names()), f"nodes {', '.join(names)}")

    def publisher(self, kind, topic, qos=10, *, subscribers=1):
        """Creates a publisher; returns once `subscribers` subscriptions have matched."""
        publisher = self.node.create_publisher(kind, topic, qos)
        self.wait_for(lambda: publisher.get_subscription_count() >= subscribers, f"a subscriber of {topic}")
        return publisher

    def collect(self, kind, topic, qos=10, *, publishers=1, stamps=None) -> list:
        """Returns a list that receives the messages of a topic, once a publisher has matched; `stamps` receives the
        monotonic arrival times."""
        messages = []

        def take(message):
            if stamps is not None:
                stamps.append(time.monotonic())
            messages.append(message)

        subscription = self.node.create_subscription(kind, topic, take, qos)
        if publishers:
            self.wait_for(lambda: subscription.get_publisher_count() >= publishers, f"a publisher of {topic}")
        return messages

    def result(self, future, what: str):
        self.wait_for(future.done, what)
        return future.result()

    def call(self, kind, name, request=None):
        """Calls a service and returns its response."""
        return self.result(self.client(kind, name).call_async(request or kind.Request()), f"an answer of {name}")

    def client(self, kind, name):
        """Returns the client of an available service, the same one each time: the response to a new client is lost when
        the server has not discovered it yet."""
        if name not in self.clients:
            self.clients[name] = self.node.create_client(kind, name)
        client = self.clients[name]
        self.wait_for(client.service_is_ready, f"service {name}")
        return client

    def repeat(self, ask, what: str):
        """Calls `ask` again every half second until one of the futures that it returned has a result: for some seconds,
        requests go to a server that was killed, and the one in its place does not know the client yet. The request must
        be idempotent."""
        asked = []

        def answered():
            if not asked or time.monotonic() > asked[-1][0] + 0.5:
                asked.append((time.monotonic(), ask()))
            return next((future for _, future in asked if future.done()), None)
        return self.wait_for(answered, what).result()

    def ask(self, kind, name, request=None):
        """Repeats an idempotent request until it is answered, and returns the response."""
        client = self.client(kind, name)
        return self.repeat(lambda: client.call_async(request or kind.Request()), f"an answer of {name}")

    def action_client(self, kind, name) -> ActionClient:
        """Creates the client of an action, without waiting for its server."""
        return LockedActionClient(self.node, kind, name)

    def send_goal(self, kind, name, goal, feedback=None):
        """Sends an action goal and returns its handle; then call `ros.result(handle.get_result_async(), "...")`.
        `feedback` is a list that receives the feedback."""
        client = self.action_client(kind, name)
        self.wait_for(client.server_is_ready, f"action {name}")
        take = None if feedback is None else lambda message: feedback.append(message.feedback)
        return self.result(client.send_goal_async(goal, feedback_callback=take), f"an answer of {name}")

    def set_parameters(self, node: str, **values) -> list:
        """Sets parameters of a node; returns rcl_interfaces/SetParametersResult in the order given."""
        request = SetParameters.Request(parameters=[Parameter(k, value=v).to_parameter_msg() for k, v in values.items()])
        return self.call(SetParameters, f"/{node}/set_parameters", request).results

    def get_parameters(self, node: str, *names: str) -> list:
        response = self.ask(GetParameters, f"/{node}/get_parameters", GetParameters.Request(names=names))
        return [parameter_value_to_python(value) for value in response.values]

    def lifecycle(self, node: str, transition: str) -> bool:
        """Requests `configure`, `activate`, `deactivate` or `cleanup`; returns whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=getattr(Transition, f"TRANSITION_{transition.upper()}")))
        return self.call(ChangeState, f"/{node}/change_state", request).success

    def state(self, node: str) -> str:
        return self.ask(GetState, f"/{node}/get_state").current_state.label


STALLED = ("expected an age of at most", "expected a tick every")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Repeats a test marked `stalls`, twice at most, when it failed because the machine stalled: the arm node then
    correctly reports that state or heartbeat were too old, or that its loop was late. Other failures count at once."""
    if not item.get_closest_marker("stalls"):
        return None
    for left in (2, 1, 0):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not left or not any(
                report.failed and sign in report.longreprtext for report in reports for sign in STALLED):
            break
        print(f"\n{item.nodeid}: the machine stood still, running it again")
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    return True


@pytest.fixture(scope="session", autouse=True)
def no_shared_memory_left():
    """Removes Fast DDS segments that appeared during the tests, which killed nodes leave behind."""
    before = segments()
    yield
    for path in segments() - before - mapped():
        # Lock files are never mapped; each is removed only with its own segment, or other running nodes would lose theirs.
        for file in (path, f"{path}_el", f"{path}_sl"):
            Path(file).unlink(missing_ok=True)


@pytest.fixture
def domain():
    number, claim = claim_domain()
    with claim:
        yield number


@pytest.fixture
def nodes(domain, tmp_path):
    running = Nodes(domain, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def ros(domain, nodes):
    end = Ros(domain, nodes)
    yield end
    end.close()
