//! AdamW over three groups with their own learning rates, on 32-bit masters of weights with fewer bits.

use std::collections::HashMap;

use tch::{Kind, TchError, Tensor};

use crate::torch_ext::adamw::{AdamWRule, AdamWTensors, clear_gradient, norm};

use super::config::settings::{Clip, LearningRates, OptimiserSettings};
use super::error::StepError;
use crate::model::trainable::{NetworkParameters, ParameterGroup};

/// Keeps the clipping from dividing by zero, as in PyTorch.
const CLIP_EPS: f64 = 1e-6;

/// Optimiser and its state.
#[derive(Debug)]
pub struct Optimiser {
    entries: Vec<Entry>,
    settings: OptimiserSettings,
}

/// Tensor that is trained.
#[derive(Debug)]
struct Entry {
    key: String,
    group: ParameterGroup,
    /// Tensor of the network.
    weight: Tensor,
    /// Its values in 32 bits, if the network computes in fewer.
    master: Option<Tensor>,
    mean: Tensor,
    square: Tensor,
    /// Number of steps, as one 32-bit value.
    steps: Tensor,
    /// Exponential moving average of the values, if enabled.
    average: Option<Tensor>,
}

/// Norms of the gradients before clipping.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GradientNorms {
    /// Norm of all gradients together.
    pub total: f64,
    /// Norm of each of [`ParameterGroup::ALL`]; 0 for a group without gradients.
    pub groups: [f64; 3],
}

impl GradientNorms {
    /// Returns the norm of one group.
    fn of(&self, group: ParameterGroup) -> f64 {
        let named = ParameterGroup::ALL.into_iter().zip(self.groups);
        named.filter(|(of, _)| *of == group).map(|(_, norm)| norm).sum()
    }
}

impl Optimiser {
    /// Creates the optimiser for all tensors that are trained.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn new(parameters: &NetworkParameters, settings: OptimiserSettings) -> Result<Self, StepError> {
        let _no_grad = tch::no_grad_guard();
        let entry = |one: &crate::model::trainable::NamedTensor| -> Result<Entry, StepError> {
            let kind = one.tensor.f_kind()?;
            let master = match kind {
                Kind::Float | Kind::Double => None,
                _ => Some(one.tensor.f_detach()?.f_to_kind(Kind::Float)?),
            };
            let like = master.as_ref().unwrap_or(&one.tensor).f_detach()?;
            Ok(Entry {
                key: one.key.clone(),
                group: ParameterGroup::of(&one.key),
                weight: one.tensor.shallow_clone(),
                mean: like.f_zeros_like()?,
                square: like.f_zeros_like()?,
                average: settings.ema.map(|_| like.f_detach_copy()).transpose()?,
                steps: Tensor::f_zeros([], (Kind::Float, like.device()))?,
                master,
            })
        };
        Ok(Self {
            entries: parameters.trained().map(entry).collect::<Result<_, _>>()?,
            settings,
        })
    }

    /// Takes one step along the current gradients, clipped to the norm of the settings, at `factor` of each group's
    /// peak rate, and clears the gradients. A tensor without a gradient is not changed.
    ///
    /// # Errors
    /// When a gradient is not finite: nothing is changed then, and the gradients are cleared.
    pub fn step(&mut self, factor: f64) -> Result<GradientNorms, StepError> {
        let _no_grad = tch::no_grad_guard();
        let mut gradients = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let gradient = entry.weight.grad();
            gradients.push(match gradient.defined() {
                true => Some(gradient.f_to_kind(entry.mean.f_kind()?)?),
                false => None,
            });
        }
        let norms = self.norms(&gradients);
        for entry in &self.entries {
            clear_gradient(&entry.weight)?;
        }
        let norms = norms?;
        for (entry, gradient) in self.entries.iter().zip(&mut gradients) {
            let norm = match self.settings.clip {
                Clip::Together => norms.total,
                Clip::PerGroup => norms.of(entry.group),
            };
            let clip = self.settings.max_norm / (norm + CLIP_EPS);
            if let (Some(gradient), true) = (gradient, clip < 1.0) {
                let _ = gradient.f_mul_scalar_(clip)?;
            }
        }
        for group in ParameterGroup::ALL {
            self.step_group(group, &gradients, factor)?;
        }
        self.average()?;
        Ok(norms)
    }

    /// Updates the moving average of the weights.
    fn average(&self) -> Result<(), StepError> {
        let Some(decay) = self.settings.ema else { return Ok(()) };
        for entry in &self.entries {
            let (Some(average), steps) = (&entry.average, entry.steps.f_double_value(&[])?) else {
                continue;
            };
            let decay = decay.min((1.0 + steps) / (10.0 + steps));
            let value = entry.master.as_ref().unwrap_or(&entry.weight).f_detach()?;
            let _ = average.shallow_clone().f_lerp_(&value, 1.0 - decay)?;
        }
        Ok(())
    }

    /// Runs `then` while the network has the average of its weights, if enabled; afterwards they are as before.
    ///
    /// # Errors
    /// When libtorch or `then` fails.
    pub fn with_average<T, E: From<StepError>>(&self, then: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.settings.ema.is_none() {
            return then();
        }
        let kept = self.exchange().map_err(StepError::from)?;
        let done = then();
        self.put_back(&kept).map_err(StepError::from)?;
        done
    }

    /// Gives the network the averages; returns its previous weights.
    fn exchange(&self) -> Result<Vec<Tensor>, TchError> {
        let _no_grad = tch::no_grad_guard();
        let mut kept = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            let mut weight = entry.weight.f_detach()?;
            kept.push(weight.f_detach_copy()?);
            if let Some(average) = &entry.average {
                weight.f_copy_(average)?;
            }
        }
        Ok(kept)
    }

    fn put_back(&self, kept: &[Tensor]) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        for (entry, kept) in self.entries.iter().zip(kept) {
            entry.weight.f_detach()?.f_copy_(kept)?;
        }
        Ok(())
    }

    fn norms(&self, gradients: &[Option<Tensor>]) -> Result<GradientNorms, StepError> {
        let mut norms = GradientNorms::default();
        for (group, place) in ParameterGroup::ALL.into_iter().zip(&mut norms.groups) {
            let own: Vec<Tensor> = self
                .entries
                .iter()
                .zip(gradients)
                .filter(|(entry, _)| entry.group == group)
                .filter_map(|(_, gradient)| gradient.as_ref().map(Tensor::shallow_clone))
                .collect();
            if own.is_empty() {
                continue;
            }
            // Gradients have both types if low-rank differences are trained beside 64-bit weights; norms add up as
            // squares.
            *place = norm(&own)?.f_double_value(&[])?;
            if !place.is_finite() {
                return Err(StepError::NotFinite {
                    what: format!("gradients of {}", group.name()),
                    found: *place,
                });
            }
        }
        norms.total = norms.groups.iter().map(|n| n * n).sum::<f64>().sqrt();
        Ok(norms)
    }

    fn step_group(&self, group: ParameterGroup, gradients: &[Option<Tensor>], factor: f64) -> Result<(), StepError> {
        let settings = &self.settings;
        let [beta1, beta2] = settings.betas;
        let rule = AdamWRule {
            learning_rate: factor * peak(group, &settings.learning_rates),
            beta1,
            beta2,
            weight_decay: settings.weight_decay,
            eps: settings.eps,
        };
        let mut stepped = AdamWTensors::default();
        let mut masters = Vec::new();
        for (entry, gradient) in self.entries.iter().zip(gradients) {
            let (Some(gradient), true) = (gradient, entry.group == group) else {
                continue;
            };
            let weight = match &entry.master {
                Some(master) => {
                    masters.push((entry.weight.f_detach()?, master));
                    master.shallow_clone()
                }
                None => entry.weight.f_detach()?,
            };
            stepped.weights.push(weight);
            stepped.gradients.push(gradient.shallow_clone());
            stepped.means.push(entry.mean.shallow_clone());
            stepped.squares.push(entry.square.shallow_clone());
            stepped.steps.push(entry.steps.shallow_clone());
        }
        stepped.step(&rule)?;
        for (mut weight, master) in masters {
            weight.f_copy_(master)?;
        }
        Ok(())
    }

    /// Returns the learning rate of each of [`ParameterGroup::ALL`] at `factor` of its peak.
    pub fn rates(&self, factor: f64) -> [f64; 3] {
        ParameterGroup::ALL.map(|group| factor * peak(group, &self.settings.learning_rates))
    }

    /// Returns all that is saved besides the weights, by name: means, mean squares, steps, masters and averages.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.entries.iter().flat_map(Entry::state).collect()
    }

    /// Restores a saved state.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape or type; nothing is changed then.
    pub fn restore(&mut self, state: &HashMap<String, Tensor>) -> Result<(), StepError> {
        let _no_grad = tch::no_grad_guard();
        let mut pairs = Vec::new();
        for (key, place) in self.state() {
            let refuse = |found: String| StepError::State {
                key: key.clone(),
                expected: format!("{:?} of {:?}", place.kind(), place.size()),
                found,
            };
            let Some(stored) = state.get(&key) else {
                return Err(refuse("none".into()));
            };
            if stored.size() != place.size() || stored.f_kind()? != place.f_kind()? {
                return Err(refuse(format!("{:?} of {:?}", stored.f_kind()?, stored.size())));
            }
            pairs.push((place, stored));
        }
        for (mut place, stored) in pairs {
            place.f_copy_(stored)?;
        }
        for entry in &self.entries {
            if let Some(master) = &entry.master {
                entry.weight.f_detach()?.f_copy_(master)?;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn state(&self) -> Vec<(String, Tensor)> {
        let named = |suffix: &str, tensor: &Tensor| (format!("{}.{suffix}", self.key), tensor.shallow_clone());
        let mut state = vec![
            named("exp_avg", &self.mean),
            named("exp_avg_sq", &self.square),
            named("step", &self.steps),
        ];
        state.extend(self.master.as_ref().map(|master| named("master", master)));
        state.extend(self.average.as_ref().map(|average| named("average", average)));
        state
    }
}

fn peak(group: ParameterGroup, rates: &LearningRates) -> f64 {
    match group {
        ParameterGroup::Base => rates.base,
        ParameterGroup::Backbone => rates.qwen_vl_interface,
        ParameterGroup::ActionModel => rates.action_model,
    }
}
