//! A policy that takes whole camera images.

use crate::camera::patches::Grid;
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::model::error::ModelError;
use crate::model::policy::{Observation, Policy, PolicyOutput};

/// A policy with the image preprocessing of its contract.
#[derive(Debug)]
pub struct Viewer {
    policy: Policy,
    preprocessor: Preprocessor,
}

/// Inputs of one inference.
#[derive(Debug, Clone, Copy)]
pub struct ViewerInput<'a> {
    /// Camera images, in the contract's order.
    pub pictures: &'a [RgbImage],
    /// State of the robot, as in [`Observation::state`].
    pub state: &'a [f64],
    /// Instruction.
    pub instruction: &'a str,
}

/// Error of computing a chunk.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Pictures of this contract cannot be cut into patches.
    #[error("contract.yaml: {0}")]
    Contract(String),
    /// A picture cannot be preprocessed.
    #[error("picture of the camera {camera}: {message}")]
    Picture {
        /// Camera.
        camera: String,
        /// Error of the preprocessing.
        message: String,
    },
    /// The network fails.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Viewer {
    /// Wraps a loaded checkpoint.
    ///
    /// # Errors
    /// When its contract's pictures cannot be cut into its patches.
    pub fn new(policy: Policy) -> Result<Self, ViewError> {
        let preprocessor = Preprocessor::new(policy.contract().data.resize, policy.config().patch_rule());
        Ok(Self {
            preprocessor: preprocessor.map_err(|e| ViewError::Contract(e.to_string()))?,
            policy,
        })
    }

    /// Returns the contract of the checkpoint: robot, data and actions.
    pub fn contract(&self) -> &Contract {
        self.policy.contract()
    }

    /// Returns the SHA-256 of the weights.
    pub fn checkpoint_hash(&self) -> &str {
        self.policy.checkpoint_hash()
    }

    /// Returns the number of steps in a chunk.
    pub fn chunk_len(&self) -> usize {
        self.policy.config().thinkvla.chunk_len as usize
    }

    /// Returns the patch grids of the latest pictures.
    pub fn grids(&self) -> &[Grid] {
        &self.preprocessor.input().grids
    }

    /// Returns the number of patches along each side of a token.
    pub fn merge(&self) -> u32 {
        self.policy.config().patch_rule().merge
    }

    /// Computes one chunk.
    ///
    /// # Errors
    /// When a picture cannot be used, or as [`Policy::act`].
    pub fn act(&mut self, scene: ViewerInput<'_>) -> Result<PolicyOutput, ViewError> {
        self.preprocessor.clear();
        for (number, picture) in scene.pictures.iter().enumerate() {
            self.preprocessor.push_rgb(picture).map_err(|e| {
                let camera = self.policy.contract().robot.cameras.get(number);
                ViewError::Picture {
                    camera: camera.map_or_else(|| number.to_string(), |camera| camera.name.clone()),
                    message: e.to_string(),
                }
            })?;
        }
        let input = self.preprocessor.input();
        Ok(self.policy.act(&Observation {
            pixel_values: &input.pixel_values,
            grids: &input.grids,
            state: scene.state,
            instruction: scene.instruction,
        })?)
    }
}
