//! Fuzzes weights of `torch.save`: any content is refused, or every tensor lies inside the file and no code is run.
#![no_main]

mod common;
#[path = "../../tests/network/torch_save/writer.rs"]
mod writer;

use libfuzzer_sys::fuzz_target;
use thinkvla::model::checkpoint::torch_archive;
use writer::{Saved, archive, index, save};

/// Memory besides the file: values on the reader's stack, and messages of errors (bytes).
const MARGIN: usize = 1 << 20;
/// Memory of the objects that a list of tensors describes, over its length; a list has at most 4 MB.
const OBJECTS: usize = 40;

fn tensors() -> Vec<Saved> {
    let tensor = |name: &str, storage, shape: &[usize], size: usize| Saved {
        name: name.into(),
        storage,
        shape: shape.into(),
        bytes: vec![7; shape.iter().product::<usize>() * size],
    };
    vec![
        tensor("a.weight", "BFloat16Storage", &[3, 2], 2),
        tensor("a.bias", "FloatStorage", &[3], 4),
        tensor("step", "LongStorage", &[], 8),
    ]
}

fn seed() {
    let corpus = common::corpus("torch_save");
    std::fs::write(corpus.join("archive"), [&[0], &save(&tensors())[..]].concat()).unwrap();
    std::fs::write(corpus.join("pickle"), [&[1], &index(&tensors())[..]].concat()).unwrap();
}

fuzz_target!(
    init: seed(),
    |data: &[u8]| {
        let Some((choice, data)) = data.split_first() else { return };
        // Half of the inputs are pickles in a valid archive; otherwise nearly all would fail at the archive's directory.
        let file = match choice % 2 {
            0 => data.to_vec(),
            _ => {
                let values: Vec<_> = tensors().into_iter().map(|tensor| tensor.bytes).collect();
                let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
                archive(data, &values)
            }
        };
        let taken = common::taken(|| {
            if let Ok(tensors) = torch_archive::tensors(&file) {
                for info in tensors.values() {
                    let (start, end) = info.data_offsets;
                    assert!(start <= end && end <= file.len());
                }
            }
        });
        assert!(taken <= 2 * file.len() + OBJECTS * file.len().min(4 << 20) + MARGIN, "{taken} bytes of memory for a file of {} bytes", file.len());
    }
);
