//! A network of a predefined size with random weights, and one input for repeated passes.

use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use crate::camera::patches::Grid;
use crate::camera::preprocess::Preprocessor;
use crate::camera::rgb::RgbImage;
use crate::contract::{Filter, Resize};
use crate::model::config::{Config, Precision};
use crate::model::error::ModelError;
use crate::model::layers::parameters::{Init, Parameter, ParameterSource, Role};
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::vision_plan::VisionPlan;
use crate::model::thinkvla::network::Network;
use crate::model::thinkvla::prompt::Prompt;
use crate::model::thinkvla::state::state_tensor;

use super::pass_products::Load;
use super::roofline::finish;

/// Width and height of the camera frames (px).
const FRAME: (u32, u32) = (640, 480);
/// Number of values that are drawn; a prime, so that no two rows of a weight are the same.
const BLOCK: i64 = 1_000_003;

/// Settings of a benchmark.
#[derive(Debug, Clone, Copy)]
pub struct WorkloadOptions {
    /// Type of the backbone.
    pub compute: Precision,
    /// Device.
    pub device: Device,
    /// Number of images.
    pub images: usize,
    /// Side of the network's square images (px).
    pub side: u32,
    /// Number of tokens of the prompt, including images.
    pub tokens: usize,
}

/// A network and its inputs.
#[derive(Debug)]
pub struct Workload {
    config: Config,
    network: Network,
    options: WorkloadOptions,
    preprocessor: Preprocessor,
    frame: RgbImage,
    grids: Vec<Grid>,
    images: VisionPlan,
    sequence: SequencePlan,
}

/// Durations of the stages of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassTimes {
    /// From camera frames to patches on the device.
    pub preprocessing: Duration,
    /// Vision tower.
    pub vision: Duration,
    /// Language model.
    pub language: Duration,
    /// Adapters and action head.
    pub head: Duration,
}

impl Workload {
    /// Builds the network with random weights.
    ///
    /// # Errors
    /// When the images do not fit the size or leave no room for the prompt.
    pub fn new(config: Config, options: WorkloadOptions) -> Result<Self, ModelError> {
        let recorded = Resize {
            width: options.side,
            height: options.side,
            filter: Filter::Bicubic,
        };
        let refused = |expected: &str, found: String| ModelError::Observation {
            expected: expected.into(),
            found,
        };
        let mut preprocessor = Preprocessor::new(recorded, config.patch_rule())
            .map_err(|e| refused("an image size the network takes", e.to_string()))?;
        let mut frame = RgbImage::new(FRAME.0, FRAME.1);
        for (value, i) in frame.data_mut().iter_mut().zip(0u32..) {
            *value = (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        }
        fill(&mut preprocessor, &frame, options.images)?;
        let grids = preprocessor.input().grids.clone();
        let prompt = prompt(&config, &grids, options.tokens).ok_or_else(|| {
            refused(
                "more tokens than the images, the anchor and the queries take",
                options.tokens.to_string(),
            )
        })?;
        let kind = options.compute.kind();
        let weights = Noise::new(kind, options.device)?;
        let _no_grad = tch::no_grad_guard();
        let state = (config.thinkvla.state_dim > 0).then(|| vec![0.0; config.thinkvla.state_dim as usize]);
        let state = state.map(|state| state_tensor(&[state], options.device)).transpose()?;
        Ok(Self {
            network: Network::new(&config, &weights)?,
            images: VisionPlan::new(&grids, &config.vision_config, options.device)?,
            sequence: SequencePlan::new(&[prompt], &config.text_config, kind, options.device)?.with_state(state),
            config,
            options,
            preprocessor,
            frame,
            grids,
        })
    }

    /// Returns the configuration of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the sizes of the inputs.
    pub fn load(&self) -> Load<'_> {
        Load {
            grids: &self.grids,
            tokens: self.options.tokens as i64,
        }
    }

    /// Runs one pass; waits for a GPU after each stage.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn pass(&mut self) -> Result<PassTimes, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let WorkloadOptions { compute, device, .. } = self.options;
        let mut last = Instant::now();
        let mut lap = || {
            finish(device);
            let now = Instant::now();
            now - std::mem::replace(&mut last, now)
        };
        fill(&mut self.preprocessor, &self.frame, self.options.images)?;
        let pixels = Tensor::f_from_slice(&self.preprocessor.input().pixel_values)?
            .f_reshape([-1, self.config.vision_config.patch_values()])?
            .f_to_device(device)?
            .f_to_kind(compute.kind())?;
        let preprocessing = lap();
        let encoded = self.network.encode_images(&pixels, &self.images)?;
        let vision = lap();
        let readout = self.network.forward_text(&encoded, &self.sequence)?;
        let language = lap();
        self.network.predict_actions(&encoded, readout, &self.sequence)?;
        Ok(PassTimes {
            preprocessing,
            vision,
            language,
            head: lap(),
        })
    }
}

fn fill(preprocessor: &mut Preprocessor, frame: &RgbImage, images: usize) -> Result<(), ModelError> {
    preprocessor.clear();
    for _ in 0..images {
        preprocessor.push_rgb(frame).map_err(|e| ModelError::Observation {
            expected: "a frame that can be resized".into(),
            found: e.to_string(),
        })?;
    }
    Ok(())
}

/// Returns a prompt of images, text, anchor, text, and queries at the end; `None` when they do not fit into `tokens`.
fn prompt(config: &Config, grids: &[Grid], tokens: usize) -> Option<Prompt> {
    let merge = (config.vision_config.spatial_merge_size * config.vision_config.spatial_merge_size) as usize;
    let images: usize = grids.iter().map(|grid| grid.patches() / merge).sum();
    let queries = tokens.checked_sub(config.thinkvla.chunk_len as usize)?;
    let anchor = queries.checked_sub(2).filter(|anchor| *anchor > images)?;
    let positions: Vec<i64> = (0..tokens as i64).collect();
    Some(Prompt {
        ids: positions.iter().map(|i| i % 1000).collect(),
        positions: [positions.clone(), positions.clone(), positions],
        image_tokens: (1..=images as i64).collect(),
        anchors: vec![anchor as i64],
        queries: (queries as i64..tokens as i64).collect(),
        patches: grids.iter().map(|grid| grid.patches() as i64).sum(),
        raster: (0..grids.iter().map(Grid::patches).sum::<usize>() as i64).collect(),
    })
}

/// Source of weights that repeats one block of normal values: 2 billion draws would take minutes.
struct Noise {
    block: Tensor,
    backbone: Kind,
    device: Device,
}

impl Noise {
    fn new(backbone: Kind, device: Device) -> Result<Self, ModelError> {
        Ok(Self {
            block: Tensor::f_randn([BLOCK], (Kind::Float, device))?,
            backbone,
            device,
        })
    }
}

impl ParameterSource for Noise {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let kind = match role {
            Role::Backbone => self.backbone,
            Role::Head => Kind::Float,
        };
        let scale = match parameter.init {
            Init::Zeros => return Ok(Tensor::f_zeros(&parameter.shape, (kind, self.device))?),
            Init::Ones => return Ok(Tensor::f_ones(&parameter.shape, (kind, self.device))?),
            Init::Normal { std } => f64::from(std),
            Init::Uniform { bound } => f64::from(bound) / 3f64.sqrt(),
        };
        let count = parameter.count() as i64;
        let block = self.block.f_mul_scalar(scale)?.f_to_kind(kind)?;
        let whole = Tensor::f_empty([count], (kind, self.device))?;
        for start in (0..count).step_by(BLOCK as usize) {
            let length = BLOCK.min(count - start);
            whole
                .f_narrow(0, start, length)?
                .f_copy_(&block.f_narrow(0, 0, length)?)?;
        }
        Ok(whole.f_reshape(&parameter.shape)?)
    }

    fn forward_only(&self) -> bool {
        true
    }
}
