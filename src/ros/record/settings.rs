//! Parameters of the recorder.

use std::path::PathBuf;

use crate::contract::{Contract, ContractError, Data, Robot};
use crate::dataset::frame::ImageMode;
use crate::dataset::instruction::require_plain;
use crate::recording::sampler::SamplingRule;
use crate::ros::node::parameters::{NodeParameters, Number, ParameterError, Text};
use crate::ros::node::runtime::Runtime;
use crate::ros::subscribe::images::Transport;

/// Error in the parameters.
#[derive(Debug, thiserror::Error)]
pub enum RecordSettingsError {
    /// Invalid parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Invalid contract file.
    #[error("parameter contract: {0}")]
    Contract(#[from] ContractError),
    /// No dataset is given.
    #[error("parameter dataset: expected a folder, new, empty or with a dataset of ours, found none")]
    NoDataset,
    /// Instruction with characters that a prompt cannot contain.
    #[error("parameter {0}")]
    Instruction(String),
}

/// Parameters of the node, read once at start.
pub struct RecordSettings {
    /// Folder of the dataset.
    pub dataset: PathBuf,
    /// Robot and data of a new dataset.
    pub contract: Contract,
    /// Encoding of the images.
    pub images: ImageMode,
    /// Image topics to subscribe to.
    pub transport: Transport,
    /// Instruction until another one is set; may be empty.
    pub instruction: String,
    /// Rule by which streams are sampled.
    pub rule: SamplingRule,
    _declared: NodeParameters,
}

impl RecordSettings {
    /// Declares the parameters.
    ///
    /// # Errors
    /// When a value or the contract cannot work; the message names it.
    pub fn declare(runtime: &Runtime) -> Result<Self, RecordSettingsError> {
        let mut declared = NodeParameters::of(runtime);
        let mut text = |name, default, choices, about| {
            declared.fixed(Text {
                name,
                default,
                choices,
                about,
            })
        };
        let dataset = text(
            "dataset",
            "",
            &[],
            "Folder of the dataset: new, empty, or one to go on with.",
        )?;
        let contract = text(
            "contract",
            "",
            &[],
            "contract.yaml whose robot is recorded; empty takes an RM75 with a top and a wrist camera of 640x480.",
        )?;
        let images = text("images", "jpeg", &["jpeg", "png"], "How pictures are kept in the rows.")?;
        let transport = text(
            "image_transport",
            "auto",
            &["raw", "compressed", "auto"],
            "Image topics to listen to; JPEG that comes compressed is kept as it is.",
        )?;
        let instruction = text(
            "instruction",
            "",
            &[],
            "What the episodes are of, until another is set.",
        )?;
        let begin_with = text(
            "begin_with",
            "start",
            &["start", "motion"],
            "What the first row of an episode is: the moment of start, or when the arm first follows somebody after it.",
        )?;
        let mut number = |name, default, range, unit, about| {
            declared.fixed(Number {
                name,
                default,
                range,
                unit,
                about,
            })
        };
        let fps = number("fps", 10.0, 1.0..=200.0, "Hz", "Rows a second; a whole number.")?;
        let quality = number(
            "jpeg_quality",
            92.0,
            1.0..=100.0,
            "",
            "Quality of pictures that are made JPEG here.",
        )?;
        let slop_s = number(
            "slop",
            0.0,
            0.0..=1.0,
            "s",
            "A picture may be this far from its row's time; 0 takes half the time between rows, at least 0.05 s.",
        )?;
        let rule = SamplingRule {
            fps,
            slop_s: if slop_s > 0.0 {
                slop_s.max(0.001)
            } else {
                (0.5 / fps).max(0.05)
            },
            wait_s: number("wait", 0.3, 0.02..=1.5, "s", "How long a row waits for a late stream.")?,
            frozen_s: number(
                "frozen_after",
                0.5,
                0.1..=60.0,
                "s",
                "A camera that repeats one picture for longer while the arm moves counts as frozen.",
            )?,
            missing_share: number(
                "missing_share",
                0.02,
                0.0..=1.0,
                "",
                "Share of rows that may lack a stream; one row always may.",
            )?,
            gap_s: number("longest_gap", 0.3, 0.0..=10.0, "s", "Longest time without a stream.")?,
            begin_with_motion: begin_with == "motion",
        };
        if dataset.is_empty() {
            return Err(RecordSettingsError::NoDataset);
        }
        if !instruction.is_empty() {
            require_plain(&instruction).map_err(RecordSettingsError::Instruction)?;
        }
        let contract = match contract.as_str() {
            "" => Contract {
                robot: Robot::simulated(),
                data: Data::unrecorded(fps),
                model: None,
            },
            path => Contract {
                data: Data::unrecorded(fps),
                model: None,
                ..Contract::read(path.as_ref())?
            },
        };
        Ok(Self {
            dataset: dataset.into(),
            contract,
            images: match images.as_str() {
                "png" => ImageMode::Png,
                _ => ImageMode::Jpeg(quality as u8),
            },
            transport: match transport.as_str() {
                "raw" => Transport::Raw,
                "compressed" => Transport::Compressed,
                _ => Transport::Auto,
            },
            instruction,
            rule,
            _declared: declared.complete()?,
        })
    }
}
