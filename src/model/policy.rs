//! A loaded checkpoint that computes chunks of actions from camera images and an instruction.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use crate::camera::patches::Grid;
use crate::contract::Contract;
use crate::control::chunk::PhysicalActions;

use super::checkpoint::{Checkpoint, Placement};
use super::config::{Config, Precision};
use super::error::ModelError;
use super::generate::conversation::Conversation;
use super::generate::generation::{AnswerOptions, Generation, GenerationStep};
use super::layers::device::{DeviceChoice, set_threads};
use super::qwen3_vl::inputs::SequencePlan;
use super::qwen3_vl::vision::VisionOutput;
use super::qwen3_vl::vision_plan::VisionPlan;
use super::thinkvla::actions::NormalisedActions;
use super::thinkvla::network::{Latents, Network};
use super::thinkvla::prompt::{PromptTask, Prompter};
use super::thinkvla::state::{StateInput, StateText};

/// Prompts are padded to a multiple of this number of tokens, for which matrix kernels run full blocks.
const FULL_ROWS: usize = 16;

/// Settings of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyOptions {
    /// Device.
    pub device: DeviceChoice,
    /// Type of the backbone; `None` for the checkpoint's.
    pub compute: Option<Precision>,
    /// CPU threads of one operation, for the whole process; `None` for libtorch's choice.
    pub threads: Option<u16>,
}

/// Inputs of one inference.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Patches of all views in the contract's order, in merge-block order: (Σpatches, patch values).
    pub pixel_values: &'a [f32],
    /// Patch grid of each view.
    pub grids: &'a [Grid],
    /// State of the robot, a value for each dimension of the contract's `data.state`, in physical units. Used only by
    /// checkpoints whose `proprio` requires it.
    pub state: &'a [f64],
    /// Instruction.
    pub instruction: &'a str,
}

/// A chunk, with timings and latents.
#[derive(Debug)]
pub struct PolicyOutput {
    /// The chunk in physical units.
    pub actions: PhysicalActions,
    /// Durations of the steps.
    pub timings: Timings,
    /// Latents from which the chunk was computed, on the policy's device.
    pub latents: Latents,
}

/// Durations of the steps of one inference. On a GPU, which runs asynchronously, only the total is meaningful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Prompt (only for a new instruction) and transfer of the pixels to the device.
    pub prepare: Duration,
    /// Vision tower.
    pub vision: Duration,
    /// Language model.
    pub language: Duration,
    /// Adapters, action head and un-normalisation.
    pub action: Duration,
    /// Total.
    pub total: Duration,
}

/// A loaded checkpoint.
#[derive(Debug)]
pub struct Policy {
    config: Config,
    contract: Contract,
    hash: String,
    network: Network,
    prompter: Prompter,
    device: Device,
    compute: Precision,
    plan: Option<Plan>,
    conversation: Conversation,
    encoded: Option<EncodedImages>,
}

/// Outputs of the vision tower for the last moment.
#[derive(Debug)]
struct EncodedImages {
    vision: VisionOutput,
    grids: Vec<Grid>,
}

/// Everything that depends only on the instruction, the state where it is text, and the images' sizes. One is cached,
/// because these rarely change.
#[derive(Debug)]
struct Plan {
    instruction: String,
    state: Option<StateText>,
    grids: Vec<Grid>,
    images: VisionPlan,
    sequence: SequencePlan,
}

impl Policy {
    /// Loads a checkpoint directory.
    ///
    /// # Errors
    /// When a file is missing, damaged or does not fit the others, or the device is not there.
    pub fn load(directory: &Path, options: PolicyOptions) -> Result<Self, ModelError> {
        if let Some(threads) = options.threads {
            set_threads(threads);
        }
        let device = options.device.resolve()?;
        let placement = Placement {
            device,
            compute: options.compute,
        };
        let checkpoint = Checkpoint::load(directory, placement)?;
        let tokenizer = Arc::new(checkpoint.tokenizer);
        Ok(Self {
            prompter: Prompter::new(Arc::clone(&tokenizer), &checkpoint.config)?,
            conversation: Conversation::new(directory, tokenizer, &checkpoint.config)?,
            compute: options.compute.unwrap_or(checkpoint.config.thinkvla.compute),
            config: checkpoint.config,
            contract: checkpoint.contract,
            hash: checkpoint.hash,
            network: checkpoint.network,
            device,
            plan: None,
            encoded: None,
        })
    }

    /// Returns the contract: robot and training data.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Returns the configuration: the network's shape and the bounds of its images.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the SHA-256 of the weights, in hexadecimal.
    pub fn checkpoint_hash(&self) -> &str {
        &self.hash
    }

    /// Computes one chunk. The first takes longer, because libtorch initialises itself.
    ///
    /// # Errors
    /// When the views do not fit the contract or the network, the instruction cannot be used, or an action is not
    /// finite. The policy stays usable.
    pub fn act(&mut self, observation: &Observation) -> Result<PolicyOutput, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let start = Instant::now();
        let pixels = self.pixels(observation.pixel_values, observation.grids)?;
        let read = self.config.thinkvla.proprio;
        let state = StateInput::new(read, observation.state, &self.contract.data.state)?;
        let numbers = state.tensor(self.device)?;
        let mut plan = match self.plan.take() {
            Some(plan) if plan.fits(observation, state.text.as_ref()) => plan,
            _ => self.plan(observation, state.text)?,
        };
        plan.sequence = plan.sequence.with_state(numbers);
        let prepared = Instant::now();
        let encoded = self.network.encode_images(&pixels, &plan.images)?;
        let seen = Instant::now();
        let readout = self.network.forward_text(&encoded, &plan.sequence)?;
        let read_at = Instant::now();
        let output = self.network.predict_actions(&encoded, readout, &plan.sequence)?;
        self.encoded = Some(EncodedImages {
            vision: encoded,
            grids: plan.grids.clone(),
        });
        self.plan = Some(plan);
        let actions = NormalisedActions::from_tensor(&output.actions)?.unnormalise(&self.contract)?;
        let end = Instant::now();
        Ok(PolicyOutput {
            actions,
            timings: Timings {
                prepare: prepared - start,
                vision: seen - prepared,
                language: read_at - seen,
                action: end - read_at,
                total: end - start,
            },
            latents: output.latents,
        })
    }

    /// Encodes the images of a moment without computing actions, so that questions can be asked about it. The views are
    /// those of an [`Observation`].
    ///
    /// # Errors
    /// When the views do not fit the contract or the network.
    pub fn encode_images(&mut self, pixel_values: &[f32], grids: &[Grid]) -> Result<(), ModelError> {
        let _no_grad = tch::no_grad_guard();
        let pixels = self.pixels(pixel_values, grids)?;
        let images = VisionPlan::new(grids, &self.config.vision_config, self.device)?;
        self.encoded = Some(EncodedImages {
            vision: self.network.encode_images(&pixels, &images)?,
            grids: grids.to_vec(),
        });
        Ok(())
    }

    /// Begins an answer to a question about the images last passed to `act` or `encode_images`. [`Self::next_step`] generates it;
    /// the policy may act in between.
    ///
    /// # Errors
    /// When there is no such moment yet, or the question or the options are invalid.
    pub fn ask(&self, question: &str, options: AnswerOptions) -> Result<Generation, ModelError> {
        let encoded = self.encoded.as_ref().ok_or_else(|| ModelError::Observation {
            expected: "a moment to ask about".into(),
            found: "none yet".into(),
        })?;
        let prompt = self.conversation.ask(question, &encoded.grids)?;
        Generation::new(&self.conversation, prompt, Some(encoded.vision.shared()), options)
    }

    /// Generates one step of an answer; see [`Generation::advance`].
    ///
    /// # Errors
    /// When libtorch fails, or the logits are NaN.
    pub fn next_step(&self, answer: &mut Generation) -> Result<Option<GenerationStep>, ModelError> {
        answer.advance(self.network.backbone())
    }

    /// # Shapes
    /// (Σpatches, patch values)
    fn pixels(&self, pixel_values: &[f32], grids: &[Grid]) -> Result<Tensor, ModelError> {
        let cameras = self.contract.robot.cameras.len();
        if grids.len() != cameras {
            return Err(ModelError::Observation {
                expected: format!("{cameras} views, one for each camera of the contract"),
                found: grids.len().to_string(),
            });
        }
        let (rows, values) = (patches(grids), self.config.vision_config.patch_values());
        if pixel_values.len() as i64 != rows * values {
            return Err(ModelError::Observation {
                expected: format!("{rows} patches of {values} values"),
                found: format!("{} values", pixel_values.len()),
            });
        }
        Ok(Tensor::f_from_slice(pixel_values)?
            .f_reshape([rows, values])?
            .f_to_device(self.device)?
            .f_to_kind(self.compute.kind())?)
    }

    fn plan(&self, observation: &Observation, state: Option<StateText>) -> Result<Plan, ModelError> {
        let grids = observation.grids.to_vec();
        let images = VisionPlan::new(&grids, &self.config.vision_config, self.device)?;
        let task = PromptTask {
            instruction: observation.instruction,
            state: state.as_ref(),
        };
        let prompt = self.prompter.student(task, &grids)?.filled_up(FULL_ROWS);
        let kind = self.compute.kind();
        Ok(Plan {
            instruction: observation.instruction.to_owned(),
            state,
            images,
            sequence: SequencePlan::new(&[prompt], &self.config.text_config, kind, self.device)?,
            grids,
        })
    }
}

impl Plan {
    fn fits(&self, observation: &Observation, state: Option<&StateText>) -> bool {
        self.instruction == observation.instruction && self.state.as_ref() == state && self.grids == observation.grids
    }
}

fn patches(grids: &[Grid]) -> i64 {
    grids.iter().map(|grid| grid.patches() as i64).sum()
}
