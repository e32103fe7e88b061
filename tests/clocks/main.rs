//! Tests of clock jumps: waiting and pacing use monotonic time whatever the ROS clock does, and no time stamp in ROS time
//! is misinterpreted after a jump.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "../support/arm_rig.rs"]
mod arm_rig;
mod plans;
mod stalls;
mod waiting;

use arm_rig::Rig;
use thinkvla::supervisor::ArmMode;

/// Behaviour of a ROS clock from some moment on.
#[derive(Debug, Clone, Copy)]
struct RosClock {
    /// Jump at that moment (s).
    jump: f64,
    /// Rate relative to real time.
    rate: f64,
}

const CLOCKS: [RosClock; 8] = [
    RosClock { jump: 0.0, rate: 1.0 },
    RosClock {
        jump: -3600.0,
        rate: 1.0,
    },
    RosClock { jump: -0.3, rate: 1.0 },
    RosClock { jump: 0.3, rate: 1.0 },
    RosClock {
        jump: 3600.0,
        rate: 1.0,
    },
    RosClock { jump: 0.0, rate: 0.0 },
    RosClock { jump: 0.0, rate: 0.1 },
    RosClock { jump: 0.0, rate: 10.0 },
];

impl RosClock {
    fn begin(self, rig: &mut Rig) {
        rig.jump(self.jump);
        rig.rate = self.rate;
    }

    /// Returns whether the executor follows chunks on this clock.
    fn is_followed(self) -> bool {
        self.jump == 0.0 && self.rate > 0.0
    }
}

const INWARD: [f64; 7] = [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// An arm on its way to `home` by a named move, which does not depend on the ROS clock.
fn moving_home() -> Rig {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.5, rig.lease, rig.now).unwrap();
    rig.run(0.4);
    rig
}

/// Time until the arm is in `mode` (s), with the resolution of a tick.
fn until(rig: &mut Rig, mode: ArmMode, limit: f64) -> f64 {
    let from = rig.now.steady;
    while rig.mode() != mode {
        rig.tick();
        let waited = rig.now.steady.seconds_since(from);
        assert!(waited <= limit, "not {mode} within {limit} s but {}", rig.mode());
    }
    rig.now.steady.seconds_since(from)
}
