"""Tests of the arm node on simulated time: it needs a clock to be armed, and holds when the clock stands still."""

from arm_fixtures import FakeDriver, Source, start_arm  # noqa: F401
from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from thinkvla.msg import ArmStatus, GateEvent


class SimulatedClock:
    """Publishes /clock at 100 Hz, advanced by 10 ms each time."""

    def __init__(self, ros):
        self.ros, self.ticks = ros, 100_000
        self.clock = ros.publisher(Clock, "/clock", 1)
        self.run()

    def run(self):
        self.timer = self.ros.node.create_timer(0.01, self.tick)

    def pause(self):
        self.ros.node.destroy_timer(self.timer)

    def now(self):
        return Time(sec=self.ticks // 100, nanosec=self.ticks % 100 * 10_000_000)

    def tick(self):
        self.ticks += 1
        self.clock.publish(Clock(clock=self.now()))


def test_simulated_time_without_a_clock_arms_nothing_and_a_paused_clock_ends_motion(ros, start_arm):
    driver, arm = FakeDriver(ros), start_arm(use_sim_time=True)
    ros.wait_for(lambda: arm.statuses, "a status")
    assert "/clock" in arm.refused_to_arm()
    clock = SimulatedClock(ros)
    arm.arm()
    source = Source(ros, now=clock.now)
    source.chunk(steps=100, step=[-0.0005, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    ros.wait_for(lambda: len(driver.commands) > 20, "twenty commands")
    clock.pause()
    arm.wait_mode(ArmStatus.HOLDING, "the arm to hold")
    assert "standing still" in arm.statuses[-1].reason
    assert arm.statuses[-1].underruns == 0
    # Repeated events are reported once a second.
    insisting = ros.node.create_timer(0.05, source.chunk)
    ros.wait_for(lambda: any(event.kind == GateEvent.REFUSED and "standing still" in event.message
                             for event in arm.events), "the refusal")
    ros.node.destroy_timer(insisting)


def test_joint_states_without_a_stamp_arm_nothing(ros, start_arm):
    driver = FakeDriver(ros)
    driver.stamped = False
    arm = start_arm()
    ros.wait_for(lambda: "stamp" in arm.refused_to_arm(), "a refusal that names the stamp")
    driver.stamped = True
    arm.arm()
