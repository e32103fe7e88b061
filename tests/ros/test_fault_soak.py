"""Hours of driving with a fault a minute: the scripted expert and a policy take turns, and every command to the driver is
checked against the limits by code of its own.

Runs when THINKVLA_SOAK_S says for how long (s); THINKVLA_FAULT_S is the time from one fault to the next, 60 s if none is
given. Prints a report, and writes it as JSON and as text to the folder THINKVLA_REPORT if that is set.
"""

import contextlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

import pytest
import rclpy
from arm_fixtures import Arm
from conftest import binaries
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from limit_checker import LimitChecker
from policy_fixtures import checkpoint, policy, robot_file  # noqa: F401
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rm_ros_interfaces.msg import Jointpos
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from test_policy_switch import calm, change, simulated
from thinkvla.msg import ArmStatus, EpisodeStatus
from thinkvla.srv import ResetEpisode, SetInstruction

SECONDS = float(os.environ.get("THINKVLA_SOAK_S", "0"))
FAULT_S = float(os.environ.get("THINKVLA_FAULT_S", "60"))
# Longest time from a fault to its effect, and from its end until commands flow again. A node that was killed stays in the
# graph for 20 s, and as long nothing may be armed.
EFFECT_S, RECOVERY_S = 10.0, 90.0
# The memory of a process is judged from ten minutes after its start: it is sampled every 5 s, and the mean of the last samples
# is compared with that of the first ones.
WARM_UP_S, SAMPLE_S, SAMPLES, DRIFT = 600.0, 5.0, 24, 0.01
# From this time on every node must have lived for long enough to be judged (s).
HOUR_S = 3600.0
# Time for which an arm that has come to rest gets no command (s).
RESTS_S = 1.0
# Commands that may leave before the checker is discovered.
MISSED = 100
LATCHED = (ArmStatus.STOPPED, ArmStatus.FAULT)
TASKS = ("height", "container", "position")
# More than a segment of Fast DDS's shared memory, which the limit holds for as well.
FILE_LIMIT_KIB = 40_000


class Memory:
    """Resident memory of processes over their lives (MiB)."""

    def __init__(self):
        self.lives = {}

    def sample(self, processes):
        for process in processes:
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
                kib = int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
                self.lives.setdefault((process.name, process.popen.pid), []).append((time.monotonic(), kib / 1024))

    def drifts(self):
        """Of each life that was long enough: early and late memory (MiB), its growth (%), and whether that is too much."""
        records = []
        for (name, _), life in self.lives.items():
            begun = life[0][0]
            warm = [mib for at, mib in life if at - begun >= WARM_UP_S]
            if len(warm) < 2 * SAMPLES:
                continue
            early, late = mean(warm[:SAMPLES]), mean(warm[-SAMPLES:])
            records.append({"node": name, "seconds": round(life[-1][0] - begun), "early_mib": round(early, 2),
                            "late_mib": round(late, 2), "growth_percent": round(100 * (late / early - 1), 2),
                            "ok": late <= (1 + DRIFT) * early})
        return records


class Soak:
    """The robot with its nodes. Methods whose name begins with `fault_` break something, wait for the effect and mend it."""

    def __init__(self, ros, nodes, policy, folder, memory):
        self.ros, self.nodes, self.start_policy, self.folder, self.memory = ros, nodes, policy, folder, memory
        clock = Path(__file__).with_name("clock_publisher.py")
        self.clock = nodes._start("clock_publisher", [sys.executable, str(clock)], {}, subprocess.PIPE, ())
        self.sim = self.start_sim()
        self.arm = Arm(ros, nodes.start("arm_node", params={"dry_run": False, "use_sim_time": True}))
        self.policy = self.launch_policy()
        self.episodes = ros.collect(EpisodeStatus, "/episode_status")
        self.checker = LimitChecker(ros)
        self.driver, self.seed, self.begun, self.last_sample = "expert", 0, 0.0, 0.0

    def start_sim(self):
        return self.nodes.start("sim_node", params={"camera_rate_hz": 5.0, "use_sim_time": True})

    def launch_policy(self):
        return self.start_policy(
            checkpoint=str(self.folder), replan_steps=2, rate_tolerance=1.0, camera_slop=0.3, frozen_after=60.0,
            camera_age_limit=2.0, camera_periods=4.0, use_sim_time=True)

    def shift_clock(self, line):
        self.clock.popen.stdin.write(f"{line}\n".encode())
        self.clock.popen.stdin.flush()

    def commands(self):
        return self.checker.limits.commands

    def housekeeping(self):
        """Samples the memory, and shortens lists that would grow for hours."""
        if time.monotonic() < self.last_sample + SAMPLE_S:
            return
        self.last_sample = time.monotonic()
        self.memory.sample([self.sim, self.arm.process, self.policy])
        for messages in (self.arm.statuses, self.arm.events, self.episodes):
            del messages[:-500]

    def begin(self, driver):
        """Puts the task back and lets `driver` drive, whatever state the nodes are in; returns whether commands flow."""
        self.driver, self.seed, self.begun = driver, self.seed + 1, time.monotonic()
        call = self.ros.ask
        call(SetBool, "/arm_node/set_armed", SetBool.Request(data=False))
        request = ResetEpisode.Request(task=TASKS[self.seed % 3], variation=self.seed % 2, seed=self.seed,
                                       expert=driver == "expert")
        if not call(ResetEpisode, "/sim_node/reset_episode", request).ok:
            return False

        def armed():
            if self.arm.mode() in LATCHED:
                call(Trigger, "/arm_node/reset_fault", Trigger.Request())
            return call(SetBool, "/arm_node/set_armed", SetBool.Request(data=True)).success

        # Not at once: the arm has just been put elsewhere.
        if self.effect(armed) is None:
            return False
        if driver == "policy" and not self.activate():
            return False
        before, end = self.commands(), time.monotonic() + 10.0
        while self.commands() < before + 50 and time.monotonic() < end:
            self.housekeeping()
            time.sleep(0.05)
        return self.commands() >= before + 50

    def activate(self):
        for state, transition in (("unconfigured", Transition.TRANSITION_CONFIGURE),
                                  ("inactive", Transition.TRANSITION_ACTIVATE)):
            if self.ros.state("policy_node") == state:
                request = ChangeState.Request(transition=Transition(id=transition))
                self.ros.ask(ChangeState, "/policy_node/change_state", request)
        return self.ros.state("policy_node") == "active"

    def recover(self, driver):
        """Begins until commands flow; returns the time it took (s), `None` if they never did."""
        begun = time.monotonic()
        while time.monotonic() < begun + RECOVERY_S:
            if self.begin(driver):
                return time.monotonic() - begun
            time.sleep(1.0)
        return None

    def drive(self, seconds):
        """Drives, one episode after the other; returns whether commands flowed to the end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.housekeeping()
            over = self.driver == "expert" and self.episodes and self.episodes[-1].expert_done
            lost = self.arm.mode() not in (ArmStatus.HOLDING, ArmStatus.EXECUTING, ArmStatus.BRAKING)
            idle = self.driver == "policy" and self.ros.state("policy_node") != "active"
            if (over or lost or idle or time.monotonic() > self.begun + 60.0) and self.recover(self.driver) is None:
                return False
            time.sleep(0.5)
        return True

    def effect(self, condition):
        """Waits for the effect of a fault; returns its time (s), `None` if it never came."""
        begun = time.monotonic()
        while time.monotonic() < begun + EFFECT_S:
            if condition():
                return time.monotonic() - begun
            time.sleep(0.01)
        return None

    def rests(self):
        return self.arm.mode() != ArmStatus.EXECUTING

    def comes_to_rest(self):
        """Waits until the arm rests and goes on resting; returns the time it took (s), `None` if it did not."""
        begun = time.monotonic()
        while (since := time.monotonic()) < begun + EFFECT_S:
            before = self.commands()
            if self.rests():
                time.sleep(RESTS_S)
                if self.commands() == before:
                    return since - begun
            time.sleep(0.01)
        return None

    def fault_driver_restart(self):
        self.sim.kill9()
        found = self.effect(lambda: self.arm.mode() in LATCHED)
        self.sim = self.start_sim()
        return found

    def fault_driver_stopped_in_order(self):
        self.sim.stop()
        found = self.effect(lambda: self.arm.mode() in LATCHED)
        self.sim = self.start_sim()
        return found

    def break_camera(self, fault):
        parameter = Parameter("fault_wrist_camera", value=fault).to_parameter_msg()
        self.ros.ask(SetParameters, "/sim_node/set_parameters", SetParameters.Request(parameters=[parameter]))

    def fault_camera_loss(self):
        if self.effect(lambda: not self.rests()) is None:
            return None
        self.break_camera("dropped")
        found = self.comes_to_rest()
        self.break_camera("none")
        return found

    def fault_policy_kill(self):
        if self.effect(lambda: not self.rests()) is None:
            return None
        self.policy.kill9()
        found = self.comes_to_rest()
        self.policy = self.launch_policy()
        return found

    def clock_events(self):
        return [event for event in self.arm.events if event.check == "clock"]

    def clock_fault(self, *lines):
        self.arm.events.clear()
        for line in lines:
            self.shift_clock(line)
            time.sleep(0.4)
        return self.effect(self.clock_events)

    def fault_clock_back(self):
        return self.clock_fault(-2.0)

    def fault_clock_ahead(self):
        return self.clock_fault(2.0)

    def fault_clock_pause(self):
        return self.clock_fault("pause", "go")

    def duplicate(self, kind, topic):
        intruder = rclpy.create_node("intruder", context=self.ros.context)
        intruder.create_publisher(kind, topic, 1)
        # A publisher is discovered before the name of its node.
        names = ("/intruder", "a node that has not told its name yet")
        found = self.effect(lambda: self.arm.mode() in LATCHED and any(name in self.arm.statuses[-1].reason for name in names))
        intruder.destroy_node()
        return found

    def fault_second_commander(self):
        return self.duplicate(Jointpos, "rm_driver/movej_canfd_cmd")

    def fault_second_reporter(self):
        return self.duplicate(JointState, "joint_states")

    def fault_disk_full(self):
        """A recorder whose files may not grow any more says so, and the arm goes on."""
        limited = f"trap '' XFSZ; ulimit -f {FILE_LIMIT_KIB}; exec \"$0\" \"$@\""
        # Driving goes on to the next seeds meanwhile.
        dataset = self.folder.parent / f"recorded_{self.seed}"
        arguments = ["-p", f"dataset:={dataset}", "-p", "images:=png", "-p", "fps:=5.0",
                     "-p", "use_sim_time:=true"]
        command = ["bash", "-c", limited, str(binaries() / "record_node"), "--ros-args", *arguments]
        recorder = self.nodes._start("record_node", command, {}, subprocess.DEVNULL, ())
        begun, asked = time.monotonic(), 0.0
        try:
            self.ros.ask(SetInstruction, "/record_node/set_instruction", SetInstruction.Request(instruction="fill the disk"))
            while "File too large" not in recorder.output() and time.monotonic() < begun + 2 * RECOVERY_S:
                if time.monotonic() > asked + 5.0:
                    asked = time.monotonic()
                    self.ros.ask(Trigger, "/record_node/start", Trigger.Request())
                if not self.drive(1.0):
                    return None
            return time.monotonic() - begun if "File too large" in recorder.output() else None
        finally:
            recorder.stop()
            shutil.rmtree(dataset, ignore_errors=True)


# Fault and who drives meanwhile.
FAULTS = (
    ("driver_restart", "expert"), ("camera_loss", "policy"), ("clock_back", "expert"), ("policy_kill", "policy"),
    ("second_commander", "expert"), ("clock_ahead", "expert"), ("driver_stopped_in_order", "policy"),
    ("second_reporter", "policy"), ("clock_pause", "policy"), ("disk_full", "expert"),
)
# Faults that end a process, and the order of all: two rounds without them follow each round with them, so that every process
# lives for long enough to be judged by its memory.
ENDINGS = ("driver_restart", "driver_stopped_in_order", "policy_kill")
ORDER = FAULTS + 2 * tuple(one for one in FAULTS if one[0] not in ENDINGS)


def criteria(soak, memory, records):
    checked, drifts = soak.checker.report(), memory.drifts()
    none = lambda key: [one["fault"] for one in records if one[key] is None]
    died = [process.name for process in (soak.sim, soak.arm.process, soak.policy) if not process.running()]
    longer = [one for one in drifts if not one["ok"]]
    judged = {one["node"] for one in drifts}
    unjudged = [process.name for process in (soak.sim, soak.arm.process, soak.policy) if process.name not in judged]
    rows = [
        ("no command outside a limit", not checked["broken"], f"{checked['commands']} commands in {checked['motions']} motions, "
         f"broken: {checked['broken'] or 'none'}"),
        ("every command was checked", checked["missed"] <= MISSED, f"{checked['missed']} not heard by the checker"),
        ("the arm was driven", checked["commands"] > 10 * SECONDS, f"{checked['commands'] / max(SECONDS, 1.0):.1f} commands a second"),
        ("every fault had its effect", not none("effect_s"), f"{len(records)} faults, without effect: {none('effect_s') or 'none'}"),
        ("the arm went on after every fault", not none("recovered_s"), f"stuck after: {none('recovered_s') or 'none'}"),
        ("no node ended by itself", not died, f"ended: {died or 'none'}"),
        ("memory stays", not longer and not (SECONDS >= HOUR_S and unjudged),
         f"{len(drifts)} lives judged, grown by more than {100 * DRIFT:.0f} % after their first ten minutes: {longer or 'none'}, "
         f"too short to be judged: {unjudged or 'none'}"),
    ]
    return [{"criterion": name, "passed": bool(passed), "found": found} for name, passed, found in rows]


def show(report):
    lines = [f"{report['seconds']:.0f} s on {report['machine']}"]
    lines += [f"{'pass' if one['passed'] else 'FAIL'}  {one['criterion']}: {one['found']}" for one in report["criteria"]]
    lines += [f"  {one['node']}: {one['early_mib']} MiB after ten minutes, {one['late_mib']} MiB after {one['seconds']} s, "
              f"{one['growth_percent']:+.2f} %" for one in report["memory"]]
    for fault in dict(FAULTS):
        of_fault = [one for one in report["faults"] if one["fault"] == fault]
        effects = [one["effect_s"] for one in of_fault if one["effect_s"] is not None]
        back = [one["recovered_s"] for one in of_fault if one["recovered_s"] is not None]
        lines.append(f"  {fault}: {len(of_fault)} times, effect within {max(effects, default=math.nan):.2f} s, "
                     f"driven again within {max(back, default=math.nan):.1f} s")
    return "\n".join(lines)


@pytest.mark.skipif(not SECONDS, reason="THINKVLA_SOAK_S says for how long (s); tools/reliability.sh 27 sets it")
@pytest.mark.timeout(SECONDS + 20 * RECOVERY_S)
def test_hours_with_a_fault_a_minute_break_no_limit_and_leave_no_state_without_a_way_out(
        ros, nodes, policy, checkpoint, tmp_path):
    folder = tmp_path / "calm"
    shutil.copytree(checkpoint, folder)
    change(folder, calm)
    change(folder, simulated)
    memory, records, begun = Memory(), [], time.monotonic()
    soak = Soak(ros, nodes, policy, folder, memory)
    stuck = soak.recover("expert") is None
    while not stuck and time.monotonic() < begun + SECONDS:
        fault, driver = ORDER[len(records) % len(ORDER)]
        if soak.driver != driver:
            stuck = soak.recover(driver) is None
        stuck = stuck or not soak.drive(FAULT_S / 2)
        one = {"fault": fault, "at": round(time.monotonic() - begun, 1), "effect_s": None, "recovered_s": None}
        records.append(one)
        if not stuck:
            one["effect_s"] = getattr(soak, f"fault_{fault}")()
            one["recovered_s"] = soak.recover(driver)
            stuck = one["recovered_s"] is None
        stuck = stuck or not soak.drive(FAULT_S / 2)
    report = {"seconds": time.monotonic() - begun, "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
              "criteria": criteria(soak, memory, records), "memory": memory.drifts(), "faults": records,
              "commands": soak.checker.report()}
    soak.checker.close()
    text = show(report)
    if out := os.environ.get("THINKVLA_REPORT"):
        Path(out, "fault_soak.json").write_text(json.dumps(report, indent=1))
        Path(out, "fault_soak.txt").write_text(text + "\n")
    print("\n" + text)
    passed = sum(one["passed"] for one in report["criteria"])
    back = [one["recovered_s"] for one in records if one["recovered_s"] is not None]
    growth = [one["growth_percent"] for one in report["memory"]]
    print(f"measured: {passed} of {len(report['criteria'])} criteria in {report['seconds']:.0f} s with {len(records)} faults, "
          f"{report['commands']['commands']} commands, {sum(report['commands']['broken'].values())} outside a limit, driven again "
          f"within {max(back, default=math.nan):.1f} s, memory {max(growth, default=math.nan):+.2f} % at most")
    assert not stuck and passed == len(report["criteria"]), text + nodes.output()
