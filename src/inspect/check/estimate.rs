//! Estimates the network's memory and the shortest time of a pass on this machine.

use std::time::{Duration, Instant};

use tch::{Device, TchError, Tensor};

use crate::camera::patches::Grid;
use crate::model::checkpoint::Manifest;
use crate::model::checkpoint::weights::{CheckpointPart, EMBEDDING, TEXT_HEAD, is_backbone};
use crate::model::config::Precision;
use crate::model::layers::device::machine_memory;
use crate::model::layers::parameters::Parameter;

use super::CheckReport;

/// Duration of the measurement of the machine.
const MEASURED: Duration = Duration::from_millis(300);
/// Number of tokens in the product that is timed.
const ROWS: i64 = 256;
/// Memory of libtorch, tokenizer and buffers (bytes).
const FIXED_BYTES: f64 = 0.5e9;

/// Inputs of one pass.
pub(super) struct Work {
    /// Patch grids of the images.
    pub grids: Vec<Grid>,
    /// Number of tokens of the prompt.
    pub tokens: u64,
    /// Duration of a chunk (s).
    pub chunk: Option<f64>,
}

pub(super) fn check(manifest: &Manifest, work: &Work, report: &mut CheckReport) {
    let Some(layout) = report.take(manifest.layout(CheckpointPart::Everything)) else {
        return;
    };
    let count: usize = layout.iter().map(Parameter::count).sum();
    report.fact("parameters", format!("{:.1} M", count as f64 / 1e6));
    let needed = bytes(&layout, manifest.compute) + FIXED_BYTES;
    report.fact(
        "memory",
        format!("about {:.1} GB in {}", needed / 1e9, manifest.compute),
    );
    if let Some(total) = machine_memory("MemTotal").filter(|total| *total < needed) {
        report.fail(format!(
            "memory: expected {:.1} GB, found {:.1} GB in this machine",
            needed / 1e9,
            total / 1e9
        ));
    }
    let _no_grad = tch::no_grad_guard();
    let Some(rate) = report.take(rate(manifest)) else {
        return;
    };
    let operations = operations(&layout, manifest, work);
    let seconds = operations / rate;
    report.fact(
        "latency",
        format!(
            "at least {:.0} ms on this CPU: {:.1} GFLOP at {:.0} GFLOP/s measured now, {} threads",
            1e3 * seconds,
            operations / 1e9,
            rate / 1e9,
            tch::get_num_threads()
        ),
    );
    if work.chunk.is_some_and(|chunk| seconds > chunk) {
        report.note("a pass takes longer than the chunk it gives lasts on this CPU: the arm will wait between chunks");
    }
}

fn bytes(layout: &[Parameter], compute: Precision) -> f64 {
    let size = |parameter: &Parameter| match compute {
        Precision::Bfloat16 if is_backbone(&parameter.key) => 2.0,
        _ => 4.0,
    };
    layout
        .iter()
        .map(|parameter| size(parameter) * parameter.count() as f64)
        .sum()
}

/// Returns the number of operations of the linear maps; attention adds a few per cent.
fn operations(layout: &[Parameter], manifest: &Manifest, work: &Work) -> f64 {
    let patches: usize = work.grids.iter().map(Grid::patches).sum();
    let merge = manifest.qwen3_vl.vision_config.spatial_merge_size.max(1) as f64;
    let merged = patches as f64 / (merge * merge);
    let queries = manifest.thinkvla.as_ref().map_or(0, |ours| ours.chunk_len) as f64;
    let rows = |key: &str| match key {
        EMBEDDING | TEXT_HEAD => 0.0,
        _ if key.contains("pos_embed") => 0.0,
        _ if key.contains("merger") => merged,
        _ if key.starts_with("model.visual.") || key.starts_with("geo_adapter.") => patches as f64,
        _ if is_backbone(key) => work.tokens as f64,
        _ => queries.max(1.0),
    };
    let maps = layout.iter().filter(|parameter| parameter.shape.len() > 1);
    maps.map(|parameter| 2.0 * parameter.count() as f64 * rows(&parameter.key))
        .sum()
}

/// Measures the operations per second of a product of the language model's size.
fn rate(manifest: &Manifest) -> Result<f64, TchError> {
    let text = &manifest.qwen3_vl.text_config;
    let (inputs, outputs) = (text.hidden_size, text.intermediate_size);
    let place = (manifest.compute.kind(), Device::Cpu);
    let x = Tensor::f_ones([ROWS, inputs], place)?;
    let weight = Tensor::f_ones([outputs, inputs], place)?;
    // The first product is slower, because libtorch initialises itself.
    let mut y = x.f_linear(&weight, None::<&Tensor>)?;
    let (start, mut passes) = (Instant::now(), 0u32);
    while start.elapsed() < MEASURED {
        y = x.f_linear(&weight, None::<&Tensor>)?;
        passes += 1;
    }
    let operations = 2.0 * (ROWS * inputs * outputs) as f64 * f64::from(passes);
    let seconds = start.elapsed().as_secs_f64();
    drop(y);
    Ok(operations / seconds)
}
