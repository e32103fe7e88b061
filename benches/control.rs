//! Benchmark of one control period (executor, inverse kinematics and gate), with and without an active limit, and of the
//! acceptance of a chunk.

#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::arm::ArmError;
use thinkvla::control::chunk::{ActionChunk, PhysicalActions};
use thinkvla::control::config::ArmConfig;
use thinkvla::control::lease::{Heartbeats, Priority};
use thinkvla::realman::{Driver, DriverApi, DriverCommand, Graph};
use thinkvla::supervisor::Supervisor;
use thinkvla::types::time::{Now, Steady, Time};

struct Sink;

impl Driver for Sink {
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError> {
        black_box(command);
        Ok(())
    }
}

struct Bench {
    supervisor: Supervisor<Sink>,
    now: Now,
    lease: u64,
    heartbeats: Heartbeats,
    plan_id: u64,
}

impl Bench {
    fn armed() -> Self {
        let mut config = ArmConfig::parse(include_str!("../config/robots/rm75.yaml")).expect("the shipped parameters");
        // In a dry run commands are computed but not sent; an arm that follows them is not part of the measurement.
        config.dry_run = true;
        let ready = config.named("ready").expect("a shipped configuration");
        let now = Now {
            ros: Time::from_secs_f64(1000.0),
            steady: Steady::default(),
        };
        let mut supervisor = Supervisor::new(config, Sink, now);
        supervisor.on_graph(Graph::of_driver(DriverApi::V2), now);
        supervisor.on_state(ready, now.ros, now);
        supervisor.arm(now).expect("an arm that can be armed");
        let lease = supervisor
            .acquire_lease("bench", Priority::Policy, now)
            .expect("a free lease");
        Self {
            supervisor,
            now,
            lease,
            heartbeats: Heartbeats::of(lease, "bench"),
            plan_id: 0,
        }
    }

    /// A chunk of six steps of `stride` (m) towards the middle of the range in y and z, so that the tool moves to and fro.
    fn chunk(&mut self, stride: f64) -> ActionChunk {
        self.plan_id += 1;
        let at = self.supervisor.status(self.now).commanded_pose.translation;
        let towards = |middle: f64, found: f64| if found > middle { -1.0 } else { 1.0 };
        let step = [
            0.0,
            stride * towards(0.0, at.y),
            0.2 * stride * towards(0.19, at.z),
            0.0,
            0.0,
            0.0,
            1.0,
        ];
        ActionChunk {
            actions: PhysicalActions::new(ActionSpace::Ee7, step.repeat(6)).expect("finite steps"),
            composition: Composition::Sequential,
            reference: Reference::Commanded,
            frame: "base_link".into(),
            step_period: 0.1,
            observed: self.now.ros,
            expires: self.now.ros.offset_secs(0.5),
            source: "bench".into(),
            lease: self.lease,
            plan_id: self.plan_id,
        }
    }

    fn take(&mut self, chunk: ActionChunk) {
        self.supervisor
            .on_chunk(chunk, self.now)
            .expect("a chunk that can be followed");
    }

    /// Sends state and heartbeat, and a new chunk every 40 periods.
    fn between(&mut self, stride: f64) {
        self.now.ros = self.now.ros.offset_secs(0.01);
        self.now.steady = self.now.steady.offset_secs(0.01);
        let measured = self.supervisor.status(self.now).measured_joints;
        self.supervisor.on_state(measured, self.now.ros, self.now);
        self.supervisor
            .on_heartbeat(&self.heartbeats.next_heartbeat(), self.now);
        if (self.now.ros.0 / 10_000_000) % 40 == 0 || self.plan_id == 0 {
            let chunk = self.chunk(stride);
            self.take(chunk);
        }
    }
}

fn tick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("control");
    for (name, stride) in [("tick", 0.006), ("tick_at_the_limits", 0.03)] {
        let mut bench = Bench::armed();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..rounds {
                    bench.between(stride);
                    let now = bench.now;
                    let start = std::time::Instant::now();
                    bench.supervisor.tick(now);
                    spent += start.elapsed();
                }
                spent
            });
        });
        let status = bench.supervisor.status(bench.now);
        eprintln!("{name}: {} commands, {} changed to fit", status.commands, status.clamps);
    }
    group.bench_function("take_a_chunk", |bencher| {
        let mut bench = Bench::armed();
        bencher.iter_batched(
            || (),
            |()| {
                bench.between(0.006);
                let chunk = bench.chunk(0.006);
                bench.take(chunk);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, tick);
criterion_main!(benches);
