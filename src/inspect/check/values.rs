//! Rejects checkpoints with NaN or infinite weights.

use safetensors::Dtype;

use crate::model::checkpoint::Manifest;

use super::CheckReport;

/// Number of failures that are listed; the rest are counted.
const MAX_LISTED: usize = 20;

/// Checks every value of every tensor, one tensor after another.
pub(super) fn check(manifest: &Manifest, report: &mut CheckReport) {
    let keys: Vec<String> = manifest.files.keys().map(str::to_owned).collect();
    let mut bad = 0;
    for key in keys {
        let Some(stored) = manifest.files.get(&key) else {
            continue;
        };
        let wrong = not_numbers(stored.dtype, stored.data);
        manifest.files.release(&key);
        if wrong == 0 {
            continue;
        }
        bad += 1;
        if bad <= MAX_LISTED {
            let values = stored.shape.iter().product::<usize>();
            report.fail(format!(
                "values of {key}: expected finite numbers, found {wrong} of {values} NaN or infinite; the training diverged \
                 or the file is damaged"
            ));
        }
    }
    if bad > MAX_LISTED {
        report.fail(format!(
            "values of {} more tensors are NaN or infinite",
            bad - MAX_LISTED
        ));
    }
}

/// Counts NaN and infinities, whose exponent bits are all ones.
fn not_numbers(dtype: Dtype, bytes: &[u8]) -> usize {
    let halves = |mask: u16| {
        let pairs = bytes.as_chunks::<2>().0.iter();
        pairs.filter(|pair| u16::from_le_bytes(**pair) & mask == mask).count()
    };
    match dtype {
        Dtype::BF16 => halves(0x7f80),
        Dtype::F16 => halves(0x7c00),
        Dtype::F32 => {
            let mask = 0x7f80_0000;
            let words = bytes.as_chunks::<4>().0.iter();
            words.filter(|word| u32::from_le_bytes(**word) & mask == mask).count()
        }
        _ => 0,
    }
}
