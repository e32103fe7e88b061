//! The tiny network and the batches of the PyTorch reference (tests/reference/make_training.py), and variants of them.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;
use tch::{Kind, Tensor};
use thinkvla::camera::patches::Grid;
use thinkvla::model::config::Config;
use thinkvla::model::error::ModelError;
use thinkvla::model::layers::parameters::{Init, Parameter, ParameterSource, Role};
use thinkvla::model::thinkvla::network::Network;
use thinkvla::model::thinkvla::prompt::{Prompt, TeacherPrompt};
use thinkvla::model::trainable::{Selection, Trainable};
use thinkvla::training::batch::{ConditionMask, LabelledConversation, Pictures, VlaBatch, VlmBatch};
use thinkvla::training::config::settings::{LearningRates, MethodSettings, OptimiserSettings};
use thinkvla::training::objective::Objective;

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/training")
}

/// Inputs and results of PyTorch.
pub struct Recipe {
    pub tensors: HashMap<String, Tensor>,
}

impl Recipe {
    pub fn read() -> Self {
        let read = Tensor::read_safetensors(folder().join("recipe.safetensors")).unwrap();
        Self {
            tensors: read.into_iter().collect(),
        }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("the recipe has no {name}"))
    }

    pub fn value(&self, name: &str) -> f64 {
        self.get(name).double_value(&[0])
    }

    fn rows(&self, name: &str) -> Vec<Vec<i64>> {
        Vec::<Vec<i64>>::try_from(self.get(name)).unwrap()
    }

    fn pictures(&self, part: &str) -> Pictures {
        let grids = self.rows(&format!("{part}.grids"));
        let side = |n: i64| u32::try_from(n).unwrap();
        Pictures {
            pixels: self.get(&format!("{part}.pixels")).to_kind(Kind::Double),
            grids: grids
                .iter()
                .map(|g| Grid {
                    t: side(g[0]),
                    h: side(g[1]),
                    w: side(g[2]),
                })
                .collect(),
            kept: None,
        }
    }

    /// Prompts of a part, without padding.
    fn prompts(&self, part: &str, config: &Config) -> Vec<Prompt> {
        let positions = self.get(&format!("{part}.positions"));
        let images = self.rows(&format!("{part}.grids")).len();
        let (ids, masks) = (self.rows(&format!("{part}.ids")), self.rows(&format!("{part}.mask")));
        let each = images / ids.len();
        let mut prompts = Vec::new();
        for (row, (ids, mask)) in ids.iter().zip(&masks).enumerate() {
            let real = |values: &[i64]| -> Vec<i64> {
                let kept = values.iter().zip(mask).filter(|(_, real)| **real == 1);
                kept.map(|(value, _)| *value).collect()
            };
            let own = real(ids);
            let places =
                |id: i64| -> Vec<i64> { (0..).zip(&own).filter(|(_, i)| **i == id).map(|(at, _)| at).collect() };
            let image_tokens = places(config.image_token_id);
            let views = if part == "answers" {
                usize::from(!image_tokens.is_empty())
            } else {
                each
            };
            let axis = |i: i64| real(&Vec::<i64>::try_from(positions.get(i).get(row as i64)).unwrap());
            prompts.push(Prompt {
                positions: [axis(0), axis(1), axis(2)],
                image_tokens,
                anchors: config
                    .thinkvla
                    .anchors()
                    .iter()
                    .flat_map(|anchor| places(anchor.id))
                    .collect(),
                queries: places(config.thinkvla.action_token_id),
                patches: 16 * views as i64,
                raster: raster(views),
                ids: own,
            });
        }
        prompts
    }

    pub fn vla(&self, config: &Config) -> VlaBatch {
        let student = self.prompts("student", config);
        let teacher = self.prompts("teacher", config).into_iter().zip(&student);
        VlaBatch {
            state: None,
            pictures: self.pictures("student"),
            teacher: teacher
                .map(|(prompt, student)| TeacherPrompt {
                    shared: prompt.ids.iter().zip(&student.ids).take_while(|(a, b)| a == b).count(),
                    prompt,
                })
                .collect(),
            student,
            actions: self.get("student.actions").shallow_clone(),
            valid: self.get("student.valid").shallow_clone(),
            geometry_target: Some(self.get("student.geometry").shallow_clone()),
            geometry_weights: None,
            condition_mask: ConditionMask {
                geometry: Some(self.get("student.shown_geometry").shallow_clone()),
                reasoning: Some(self.get("student.shown_reasoning").shallow_clone()),
            },
        }
    }

    pub fn vlm(&self, config: &Config) -> VlmBatch {
        let masks = self.rows("answers.mask");
        let labels = self.rows("answers.labels").into_iter().zip(&masks);
        let labels = labels.map(|(labels, mask)| {
            let kept = labels.into_iter().zip(mask).filter(|(_, real)| **real == 1);
            kept.map(|(label, _)| label).collect()
        });
        let prompts = self.prompts("answers", config).into_iter();
        VlmBatch {
            pictures: Some(self.pictures("answers")),
            conversations: prompts
                .zip(labels)
                .map(|(prompt, labels)| LabelledConversation { prompt, labels })
                .collect(),
        }
    }
}

/// Row indices that sort merge-block order into raster order, for views of 4 x 4 patches.
fn raster(views: usize) -> Vec<i64> {
    let mut rows = Vec::new();
    for view in 0..views as i64 {
        for (row, column) in (0..16).map(|at| (at / 4, at % 4)) {
            rows.push(16 * view + 8 * (row / 2) + 4 * (column / 2) + 2 * (row % 2) + column % 2);
        }
    }
    rows
}

impl ParameterSource for Recipe {
    fn tensor(&self, parameter: Parameter, _: Role) -> Result<Tensor, ModelError> {
        let weight = match self.tensors.get(&format!("weight.{}", parameter.key)) {
            Some(weight) if weight.size() == parameter.shape => weight.copy(),
            // Parameters that a variant has and the recipe has not.
            _ => {
                let lively = match parameter.init {
                    Init::Zeros => Init::Normal { std: 0.1 },
                    init => init,
                };
                let drawn = Parameter {
                    init: lively,
                    ..parameter
                };
                Tensor::from_slice(&drawn.draw(3)).reshape(&drawn.shape)
            }
        };
        Ok(weight.to_kind(Kind::Double))
    }
}

/// The recipe's configuration with fields of its `thinkvla` object replaced; null removes one.
pub fn config(changes: &[(&str, Value)]) -> Config {
    let text = std::fs::read_to_string(folder().join("config.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    for (path, change) in changes {
        let mut place = &mut value["thinkvla"];
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        for name in parents.split('.').filter(|name| !name.is_empty()) {
            place = &mut place[name];
        }
        match change {
            Value::Null => place.as_object_mut().unwrap().remove(last),
            change => place.as_object_mut().unwrap().insert(last.into(), change.clone()),
        };
    }
    serde_json::from_value(value).unwrap()
}

/// The recipe's network, or a variant of it, in 64 bits.
pub fn objective(recipe: &Recipe, config: Config, settings: MethodSettings) -> Objective {
    selected(recipe, config, settings, &Selection::Everything)
}

pub fn selected(recipe: &Recipe, config: Config, settings: MethodSettings, selection: &Selection) -> Objective {
    built(recipe, config, settings, selection)
}

/// The method with weights from any source.
pub fn built(
    source: &dyn ParameterSource,
    config: Config,
    settings: MethodSettings,
    selection: &Selection,
) -> Objective {
    let trainable = Trainable::new(source, selection, 5);
    let network = Network::new(&config, &trainable).unwrap();
    Objective::new(network, trainable.finish().unwrap(), config, settings).unwrap()
}

/// Default settings with one learning rate for all parts.
pub fn optimiser_settings(rate: f64) -> OptimiserSettings {
    OptimiserSettings {
        learning_rates: LearningRates {
            base: rate,
            qwen_vl_interface: rate,
            action_model: rate,
        },
        ..OptimiserSettings::default()
    }
}

/// Moves the anchors to the last token of the task, and of the teacher's text; 46 is the anchor's token.
pub fn anchor_at_task_end(batch: &mut VlaBatch) {
    for prompt in batch
        .student
        .iter_mut()
        .chain(batch.teacher.iter_mut().map(|t| &mut t.prompt))
    {
        prompt.anchors = vec![prompt.ids.iter().position(|id| *id == 46).unwrap() as i64 - 1];
    }
    for (teacher, student) in batch.teacher.iter_mut().zip(&batch.student) {
        teacher.shared = student.anchors[0] as usize;
    }
}

/// `‖a - b‖ / ‖b‖`.
pub fn relative(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    assert_eq!(a.size(), b.size());
    (&a - &b).norm().double_value(&[]) / b.norm().double_value(&[]).max(f64::MIN_POSITIVE)
}
