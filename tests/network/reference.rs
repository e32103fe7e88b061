//! Checkpoints that transformers wrote give in Rust what they give there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::SafeTensors;
use serde_json::Value;
use tch::{Device, Kind, Tensor};
use thinkvla::camera::patches::{Cutter, Grid, PatchRule};
use thinkvla::camera::resize::Resizer;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::camera::smart_resize::{Size, smart_resize};
use thinkvla::model::config::Config;
use thinkvla::model::error::ModelError;
use thinkvla::model::network::Network;
use thinkvla::model::parameters::{Parameter, Role, Source};
use thinkvla::model::prompt::Prompt;
use thinkvla::model::sequence::SequencePlan;
use thinkvla::model::text::conversation::{Conversation, Question};
use thinkvla::model::vision::VisionOutput;
use thinkvla::model::vision_plan::VisionPlan;
use tokenizers::Tokenizer;

use crate::case::{Case, Message, sets, tensors};
use crate::support::{Lively, distance, tiny};

/// Largest deviation in 32 bits, absolute.
const CLOSE: f64 = 1e-4;
/// Smallest cosine in bfloat16.
const ALIKE: f64 = 0.999;

fn all_cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(sets())
        .unwrap()
        .map(|set| set.unwrap().path())
        .filter(|set| set.join("checkpoint").exists())
        .flat_map(|set| std::fs::read_dir(set).unwrap().map(|file| file.unwrap().path()))
        .filter(|file| file.extension().is_some_and(|e| e == "safetensors") && !file.ends_with("generation.safetensors"))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    files
}

struct Stored {
    tensors: HashMap<String, Tensor>,
    kind: Kind,
    heads: Lively,
}
impl Source for Stored {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        if role == Role::Head {
            return self.heads.tensor(parameter, role);
        }
        let t = self.tensors.get(&parameter.key).unwrap_or_else(|| panic!("missing {}", parameter.key));
        assert_eq!(t.size(), parameter.shape, "{}", parameter.key);
        Ok(t.to_kind(self.kind))
    }
}

struct Model {
    config: Config,
    network: Network,
    conversation: Conversation,
    rule: PatchRule,
    kind: Kind,
    head: Option<Tensor>,
}

impl Model {
    fn load(dir: &Path, kind: Kind, tap: i64, chunk: i64) -> Self {
        let read = |n: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(dir.join(n)).unwrap()).unwrap() };
        let mut c = read("config.json");
        let mut ours = tiny().thinkvla;
        ours.geometry_tap_block = tap;
        ours.chunk_len = chunk;
        (ours.anchor_token_id, ours.action_token_id) = (0, 1);
        c["thinkvla"] = serde_json::to_value(&ours).unwrap();
        let config: Config = serde_json::from_value(c).unwrap();
        let mut all = HashMap::new();
        for f in std::fs::read_dir(dir).unwrap() {
            let p = f.unwrap().path();
            if p.extension().is_some_and(|e| e == "safetensors") {
                let b = std::fs::read(p).unwrap();
                all.extend(tensors(&SafeTensors::deserialize(&b).unwrap()));
            }
        }
        let head = all.get("lm_head.weight").map(|h| h.to_kind(kind));
        let network = Network::new(&config, &Stored { tensors: all, kind, heads: Lively { seed: 1, initial: &[] } }).unwrap();
        let tokenizer = Tokenizer::from_file(dir.join("tokenizer.json")).unwrap();
        let conversation = Conversation::new(dir, Arc::new(tokenizer), &config).unwrap();
        let p = read("preprocessor_config.json");
        let rule = PatchRule {
            patch: p["patch_size"].as_u64().unwrap() as u32,
            merge: p["merge_size"].as_u64().unwrap() as u32,
            min_pixels: p["size"]["shortest_edge"].as_u64().unwrap(),
            max_pixels: p["size"]["longest_edge"].as_u64().unwrap(),
            ..PatchRule::QWEN3_VL
        };
        Self { config, network, conversation, rule, kind, head }
    }

    fn images(&self, images: &[RgbImage]) -> (Vec<f32>, Vec<Grid>) {
        let cutter = Cutter::new(self.rule).unwrap();
        let (mut values, mut grids) = (vec![], vec![]);
        for image in images {
            let size = smart_resize(Size { height: image.height(), width: image.width() }, self.rule.size_rule()).unwrap();
            let mut fed = RgbImage::default();
            if (size.height, size.width) == (image.height(), image.width()) {
                fed = image.clone();
            } else {
                Resizer::default().resize_for_network(image, size.width, size.height, &mut fed).unwrap();
            }
            grids.push(cutter.append(&fed, &mut values).unwrap());
        }
        (values, grids)
    }
}

#[test]
fn scratch() {
    for file in all_cases() {
        let case = Case::read(&file);
        for kind in [Kind::Float, Kind::BFloat16] {
            check(&case, file.parent().unwrap(), kind);
        }
    }
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.flatten(0, -1).to_kind(Kind::Double), b.flatten(0, -1).to_kind(Kind::Double));
    (a.dot(&b) / (a.norm() * b.norm())).double_value(&[])
}

fn check(case: &Case, set: &Path, kind: Kind) {
    let _g = tch::no_grad_guard();
    let tap: i64 = case.metadata["layer18_block"].parse().unwrap();
    let length = case.expected("input_ids").size()[1];
    let model = Model::load(&set.join("checkpoint"), kind, tap, length);
    let messages: Vec<Message> = case.messages();
    let mut values = vec![];
    let mut grids = vec![];
    let mut prompts = vec![];
    for m in &messages {
        let (v, g) = model.images(&m.images);
        let q: Question = model.conversation.ask(&m.text, &g).unwrap();
        let n = q.ids.len() as i64;
        prompts.push(Prompt {
            queries: (0..length).map(|i| i.min(n - 1)).collect(),
            anchor: 0,
            image_tokens: q.image_tokens,
            positions: q.positions,
            ids: q.ids,
            patches: g.iter().map(|g| g.patches() as i64).sum(),
        });
        values.extend(v);
        grids.extend(g);
    }
    let (sight, px) = if grids.is_empty() {
        let d = model.config.text_config.hidden_size;
        let e = || Tensor::zeros([0, d], (kind, Device::Cpu));
        (VisionOutput { tokens: e(), deepstack: model.config.vision_config.deepstack_visual_indexes.iter().map(|_| e()).collect(), tap: e() }, None)
    } else {
        let px = Tensor::from_slice(&values).reshape([-1, model.config.vision_config.patch_values()]);
        let plan = VisionPlan::new(&grids, &model.config.vision_config, Device::Cpu).unwrap();
        (model.network.see(&px.to_kind(kind), &plan).unwrap(), Some(px))
    };
    let plan = SequencePlan::new(&prompts, &model.config.text_config, (kind, Device::Cpu)).unwrap();
    let states = model.network.think(&sight, &plan).unwrap().queries;
    let mut line = format!("{} {kind:?}:", case.name);
    if let Some(px) = px {
        assert!(px == *case.expected("pixel_values"), "{} pixels", case.name);
        let t = sight.tap.to_kind(Kind::Float);
        line += &format!(" tap {:.1e}/{:.6}", distance(&t, case.expected("layer18")), cosine(&t, case.expected("layer18")));
    }
    for (b, p) in prompts.iter().enumerate() {
        let n = p.ids.len() as i64;
        let row = |name: &str| case.expected(name).get(b as i64).narrow(0, length - n, n);
        assert_eq!(Vec::<i64>::try_from(row("input_ids")).unwrap(), p.ids, "{}", case.name);
        for axis in 0..3 {
            let e: Vec<i64> = case.expected("position_ids").get(axis).get(b as i64).narrow(0, length - n, n).try_into().unwrap();
            assert_eq!(e, p.positions[axis as usize]);
        }
        let h = states.get(b as i64).narrow(0, 0, n);
        let e = row("hidden_pre_norm");
        line += &format!(" pre {:.1e}/{:.6}", distance(&h, &e), cosine(&h, &e));
        if model.head.is_none() {
            let l = model.network.logits(&h.to_kind(kind)).unwrap().to_kind(Kind::Float);
            line += &format!(" logits {:.1e}/{:.6}", distance(&l, &row("logits")), cosine(&l, &row("logits")));
        }
    }
    println!("{line}");
}
