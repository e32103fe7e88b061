//! Tensors of a network by checkpoint path, and the selection of those that are trained.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::model::checkpoint::weights::is_backbone;
use crate::model::error::ModelError;
use crate::model::layers::LowRank;
use crate::model::layers::parameters::{Init, Parameter, ParameterSource, Role};
use crate::torch_ext::adamw::clear_gradient;

/// Parameter group of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterGroup {
    /// Adapters, projectors, and everything that is not in the other groups.
    Base,
    /// Qwen3-VL, `qwen_vl_interface` in StarVLA's names.
    Backbone,
    /// Action head, `action_model`.
    ActionModel,
}

impl ParameterGroup {
    /// All groups.
    pub const ALL: [Self; 3] = [Self::Base, Self::Backbone, Self::ActionModel];

    /// Returns the group of a tensor by its checkpoint path.
    pub fn of(key: &str) -> Self {
        match key {
            _ if is_backbone(key) => Self::Backbone,
            _ if key.starts_with("action_model.") => Self::ActionModel,
            _ => Self::Base,
        }
    }

    /// Returns the name of the group in StarVLA.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Backbone => "qwen_vl_interface",
            Self::ActionModel => "action_model",
        }
    }
}

/// Tensor of the network.
#[derive(Debug)]
pub struct NamedTensor {
    /// Checkpoint path; of a low-rank difference, the path of its weight and `.lora_down` or `.lora_up`.
    pub key: String,
    /// The network's own tensor.
    pub tensor: Tensor,
    /// Whether it is trained.
    pub trained: bool,
}

/// All tensors of a network, in the order in which it is built.
#[derive(Debug)]
pub struct NetworkParameters {
    all: Vec<NamedTensor>,
    /// Factor of low-rank differences; 0 if there are none.
    scale: f64,
}

const DOWN: &str = ".lora_down";
const UP: &str = ".lora_up";

impl NetworkParameters {
    /// Returns all tensors.
    pub fn all(&self) -> &[NamedTensor] {
        &self.all
    }

    /// Returns the tensors that are trained.
    pub fn trained(&self) -> impl Iterator<Item = &NamedTensor> {
        self.all.iter().filter(|one| one.trained)
    }

    /// Returns the tensor of a checkpoint path.
    pub fn get(&self, key: &str) -> Option<&Tensor> {
        self.all.iter().find(|one| one.key == key).map(|one| &one.tensor)
    }

    /// Clears all gradients.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn clear_gradients(&self) -> Result<(), TchError> {
        self.trained().try_for_each(|one| clear_gradient(&one.tensor))
    }

    /// Returns the tensors as a checkpoint holds them, with low-rank differences merged into their weights. They are
    /// detached, and only copied where something is merged.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn merged(&self) -> Result<Vec<(String, Tensor)>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let mut merged = Vec::with_capacity(self.all.len());
        for NamedTensor { key, tensor, .. } in &self.all {
            if key.ends_with(DOWN) || key.ends_with(UP) {
                continue;
            }
            let weight = tensor.f_detach()?;
            let halves = (self.get(&format!("{key}{UP}")), self.get(&format!("{key}{DOWN}")));
            merged.push((
                key.clone(),
                match halves {
                    (Some(up), Some(down)) => {
                        let difference = up.f_matmul(down)?.f_mul_scalar(self.scale)?.f_reshape(weight.size())?;
                        let kind = weight.f_kind()?;
                        weight
                            .f_to_kind(difference.f_kind()?)?
                            .f_add(&difference)?
                            .f_to_kind(kind)?
                    }
                    _ => weight,
                },
            ));
        }
        Ok(merged)
    }
}

/// Selection of the weights that are trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "train", rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// All weights.
    #[default]
    Everything,
    /// Modules that were added to Qwen3-VL: adapters, projectors, fusion and action head. Modules of Qwen3-VL can be
    /// added by checkpoint path; a path stands for everything under it.
    Added {
        /// Paths of further modules, e.g. `model.language_model.layers.27`.
        #[serde(default)]
        also: Vec<String>,
    },
    /// Only the modules of these checkpoint paths; a path stands for everything under it.
    Only {
        /// Paths of the modules.
        modules: Vec<String>,
    },
    /// Everything but the modules of these checkpoint paths.
    AllBut {
        /// Paths of the modules.
        modules: Vec<String>,
    },
    /// Low-rank differences of linear maps of Qwen3-VL; modules that were added to Qwen3-VL are trained whole.
    Lora {
        /// Rank of the difference.
        rank: i64,
        /// Alpha: the difference is multiplied by alpha / rank.
        alpha: f64,
        /// Names of the linear maps, each the last part of its path (`q_proj`) or more of it.
        modules: Vec<String>,
    },
}

/// Takes tensors from another source and marks those that are trained. A network that is built from it records
/// gradients.
pub struct Trainable<'a> {
    source: &'a dyn ParameterSource,
    selection: &'a Selection,
    seed: u64,
    noted: RefCell<Vec<NamedTensor>>,
}

impl<'a> Trainable<'a> {
    /// Selects which tensors of `source` are trained; low-rank differences are drawn from `seed`.
    pub fn new(source: &'a dyn ParameterSource, selection: &'a Selection, seed: u64) -> Self {
        Self {
            source,
            selection,
            seed,
            noted: RefCell::default(),
        }
    }

    /// Returns the tensors that the network was built of.
    ///
    /// # Errors
    /// When the selection names a module that does not exist, or nothing is trained.
    pub fn finish(self) -> Result<NetworkParameters, ModelError> {
        let all = self.noted.into_inner();
        let wanted: &[String] = match self.selection {
            Selection::Everything => &[],
            Selection::Added { also: modules }
            | Selection::Only { modules }
            | Selection::AllBut { modules }
            | Selection::Lora { modules, .. } => modules,
        };
        let there = |name: &String| match self.selection {
            Selection::Lora { .. } => all.iter().any(|one| one.key.ends_with(UP) && names(name, &one.key)),
            _ => all.iter().any(|one| is_under(&one.key, name)),
        };
        if let Some(missing) = wanted.iter().find(|name| !there(name)) {
            return Err(ModelError::config(
                "train",
                "modules that the checkpoint has (for LoRA, linear maps of the backbone)",
                missing,
            ));
        }
        if !all.iter().any(|one| one.trained) {
            return Err(ModelError::config(
                "train",
                "something to learn",
                "a network that is frozen whole",
            ));
        }
        let scale = match self.selection {
            Selection::Lora { rank, alpha, .. } => alpha / *rank as f64,
            _ => 0.0,
        };
        Ok(NetworkParameters { all, scale })
    }

    fn note(&self, key: String, tensor: Tensor, trained: bool) -> Tensor {
        let tensor = tensor.set_requires_grad(trained);
        self.noted.borrow_mut().push(NamedTensor {
            key,
            tensor: tensor.shallow_clone(),
            trained,
        });
        tensor
    }
}

impl ParameterSource for Trainable<'_> {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let key = parameter.key.clone();
        let added = ParameterGroup::of(&key) != ParameterGroup::Backbone;
        let trained = match self.selection {
            Selection::Everything => true,
            Selection::Added { also } => added || also.iter().any(|path| is_under(&key, path)),
            Selection::Only { modules } => modules.iter().any(|path| is_under(&key, path)),
            Selection::AllBut { modules } => !modules.iter().any(|path| is_under(&key, path)),
            Selection::Lora { .. } => added,
        };
        let tensor = self.source.tensor(parameter, role)?;
        Ok(self.note(key, tensor, trained))
    }

    fn low_rank(&self, key: &str, weight: &Tensor) -> Result<Option<LowRank>, ModelError> {
        let Selection::Lora { rank, alpha, modules } = self.selection else {
            return Ok(None);
        };
        let chosen = ParameterGroup::of(key) == ParameterGroup::Backbone && modules.iter().any(|name| names(name, key));
        if !chosen {
            return Ok(None);
        }
        if *rank < 1 {
            return Err(ModelError::config("train.rank", "at least 1", rank));
        }
        let outputs = weight.size().first().copied().unwrap_or(0);
        let inputs = weight.numel() as i64 / outputs.max(1);
        let kind = match weight.f_kind()? {
            Kind::Double => Kind::Double,
            _ => Kind::Float,
        };
        // As in PEFT: the product starts at zero, and only one of its two factors does.
        let half = |suffix: &str, shape: [i64; 2], init: Init| -> Result<Tensor, ModelError> {
            let parameter = Parameter {
                key: format!("{key}{suffix}"),
                shape: shape.into(),
                init,
            };
            let drawn = Tensor::f_from_slice(&parameter.draw(self.seed))?
                .f_reshape(shape)?
                .f_to_device(weight.device())?
                .f_to_kind(kind)?;
            Ok(self.note(parameter.key, drawn, true))
        };
        let bound = 1.0 / (inputs as f32).sqrt();
        Ok(Some(LowRank {
            down: half(DOWN, [*rank, inputs], Init::Uniform { bound })?,
            up: half(UP, [outputs, *rank], Init::Zeros)?,
            scale: alpha / *rank as f64,
        }))
    }
}

/// Returns whether a key is the path of a module or lies under it.
pub(crate) fn is_under(key: &str, path: &str) -> bool {
    key.strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns whether `name` is the last part, or more parts at the end, of the path of the linear map of `key`.
pub(crate) fn names(name: &str, key: &str) -> bool {
    let module = key
        .trim_end_matches(UP)
        .trim_end_matches(DOWN)
        .trim_end_matches(".weight");
    module
        .strip_suffix(name)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
