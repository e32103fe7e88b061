//! Names of pickled weights, and the error for those that are not read.

use std::path::{Path, PathBuf};

use super::WEIGHTS;
use crate::model::error::ModelError;

/// File name of a Hugging Face directory.
pub const HUGGING_FACE_PICKLE: &str = "pytorch_model.bin";

/// First byte of a pickle outside of an archive.
pub const BEGINNING: u8 = 0x80;

/// Reports whether the file name is one of PyTorch's pickles.
pub fn is_one(path: &Path) -> bool {
    let endings = ["pt", "pth", "bin", "ckpt", "pkl"];
    path.extension()
        .is_some_and(|extension| endings.iter().any(|ending| extension == *ending))
}

/// Returns the pickled weights in a directory, sorted by name.
pub fn of_directory(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_one(path)).collect();
    found.sort();
    found
}

/// Returns the error for a pickle that is not read, with the command that converts it.
pub fn refuse(path: &Path, reason: &str) -> ModelError {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match name.strip_suffix("_pytorch_model") {
        Some(steps) => format!("{steps}_model.safetensors"),
        None if name == "pytorch_model" => WEIGHTS.to_owned(),
        None => format!("{name}.safetensors"),
    };
    let target = path.with_file_name(name);
    let message = format!(
        "{reason}; a pickle can run code and is never read but for plain tensors by name in a zip archive, as torch.save \
         writes them; convert it once where you trust it: python3 -c 'import sys, torch; from safetensors.torch import \
         save_file; save_file({{k: v.clone().contiguous() for k, v in torch.load(sys.argv[1], map_location=\"cpu\", \
         weights_only=True).items()}}, sys.argv[2])' {} {}",
        path.display(),
        target.display()
    );
    ModelError::read(path, message)
}
