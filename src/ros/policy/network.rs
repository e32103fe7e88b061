//! The network as an actor.

use std::sync::Arc;
use std::time::Instant;

use super::actor::{ActError, Acted, Actor};
use super::live::decode;
use super::settings::Settings;
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::contract::Contract;
use crate::model::policy::{Observation, Policy, PolicyOptions};
use crate::ros::images::Arrived;

/// A checkpoint with everything between images and actions.
pub struct NetworkActor {
    policy: Policy,
    preprocessor: Preprocessor,
    rgb: RgbImage,
}

impl NetworkActor {
    /// Loads the checkpoint the settings name.
    ///
    /// # Errors
    /// When there is none, it is damaged, or the device is not there.
    pub fn load(settings: &Settings) -> Result<Box<dyn Actor>, String> {
        if settings.checkpoint.as_os_str().is_empty() {
            return Err("parameter checkpoint: expected a checkpoint directory, found nothing".to_owned());
        }
        let options = PolicyOptions {
            device: settings.device.parse().map_err(|e| format!("parameter device: {e}"))?,
            threads: settings.threads,
            ..PolicyOptions::default()
        };
        let policy = Policy::load(&settings.checkpoint, options).map_err(|e| e.to_string())?;
        let preprocessor = Preprocessor::new(policy.contract().data.resize, policy.config().patch_rule())
            .map_err(|e| e.to_string())?;
        Ok(Box::new(Self {
            policy,
            preprocessor,
            rgb: RgbImage::default(),
        }))
    }
}

impl Actor for NetworkActor {
    fn contract(&self) -> &Contract {
        self.policy.contract()
    }

    fn checkpoint_hash(&self) -> &str {
        self.policy.checkpoint_hash()
    }

    fn warm_up(&mut self) -> Result<(), String> {
        self.preprocessor.clear();
        for camera in &self.policy.contract().robot.cameras {
            let black = RgbImage::new(camera.width, camera.height);
            self.preprocessor.push_rgb(&black).map_err(|e| e.to_string())?;
        }
        let observation = Observation {
            pixel_values: &self.preprocessor.input().pixel_values,
            grids: &self.preprocessor.input().grids,
            instruction: "warm up",
        };
        self.policy.act(&observation).map(drop).map_err(|e| e.to_string())
    }

    fn act(&mut self, frames: &[Arc<Arrived>], instruction: &str) -> Result<Acted, ActError> {
        let start = Instant::now();
        self.preprocessor.clear();
        for (frame, camera) in frames.iter().zip(&self.policy.contract().robot.cameras) {
            let fault = |message: String| ActError::Frame {
                camera: camera.name.clone(),
                message,
            };
            decode(frame, &mut self.rgb).map_err(fault)?;
            self.preprocessor
                .push_rgb(&self.rgb)
                .map_err(|e| fault(e.to_string()))?;
        }
        let preprocess = start.elapsed();
        let observation = Observation {
            pixel_values: &self.preprocessor.input().pixel_values,
            grids: &self.preprocessor.input().grids,
            instruction,
        };
        let output = self
            .policy
            .act(&observation)
            .map_err(|e| ActError::Network(e.to_string()))?;
        Ok(Acted {
            actions: output.actions,
            preprocess,
            inference: output.timings.total,
        })
    }
}
