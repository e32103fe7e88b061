"""Hours of driving with a fault a minute: the scripted expert and a policy take turns, and every command to the driver is
checked against the limits by code of its own.

Runs when THINKVLA_SOAK_S says for how long (s); THINKVLA_FAULT_S is the time from one fault to the next, 60 s if none is
given. Prints a report, and writes it as JSON and as text to the folder THINKVLA_REPORT if that is set.
"""

import contextlib
import json
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
# A process that lived for this long is judged by its memory: the means of the second and of the last fifth of its life.
JUDGED_S, DRIFT, DRIFT_MIB = 600.0, 0.01, 1.0
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
        """Of each life that was long enough: early and late memory (MiB), and whether it grew by too much."""
        records = []
        for (name, _), life in self.lives.items():
            begun, length = life[0][0], life[-1][0] - life[0][0]
            if length < JUDGED_S:
                continue
            fifth = lambda n: mean(mib for at, mib in life if n <= 5 * (at - begun) / length <= n + 1)
            early, late = fifth(1), fifth(4)
            records.append({"node": name, "seconds": round(length), "early_mib": round(early, 2), "late_mib": round(late, 2),
                         "ok": late - early <= max(DRIFT * early, DRIFT_MIB)})
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
        if time.monotonic() < self.last_sample + 5.0:
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
        self.effect(lambda: not self.rests())
        self.break_camera("dropped")
        found = self.effect(self.rests)
        self.break_camera("none")
        return found

    def fault_policy_kill(self):
        self.effect(lambda: not self.rests())
        self.policy.kill9()
        found = self.effect(self.rests)
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
        found = self.effect(lambda: self.arm.mode() in LATCHED and "/intruder" in self.arm.statuses[-1].reason)
        intruder.destroy_node()
        return found

    def fault_second_commander(self):
        return self.duplicate(Jointpos, "rm_driver/movej_canfd_cmd")

    def fault_second_reporter(self):
        return self.duplicate(JointState, "joint_states")

    def fault_disk_full(self):
        """A recorder whose files may not grow any more says so, and the arm goes on."""
        limited = f"trap '' XFSZ; ulimit -f {FILE_LIMIT_KIB}; exec \"$0\" \"$@\""
        arguments = ["-p", f"dataset:={self.folder.parent / f'recorded_{self.seed}'}", "-p", "images:=png", "-p", "fps:=5.0",
                     "-p", "use_sim_time:=true"]
        command = ["bash", "-c", limited, str(binaries() / "record_node"), "--ros-args", *arguments]
        recorder = self.nodes._start("record_node", command, {}, subprocess.DEVNULL, ())
        self.ros.ask(SetInstruction, "/record_node/set_instruction", SetInstruction.Request(instruction="fill the disk"))
        begun, asked = time.monotonic(), 0.0
        while "File too large" not in recorder.output() and time.monotonic() < begun + 2 * RECOVERY_S:
            if time.monotonic() > asked + 5.0:
                asked = time.monotonic()
                self.ros.ask(Trigger, "/record_node/start", Trigger.Request())
            if not self.drive(1.0):
                return None
        found = "File too large" in recorder.output()
        recorder.stop()
        shutil.rmtree(self.folder.parent / f"recorded_{self.seed}", ignore_errors=True)
        return time.monotonic() - begun if found else None


# Fault and who drives meanwhile.
FAULTS = (
    ("driver_restart", "expert"), ("camera_loss", "policy"), ("clock_back", "expert"), ("policy_kill", "policy"),
    ("second_commander", "expert"), ("clock_ahead", "expert"), ("driver_stopped_in_order", "policy"),
    ("second_reporter", "policy"), ("clock_pause", "policy"), ("disk_full", "expert"),
)


def criteria(soak, memory, records):
    checked, drifts = soak.checker.report(), memory.drifts()
    none = lambda key: [one["fault"] for one in records if one[key] is None]
    died = [process.name for process in (soak.sim, soak.arm.process, soak.policy) if not process.running()]
    longer = [one for one in drifts if not one["ok"]]
    rows = [
        ("no command outside a limit", not checked["broken"], f"{checked['commands']} commands in {checked['motions']} motions, "
         f"broken: {checked['broken'] or 'none'}"),
        ("the arm was driven", checked["commands"] > 10 * SECONDS, f"{checked['commands'] / max(SECONDS, 1.0):.1f} commands a second"),
        ("every fault had its effect", not none("effect_s"), f"{len(records)} faults, without effect: {none('effect_s') or 'none'}"),
        ("the arm went on after every fault", not none("recovered_s"), f"stuck after: {none('recovered_s') or 'none'}"),
        ("no node ended by itself", not died, f"ended: {died or 'none'}"),
        ("memory stays", not longer, f"{len(drifts)} lives of ten minutes or more, growing: {longer or 'none'}"),
    ]
    return [{"criterion": name, "passed": bool(passed), "found": found} for name, passed, found in rows]


def show(report):
    lines = [f"{report['seconds']:.0f} s on {report['machine']}"]
    lines += [f"{'pass' if one['passed'] else 'FAIL'}  {one['criterion']}: {one['found']}" for one in report["criteria"]]
    lines += [f"  {one['node']}: {one['early_mib']} MiB early, {one['late_mib']} MiB late, over {one['seconds']} s"
              for one in report["memory"]]
    for fault in dict(FAULTS):
        of_fault = [one for one in report["faults"] if one["fault"] == fault]
        effects = [one["effect_s"] for one in of_fault if one["effect_s"] is not None]
        back = [one["recovered_s"] for one in of_fault if one["recovered_s"] is not None]
        lines.append(f"  {fault}: {len(of_fault)} times, effect within {max(effects, default=float('nan')):.2f} s, "
                     f"driven again within {max(back, default=float('nan')):.1f} s")
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
        fault, driver = FAULTS[len(records) % len(FAULTS)]
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
    print(f"measured: {passed} of {len(report['criteria'])} criteria in {report['seconds']:.0f} s with {len(records)} faults")
    assert not stuck and passed == len(report["criteria"]), text + nodes.output()
