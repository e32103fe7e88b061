//! Compares VGGT's aggregator with a case that holds its weights.

use tch::Tensor;

use super::case::{Case, EXPECTED};
use super::report::{Finding, ParityReport, ParityRow, ParityTolerance};
use crate::model::checkpoint::Placement;
use crate::model::error::ModelError;
use crate::model::vggt::{self, Features, Layers, target};

/// Key of the views.
const IMAGES: &str = "input.images";

/// Outputs of the aggregator that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ComparedOutputs {
    DinoPatchTokens,
    Layer(usize),
    Last,
    LastResized([i64; 2]),
}

impl ComparedOutputs {
    fn of(name: &str) -> Option<Self> {
        match name {
            "dino_patch_tokens" => Some(Self::DinoPatchTokens),
            "last" => Some(Self::Last),
            _ => {
                if let Some(size) = name.strip_prefix("last_resized_") {
                    let (h, w) = size.split_once('x')?;
                    let grid = [h.parse().ok()?, w.parse().ok()?];
                    return grid.iter().all(|side| *side > 0).then_some(Self::LastResized(grid));
                }
                name.strip_prefix("layer")?.parse().ok().map(Self::Layer)
            }
        }
    }

    fn take(self, features: &Features) -> Result<Option<Tensor>, ModelError> {
        Ok(match self {
            Self::DinoPatchTokens => Some(features.dino_patch_tokens.shallow_clone()),
            Self::Layer(index) => features.layers.get(index).map(Tensor::shallow_clone),
            Self::Last => features.layers.last().map(Tensor::shallow_clone),
            Self::LastResized(grid) => match features.layers.last() {
                Some(last) => Some(target::resize(&target::patch_map(last, features)?, grid, true)?),
                None => None,
            },
        })
    }
}

/// Runs the aggregator whose weights the case holds and compares its outputs.
///
/// # Errors
/// When the case cannot be used: a tensor is missing, extra or of another type, or its sizes are invalid.
pub fn compare_vggt(case: &Case, placement: Placement, tolerance: ParityTolerance) -> Result<ParityReport, ModelError> {
    let names = case.expected(|name| ComparedOutputs::of(name).is_some())?;
    case.check_inputs(|key| key == IMAGES)?;
    let images = case.values(IMAGES)?;
    let aggregator = vggt::load(case.path(), placement)?;
    let features = tch::no_grad(|| aggregator.forward(&images, Layers::All))?;
    let mut rows = Vec::with_capacity(names.len());
    for name in names {
        let key = format!("{EXPECTED}{name}");
        let expected = case.values(&key)?;
        let ours = match ComparedOutputs::of(&name) {
            Some(wanted) => wanted.take(&features)?,
            None => None,
        };
        let Some(ours) = ours else {
            let found = features.layers.len();
            return Err(case.refuse(format!("{key}: the aggregator has {found} layers, counted from 0")));
        };
        rows.push(ParityRow {
            name: key,
            shape: expected.size(),
            finding: Finding::of_values(&ours, &expected)?,
        });
    }
    Ok(ParityReport { rows, tolerance })
}
