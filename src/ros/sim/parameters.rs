//! Parameters of sim_node.

use std::path::Path;

use crate::realman::DriverApi;
use crate::ros::node::parameters::{Flag, Live, NodeParameters, Number, Text};
use crate::sim::camera::View;
use crate::sim::config::SimConfig;
use crate::sim::driver::Faults;
use crate::sim::error::SimError;
use crate::sim::scene::SceneOptions;
use crate::sim::tasks::EpisodeId;

use super::SimNodeError;

/// Parameters that are read once, at start.
#[derive(Debug, Clone, Copy)]
pub struct SimSettings {
    /// Driver generation to simulate.
    pub api: DriverApi,
    /// First episode.
    pub first: EpisodeId,
    /// Whether the expert drives the first episode.
    pub expert: bool,
    /// Rate of each camera (Hz); 0 for no images.
    pub camera_rate_hz: f64,
    /// Simulated time divided by real time.
    pub real_time_factor: f64,
    /// Whether to publish `/clock` for nodes with `use_sim_time`.
    pub publish_clock: bool,
    /// Options of the scene.
    pub scene: SceneOptions,
}

/// All declared parameters.
pub struct Declared {
    /// Parameters that are read once, at start.
    pub settings: SimSettings,
    /// Configuration of the simulation.
    pub config: SimConfig,
    /// Faults that may be switched while the node runs.
    pub faults: LiveFaults,
}

/// Faults that may be switched while the node runs.
pub struct LiveFaults {
    frozen_state: Live<Flag>,
    lost_udp: Live<Flag>,
    backlog: Live<Flag>,
    disconnected: Live<Flag>,
    error: Live<Number<i64>>,
    /// Faults of the cameras.
    pub cameras: CameraFaults,
}

/// Faults of the cameras, top first.
#[derive(Clone)]
pub struct CameraFaults([Live<Text>; 2]);

/// Fault of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameraFault {
    /// No fault.
    None,
    /// The same image repeatedly, with fresh stamps.
    Frozen,
    /// No images.
    Dropped,
    /// Images arrive half a second after they were taken.
    Late,
    /// Messages contain half of the pixels that they announce.
    Truncated,
}

impl LiveFaults {
    /// Current faults of the driver.
    pub fn driver(&self) -> Faults {
        Faults {
            frozen_state: self.frozen_state.get(),
            lost_udp: self.lost_udp.get(),
            backlog: self.backlog.get(),
            disconnected: self.disconnected.get(),
        }
    }

    /// Error code to report, 0 for none.
    pub fn error(&self) -> u16 {
        u16::try_from(self.error.get()).unwrap_or(0)
    }
}

impl CameraFaults {
    /// Current fault of a camera.
    pub fn of(&self, view: View) -> CameraFault {
        let [top, wrist] = &self.0;
        let text = match view {
            View::Top => top,
            View::Wrist => wrist,
        };
        match text.get().as_str() {
            "frozen" => CameraFault::Frozen,
            "dropped" => CameraFault::Dropped,
            "late" => CameraFault::Late,
            "truncated" => CameraFault::Truncated,
            _ => CameraFault::None,
        }
    }
}

/// Declares all parameters.
///
/// # Errors
/// When a parameter or the configuration file is invalid.
pub fn declare(parameters: &mut NodeParameters) -> Result<Declared, SimNodeError> {
    let config = match parameters
        .fixed(text(
            "config",
            "",
            &[],
            "File that describes the table-top; empty takes the shipped config/robots/sim_table_top.yaml.",
        ))?
        .as_str()
    {
        "" => SimConfig::shipped(),
        path => SimConfig::load(Path::new(path)),
    };
    let api = parameters.fixed(text(
        "driver_api",
        "v2",
        &["v1", "v2"],
        "Generation of Realman's driver that is played: v1 up to 1.2, v2 from 1.3.",
    ))?;
    let settings = SimSettings {
        api: if api == "v1" { DriverApi::V1 } else { DriverApi::V2 },
        first: first(parameters)?,
        expert: parameters.fixed(flag("expert", "The scripted expert drives the first episode."))?,
        camera_rate_hz: parameters.fixed(Number {
            name: "camera_rate_hz",
            default: 10.0,
            range: 0.0..=60.0,
            unit: "Hz",
            about: "Pictures a second of each camera; 0 renders none. A pair takes 22 ms of a core without a GPU.",
        })?,
        real_time_factor: parameters.fixed(Number {
            name: "real_time_factor",
            default: 1.0,
            range: 0.05..=10.0,
            unit: "",
            about: "Simulated time over real time.",
        })?,
        publish_clock: parameters.fixed(flag(
            "publish_clock",
            "The time goes out on /clock, for nodes with use_sim_time; this node has none itself.",
        ))?,
        scene: SceneOptions {
            shadows: parameters.fixed(flag(
                "shadows",
                "Lights cast shadows; pictures take more than twice as long.",
            ))?,
            ..SceneOptions::default()
        },
    };
    Ok(Declared {
        settings,
        config: config.map_err(SimError::from)?,
        faults: faults(parameters)?,
    })
}

fn first(parameters: &mut NodeParameters) -> Result<EpisodeId, SimNodeError> {
    let task = parameters.fixed(text(
        "task",
        "height",
        &["height", "container", "position"],
        "Task of the first episode.",
    ))?;
    let variation = parameters.fixed(Number {
        name: "variation",
        default: 0_i64,
        range: 0..=2,
        unit: "",
        about: "Level of the factor the first task is about.",
    })?;
    let seed = parameters.fixed(Number {
        name: "seed",
        default: 0_i64,
        range: 0..=i64::MAX,
        unit: "",
        about: "Draws everything else about the first episode.",
    })?;
    Ok(EpisodeId {
        task: task.parse()?,
        variation: u8::try_from(variation).unwrap_or(0),
        seed: seed.unsigned_abs(),
    })
}

fn faults(parameters: &mut NodeParameters) -> Result<LiveFaults, SimNodeError> {
    let camera = |name| {
        text(
            name,
            "none",
            &["none", "frozen", "dropped", "late", "truncated"],
            "Fault of this camera: the same picture under fresh stamps, no picture, half a second late, or half the data.",
        )
    };
    Ok(LiveFaults {
        frozen_state: parameters.live(flag("fault_frozen_state", "State keeps its values under fresh stamps."))?,
        lost_udp: parameters.live(flag(
            "fault_lost_udp",
            "No state packet arrives: values stay, or are all zeros when none ever came.",
        ))?,
        backlog: parameters.live(flag(
            "fault_backlog",
            "Motion commands queue up as behind a blocking move; a stop, or switching this off, flushes them.",
        ))?,
        disconnected: parameters.live(flag(
            "fault_disconnected",
            "The driver has lost the controller: nothing arrives there, state stays as it was.",
        ))?,
        error: parameters.live(Number {
            name: "fault_error",
            default: 0_i64,
            range: 0..=0xFFFF,
            unit: "",
            about: "Setting an error code, e.g. 4116 for 0x1014, halts the arm with it; the next motion clears it.",
        })?,
        cameras: CameraFaults([
            parameters.live(camera("fault_top_camera"))?,
            parameters.live(camera("fault_wrist_camera"))?,
        ]),
    })
}

fn text(name: &'static str, default: &'static str, choices: &'static [&'static str], about: &'static str) -> Text {
    Text {
        name,
        default,
        choices,
        about,
    }
}

fn flag(name: &'static str, about: &'static str) -> Flag {
    Flag {
        name,
        default: false,
        about,
    }
}
