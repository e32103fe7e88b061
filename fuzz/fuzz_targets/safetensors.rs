//! Fuzzes safetensors files and indices of several files: any content is refused, or every tensor lies inside its file.
#![no_main]

mod common;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use thinkvla::model::checkpoint::weights::{Naming, WeightFiles};

/// Memory allowed in addition to twice the size of the file: tensor names in maps take more room than in the file, and
/// error messages (bytes).
const MARGIN: usize = 256 << 10;
const SINGLE: &str = "model.safetensors";
const LIST: &str = "model.safetensors.index.json";
static FOLDERS: OnceLock<[tempfile::TempDir; 2]> = OnceLock::new();

fn sound() -> Vec<u8> {
    let values = [7_u8; 24];
    let view = |dtype, shape: &[usize], length: usize| {
        safetensors::tensor::TensorView::new(dtype, shape.to_vec(), &values[..length]).unwrap()
    };
    let tensors: BTreeMap<&str, _> = [
        ("model.norm.weight", view(safetensors::Dtype::F32, &[2, 3], 24)),
        ("model.bias", view(safetensors::Dtype::BF16, &[4], 8)),
    ]
    .into();
    safetensors::serialize(tensors, None).unwrap()
}

fn seed() -> [tempfile::TempDir; 2] {
    let corpus = common::corpus("safetensors");
    let list =
        br#"{"metadata": {}, "weight_map": {"model.norm.weight": "a.safetensors", "model.bias": "a.safetensors"}}"#;
    std::fs::write(corpus.join("single"), [&[0], &sound()[..]].concat()).unwrap();
    std::fs::write(corpus.join("list"), [&[1], &list[..]].concat()).unwrap();
    let folder = || tempfile::tempdir_in(common::memory_folder()).unwrap();
    let folders = [folder(), folder()];
    std::fs::write(folders[1].path().join("a.safetensors"), sound()).unwrap();
    folders
}

fuzz_target!(
    init: {
        FOLDERS.get_or_init(seed);
    },
    |data: &[u8]| {
        let (Some((choice, data)), Some(folders)) = (data.split_first(), FOLDERS.get()) else { return };
        let (folder, name) = match choice % 2 {
            0 => (folders[0].path(), SINGLE),
            _ => (folders[1].path(), LIST),
        };
        std::fs::write(folder.join(name), data).unwrap();
        let taken = common::taken(|| {
            let Ok(files) = WeightFiles::of_directory(folder, Naming::HuggingFace) else { return };
            for key in files.keys() {
                let tensor = files.get(key).expect("it is listed");
                let bits = tensor.dtype.bitsize();
                let values = tensor.shape.iter().try_fold(1_usize, |all, side| all.checked_mul(*side));
                assert_eq!(values.and_then(|values| values.checked_mul(bits)), Some(8 * tensor.data.len()));
            }
        });
        assert!(taken <= 2 * data.len() + MARGIN, "{taken} bytes of memory for a file of {} bytes", data.len());
    }
);
