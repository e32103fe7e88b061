//! A checkpoint at work: what the cameras see and an instruction in, a chunk of actions out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use crate::camera::patches::Grid;
use crate::contract::Contract;
use crate::control::chunk::PhysicalActions;

use super::actions::NormalisedActions;
use super::checkpoint::{Checkpoint, Placement};
use super::config::{Config, Precision, Proprio};
use super::device::{DeviceChoice, set_threads};
use super::error::ModelError;
use super::network::{Latents, Network};
use super::prompt::{Prompter, Task};
use super::sequence::SequencePlan;
use super::state::{StateText, normalised_state, state_tensor};
use super::text::conversation::Conversation;
use super::text::generation::{AnswerOptions, Generation, Step};
use super::vision::VisionOutput;
use super::vision_plan::VisionPlan;

/// Tokens fill whole blocks of this many rows.
const FULL_ROWS: usize = 16;

/// How a policy is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyOptions {
    /// Where.
    pub device: DeviceChoice,
    /// Type of the backbone; `None` takes the checkpoint's.
    pub compute: Option<Precision>,
    /// CPU threads of one operation; `None` leaves libtorch's choice. Holds for the whole process.
    pub threads: Option<u16>,
}

/// One moment to act on.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Patches of all views in the contract's order, in merge-block order: (Σpatches, patch values).
    pub pixel_values: &'a [f32],
    /// How many patches each view has.
    pub grids: &'a [Grid],
    /// The robot's own state, a value for each dimension of the contract's `data.state`, in physical units. Read only by
    /// checkpoints whose `proprio` says so.
    pub state: &'a [f64],
    /// The task in words.
    pub instruction: &'a str,
}

/// A chunk and how it came about.
#[derive(Debug)]
pub struct PolicyOutput {
    /// The chunk in physical units.
    pub actions: PhysicalActions,
    /// Where the time went.
    pub timings: Timings,
    /// The latents behind it, on the policy's device.
    pub latents: Latents,
}

/// Where the time of one chunk went. On a GPU, which runs behind, only the total is meaningful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Prompt (first time for an instruction only) and pixels to the device.
    pub prepare: Duration,
    /// Vision tower.
    pub vision: Duration,
    /// Language model.
    pub language: Duration,
    /// Adapters, action head and un-normalisation.
    pub action: Duration,
    /// All of it.
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
    sight: Option<Sight>,
}

/// What the vision tower made of the last moment.
#[derive(Debug)]
struct Sight {
    vision: VisionOutput,
    grids: Vec<Grid>,
}

/// What depends on the instruction, the state where it is told in words, and the images' sizes only. One is kept: they change
/// rarely.
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
            sight: None,
        })
    }

    /// What the checkpoint was trained on and for.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The network's shape and the bounds of the images it takes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// SHA-256 of the weights, in hexadecimal.
    pub fn checkpoint_hash(&self) -> &str {
        &self.hash
    }

    /// One chunk for one moment. The first takes longer: libtorch sets itself up.
    ///
    /// # Errors
    /// When the views do not fit the contract or the network, the instruction cannot be used, or an action is not
    /// finite. The policy stays usable.
    pub fn act(&mut self, observation: &Observation) -> Result<PolicyOutput, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let start = Instant::now();
        let pixels = self.pixels(observation.pixel_values, observation.grids)?;
        let state = self.state(observation)?;
        let plan = match self.plan.take() {
            Some(plan) if plan.fits(observation, state.as_ref()) => plan,
            _ => self.plan(observation, state)?,
        };
        let plan = self.with_state_values(plan, observation)?;
        let prepared = Instant::now();
        let sight = self.network.see(&pixels, &plan.images)?;
        let seen = Instant::now();
        let thought = self.network.think(&sight, &plan.sequence)?;
        let thought_at = Instant::now();
        let output = self.network.act(&sight, thought, &plan.sequence)?;
        self.sight = Some(Sight {
            vision: sight,
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
                language: thought_at - seen,
                action: end - thought_at,
                total: end - start,
            },
            latents: output.latents,
        })
    }

    /// Looks at a moment without acting on it, to be asked about it. The views are those of an [`Observation`].
    ///
    /// # Errors
    /// When the views do not fit the contract or the network.
    pub fn look(&mut self, pixel_values: &[f32], grids: &[Grid]) -> Result<(), ModelError> {
        let _no_grad = tch::no_grad_guard();
        let pixels = self.pixels(pixel_values, grids)?;
        let images = VisionPlan::new(grids, &self.config.vision_config, self.device)?;
        self.sight = Some(Sight {
            vision: self.network.see(&pixels, &images)?,
            grids: grids.to_vec(),
        });
        Ok(())
    }

    /// Begins an answer to a question about the moment last acted on or looked at. [`Self::go_on`] makes it; the policy
    /// may act in between.
    ///
    /// # Errors
    /// When nothing was looked at yet, or the question or the options cannot work.
    pub fn ask(&self, question: &str, options: AnswerOptions) -> Result<Generation, ModelError> {
        let sight = self.sight.as_ref().ok_or_else(|| ModelError::Observation {
            expected: "a moment to ask about".into(),
            found: "none yet".into(),
        })?;
        let prompt = self.conversation.ask(question, &sight.grids)?;
        Generation::new(&self.conversation, prompt, Some(sight.vision.shared()), options)
    }

    /// One step of an answer; see [`Generation::advance`].
    ///
    /// # Errors
    /// When libtorch refuses, or the logits are not numbers.
    pub fn go_on(&self, answer: &mut Generation) -> Result<Option<Step>, ModelError> {
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

    /// The state in words, where the checkpoint reads it.
    fn state(&self, observation: &Observation) -> Result<Option<StateText>, ModelError> {
        match self.config.thinkvla.proprio {
            Proprio::None | Proprio::Projected => Ok(None),
            Proprio::Text => StateText::new(observation.state, &self.contract.data.state).map(Some),
        }
    }

    /// The plan with the state as numbers, where a projector reads it.
    fn with_state_values(&self, plan: Plan, observation: &Observation) -> Result<Plan, ModelError> {
        if self.config.thinkvla.proprio != Proprio::Projected {
            return Ok(plan);
        }
        let state = normalised_state(observation.state, &self.contract.data.state)?;
        let state = state_tensor(&[state], self.device)?;
        Ok(Plan {
            sequence: plan.sequence.with_state(Some(state)),
            ..plan
        })
    }

    fn plan(&self, observation: &Observation, state: Option<StateText>) -> Result<Plan, ModelError> {
        let grids = observation.grids.to_vec();
        let images = VisionPlan::new(&grids, &self.config.vision_config, self.device)?;
        let task = Task {
            instruction: observation.instruction,
            state: state.as_ref(),
        };
        let prompt = self.prompter.student(task, &grids)?.filled_up(FULL_ROWS);
        let place = (self.compute.kind(), self.device);
        Ok(Plan {
            instruction: observation.instruction.to_owned(),
            state,
            images,
            sequence: SequencePlan::new(&[prompt], &self.config.text_config, place)?,
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
