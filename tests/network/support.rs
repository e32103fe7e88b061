//! A tiny tokenizer, tiny configurations, and random weights with which every part has an effect.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use thinkvla::camera::patches::Grid;
use thinkvla::contract::Contract;
use thinkvla::model::config::{Config, PromptStyle};
use thinkvla::model::error::ModelError;
use thinkvla::model::init::presets::{NewCheckpoint, PROMPT, Preset};
use thinkvla::model::init::variant::CheckpointVariant;
use thinkvla::model::init::{InitScheme, InitSummary, InitialCheckpoint};
use thinkvla::model::layers::parameters::{Init, Parameter, ParameterSource, Role};
use thinkvla::model::qwen3_vl::inputs::SequencePlan;
use thinkvla::model::qwen3_vl::vision_plan::VisionPlan;
use thinkvla::model::thinkvla::network::{Network, Output};
use thinkvla::model::thinkvla::pool::GeoPool;
use thinkvla::model::thinkvla::prompt::{Prompt, Prompter};
use tokenizers::Tokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

pub const CONTROL: [&str; 10] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|reasoning_anchor|>",
    "<|reasoning_anchor_1|>",
    "<|reasoning_anchor_2|>",
];

/// Qwen3's own tokenizer file, if the set-up has downloaded it.
pub fn real_tokenizer() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("THINKVLA_TOKENIZER")?);
    path.exists().then_some(path)
}

/// A byte-level BPE tokenizer built like Qwen3's, with a handful of merges; the search emoji and "user" are one token.
pub fn tokenizer_file() -> Value {
    let mut tokens: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
    tokens.sort();
    let merges = [
        ("Ġ", "t"),
        ("h", "e"),
        ("Ġt", "he"),
        ("u", "s"),
        ("us", "er"),
        ("e", "r"),
        ("r", "o"),
        ("o", "b"),
        ("ð", "Ł"),
        ("Ķ", "į"),
        ("ðŁ", "Ķį"),
    ];
    tokens.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
    let vocabulary: serde_json::Map<String, Value> = tokens
        .iter()
        .zip(0..)
        .map(|(token, id)| (token.clone(), json!(id)))
        .collect();
    let added: Vec<Value> = CONTROL
        .iter()
        .zip(vocabulary.len()..)
        .map(|(content, id)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let split = r" ?[^\s\p{L}\p{N}]+[\r\n]*|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|\s*[\r\n]+|\s+";
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": false}, bytes]},
        "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary,
                  "merges": merges.map(|(left, right)| json!([left, right]))},
    })
}

pub fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(tokenizer_file().to_string()).unwrap()
}

/// A configuration small enough to run in milliseconds.
pub fn tiny() -> Config {
    tiny_variant(&CheckpointVariant::default())
}

/// The tiny configuration in a variant.
pub fn tiny_variant(variant: &CheckpointVariant) -> Config {
    let mut config = Preset::Small.variant(&tokenizer(), variant).unwrap();
    let text = &mut config.text_config;
    (text.vocab_size, text.hidden_size, text.intermediate_size) = (300, 32, 48);
    (
        text.num_hidden_layers,
        text.num_attention_heads,
        text.num_key_value_heads,
    ) = (3, 4, 2);
    (text.head_dim, text.rope_scaling.mrope_section) = (16, [4, 2, 2]);
    let vision = &mut config.vision_config;
    (
        vision.depth,
        vision.hidden_size,
        vision.intermediate_size,
        vision.num_heads,
    ) = (3, 16, 32, 2);
    (vision.out_hidden_size, vision.num_position_embeddings) = (32, 36);
    vision.deepstack_visual_indexes = vec![0, 1];
    let ours = &mut config.thinkvla;
    (ours.head_hidden, ours.chunk_len) = (40, 4);
    let chosen = |field: &str| variant.set.iter().any(|choice| choice.field == field);
    if ours.prompt_style == PromptStyle::Thinkvla && !chosen("prompt") {
        ours.prompt = match ours.reasoning {
            Some(_) => PROMPT.into(),
            None => PROMPT.replace("{anchor}", ""),
        };
    }
    if let Some(geometry) = &mut ours.geometry {
        (geometry.width, geometry.tap_block) = (24, 1);
        if !chosen("geometry.pool") {
            geometry.pool = GeoPool::Mean;
        }
    }
    config
}

/// Choices of the `thinkvla` object, as `--set` takes them.
pub fn choices<const N: usize>(set: [&str; N]) -> CheckpointVariant {
    CheckpointVariant {
        set: set.map(|choice| choice.parse().unwrap()).into(),
        ..CheckpointVariant::default()
    }
}

/// Contract of the simulated robot for a configuration of a variant.
pub fn contract_of(config: &Config, variant: &CheckpointVariant) -> Contract {
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("tokenizer.json");
    std::fs::write(&file, tokenizer_file().to_string()).unwrap();
    let new = NewCheckpoint {
        size: Preset::Small,
        seed: 0,
        tokenizer: &file,
        robot: None,
        variant,
        copied: None,
    };
    new.contract(config)
}

/// A tiny untrained checkpoint in a directory of its own.
pub fn checkpoint(seed: u64) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_checkpoint(directory.path(), seed).unwrap();
    directory
}

pub fn write_checkpoint(directory: &Path, seed: u64) -> Result<InitSummary, ModelError> {
    write_variant(directory, &CheckpointVariant::default(), seed)
}

/// A tiny untrained checkpoint in a variant.
pub fn write_variant(directory: &Path, variant: &CheckpointVariant, seed: u64) -> Result<InitSummary, ModelError> {
    let config = tiny_variant(variant);
    let checkpoint = InitialCheckpoint {
        config: &config,
        contract: &contract_of(&config, variant),
        tokenizer: &tokenizer(),
        seed,
        scheme: InitScheme::Reference,
        copied: None,
    };
    checkpoint.write(directory)
}

/// Random weights large enough for every tensor to have an effect, including last layers and biases of the projectors;
/// tensors whose key starts with one of `initial` keep their initial values.
pub struct RandomWeights {
    pub seed: u64,
    pub initial: &'static [&'static str],
}

/// The same weights in another type, or loaded for inference only.
struct Loaded {
    weights: RandomWeights,
    kind: Kind,
    forward_only: bool,
}

impl ParameterSource for Loaded {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let tensor = self.weights.tensor(parameter, role)?;
        Ok(match role {
            Role::Backbone => tensor.to_kind(self.kind),
            Role::Head => tensor,
        })
    }

    fn forward_only(&self) -> bool {
        self.forward_only
    }
}

impl ParameterSource for RandomWeights {
    fn tensor(&self, mut parameter: Parameter, _: Role) -> Result<Tensor, ModelError> {
        let shape = parameter.shape.clone();
        if !self.initial.iter().any(|prefix| parameter.key.starts_with(prefix)) {
            let inputs: i64 = shape.iter().skip(1).product();
            parameter.init = match parameter.init {
                Init::Ones => Init::Uniform { bound: 1.5 },
                _ if shape.len() == 1 => Init::Normal { std: 0.2 },
                _ => Init::Normal {
                    std: 1.0 / (inputs as f32).sqrt(),
                },
            };
        }
        Ok(Tensor::from_slice(&parameter.draw(self.seed)).reshape(&shape))
    }
}

/// A network with what is needed to run it.
pub struct NetworkFixture {
    pub config: Config,
    pub network: Network,
    pub prompter: Prompter,
    pub kind: Kind,
}

impl NetworkFixture {
    pub fn new(config: Config) -> Self {
        Self::with(config, RandomWeights { seed: 1, initial: &[] })
    }

    /// The network of [`Self::new`] in bfloat16.
    pub fn in_half_precision(&self) -> Self {
        self.loaded(Kind::BFloat16, false)
    }

    /// The network of [`Self::new`] as loaded from a checkpoint, for inference only.
    pub fn packed(&self) -> Self {
        self.loaded(Kind::Float, true)
    }

    /// [`Self::packed`] in bfloat16.
    pub fn packed_in_half_precision(&self) -> Self {
        self.loaded(Kind::BFloat16, true)
    }

    pub fn with(config: Config, weights: RandomWeights) -> Self {
        Self::of(config, &weights, Kind::Float)
    }

    fn loaded(&self, kind: Kind, forward_only: bool) -> Self {
        let weights = Loaded {
            weights: RandomWeights { seed: 1, initial: &[] },
            kind,
            forward_only,
        };
        Self::of(self.config.clone(), &weights, kind)
    }

    fn of(config: Config, weights: &dyn ParameterSource, kind: Kind) -> Self {
        let network = Network::new(&config, weights).unwrap();
        let prompter = Prompter::new(tokenizer(), &config).unwrap();
        Self {
            config,
            network,
            prompter,
            kind,
        }
    }

    pub fn prompt(&self, instruction: &str, grids: &[Grid]) -> Prompt {
        self.prompter.student(instruction, grids).unwrap()
    }

    pub fn plan(&self, prompts: &[Prompt]) -> SequencePlan {
        SequencePlan::new(prompts, &self.config.text_config, self.kind, Device::Cpu).unwrap()
    }

    pub fn images(&self, grids: &[Grid]) -> VisionPlan {
        VisionPlan::new(grids, &self.config.vision_config, Device::Cpu).unwrap()
    }

    pub fn run(&self, pixels: &Tensor, grids: &[Grid], prompts: &[Prompt]) -> Output {
        self.network
            .forward(&pixels.to_kind(self.kind), &self.images(grids), &self.plan(prompts))
            .unwrap()
    }
}

pub fn grid(h: u32, w: u32) -> Grid {
    Grid { t: 1, h, w }
}

/// Patches of random images, the same for the same seed.
pub fn pixels(config: &Config, grids: &[Grid], seed: u64) -> Tensor {
    let rows: i64 = grids.iter().map(|g| i64::from(g.h) * i64::from(g.w)).sum();
    let shape = vec![rows, config.vision_config.patch_values()];
    let noise = Parameter {
        key: "pixels".into(),
        shape: shape.clone(),
        init: Init::Uniform { bound: 1.0 },
    };
    Tensor::from_slice(&noise.draw(seed)).reshape(&shape)
}

/// Largest difference between two tensors of the same shape.
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}
