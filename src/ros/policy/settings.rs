//! Parameters of the policy node.

use std::path::PathBuf;
use std::time::Duration;

use crate::ros::node::parameters::{Flag, Live, NodeParameters, Number, ParameterError, Text, Texts};
use crate::ros::node::runtime::Runtime;
use crate::ros::subscribe::images::Transport;

/// Parameters of the node; those that may be set while it runs are [`Live`].
pub struct PolicySettings {
    /// Checkpoint directory.
    pub checkpoint: PathBuf,
    /// Directory below which `list_checkpoints` searches.
    pub checkpoints: PathBuf,
    /// Names of action dimensions that may be constant in the training data.
    pub allow_constant: Vec<String>,
    /// File that describes the live arm.
    pub robot: PathBuf,
    /// Whether to configure and activate at start.
    pub autostart: bool,
    /// Image topics to subscribe to.
    pub transport: Transport,
    /// Instruction before the first message on the instruction topic; empty waits for one.
    pub instruction: String,
    /// Device of the network: `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// CPU threads of one operation; `None` leaves libtorch's choice.
    pub threads: Option<u16>,
    /// Longest wait of the activation for cameras and arm node.
    pub activation_timeout: Duration,
    /// Largest relative difference between a camera's rate and the contract's.
    pub rate_tolerance: f64,
    /// Number of steps of a chunk that are executed before the next one is computed.
    pub replan_steps: Live<Number<i64>>,
    /// Age at which a camera counts as lost (s).
    pub camera_age_limit: Live<Number<f64>>,
    /// Number of images, at the rate of its stream, after which a camera counts as lost; 0 leaves it to the age.
    pub camera_periods: Live<Number<f64>>,
    /// Largest difference between the stamps of the frames of one observation (s).
    pub camera_slop: Live<Number<f64>>,
    /// Duration of identical images, while the arm moves, after which a camera counts as frozen (s).
    pub frozen_after: f64,
    /// Duration after which a forward pass counts as hung (s).
    pub inference_limit: Live<Number<f64>>,
    /// Time after the observation within which the arm node must start a chunk (s).
    pub chunk_expiry: Live<Number<f64>>,
    /// Whether to publish a picture of the geometry latents after every chunk.
    pub publish_geometry: Live<Flag>,
    _declared: NodeParameters,
}

impl PolicySettings {
    /// Declares the parameters.
    ///
    /// # Errors
    /// When a value cannot work; the message names it.
    pub fn declare(runtime: &Runtime) -> Result<Self, ParameterError> {
        let mut declared = NodeParameters::of(runtime);
        let seconds = |name, default, range, about| Number {
            name,
            default,
            range,
            unit: "s",
            about,
        };
        Ok(Self {
            checkpoint: declared
                .fixed(Text {
                    name: "checkpoint",
                    default: "",
                    choices: &[],
                    about: "Checkpoint directory: config.json, tokenizer.json, model.safetensors and contract.yaml.",
                })?
                .into(),
            checkpoints: declared
                .fixed(Text {
                    name: "checkpoints",
                    default: "",
                    choices: &[],
                    about: "Directory below which list_checkpoints looks; empty takes the one that holds checkpoint.",
                })?
                .into(),
            allow_constant: declared.fixed(Texts {
                name: "allow_constant",
                about: "Dimensions of the action, by name, that load_checkpoint lets be constant in the training data.",
            })?,
            robot: declared
                .fixed(Text {
                    name: "robot",
                    default: "",
                    choices: &[],
                    about: "File that describes the live arm, compared with the contract; empty takes the shipped RM75.",
                })?
                .into(),
            autostart: declared.fixed(Flag {
                name: "autostart",
                default: false,
                about: "Configure and activate at start, without waiting for ros2 lifecycle.",
            })?,
            transport: transport(&declared.fixed(Text {
                name: "image_transport",
                default: "auto",
                choices: &["raw", "compressed", "auto"],
                about: "Image topics to listen to; auto takes whichever comes.",
            })?),
            instruction: declared.fixed(Text {
                name: "instruction",
                default: "",
                choices: &[],
                about: "Task in words until the instruction topic says otherwise; empty waits for the topic.",
            })?,
            device: declared.fixed(Text {
                name: "device",
                default: "auto",
                choices: &[],
                about: "Where the network runs: auto, cpu, cuda or cuda:N.",
            })?,
            threads: u16::try_from(declared.fixed(Number {
                name: "threads",
                default: 0,
                range: 0..=256,
                unit: "",
                about: "CPU threads of one network operation; 0 leaves the choice to libtorch.",
            })?)
            .ok()
            .filter(|threads| *threads > 0),
            activation_timeout: Duration::from_secs_f64(declared.fixed(seconds(
                "activation_timeout",
                10.0,
                0.1..=120.0,
                "How long activation waits for images of every camera and for the arm node.",
            ))?),
            rate_tolerance: declared.fixed(Number {
                name: "rate_tolerance",
                default: 0.2,
                range: 0.0..=1.0,
                unit: "",
                about: "Largest relative difference between a camera's measured rate and the contract's; 1 ignores it.",
            })?,
            replan_steps: declared.live(Number {
                name: "replan_steps",
                default: 8,
                range: 1..=1000,
                unit: "steps",
                about: "Steps of a chunk that are executed before the next chunk is computed.",
            })?,
            camera_age_limit: declared.live(seconds(
                "camera_age_limit",
                0.25,
                0.02..=5.0,
                "A camera that is silent for longer ends the heartbeat, and the arm brakes.",
            ))?,
            camera_periods: declared.live(Number {
                name: "camera_periods",
                default: 3.0,
                range: 0.0..=1000.0,
                unit: "images",
                about: "A camera that misses this many images of its own rate ends the heartbeat; 0 leaves that to camera_age_limit.",
            })?,
            camera_slop: declared.live(seconds(
                "camera_slop",
                0.04,
                0.0..=1.0,
                "Stamps of the frames of one observation may differ by this much.",
            ))?,
            frozen_after: declared.fixed(seconds(
                "frozen_after",
                0.5,
                0.1..=60.0,
                "A camera whose images stay identical for longer while the arm moves is frozen and ends the heartbeat.",
            ))?,
            inference_limit: declared.live(seconds(
                "inference_limit",
                1.0,
                0.05..=60.0,
                "A forward pass that takes longer counts as hung and ends the heartbeat.",
            ))?,
            chunk_expiry: declared.live(seconds(
                "chunk_expiry",
                0.5,
                0.05..=10.0,
                "A chunk that could not be started within this time of its observation is dropped by the arm node.",
            ))?,
            publish_geometry: declared.live(Flag {
                name: "publish_geometry",
                default: false,
                about: "Publish a picture of the geometry latents after every chunk.",
            })?,
            _declared: declared.complete()?,
        })
    }
}

fn transport(name: &str) -> Transport {
    match name {
        "raw" => Transport::Raw,
        "compressed" => Transport::Compressed,
        _ => Transport::Auto,
    }
}
