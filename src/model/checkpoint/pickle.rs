//! Names of pickled weights, and the error for those that are not read.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use super::WEIGHTS;
use crate::model::error::ModelError;

/// File name of a Hugging Face directory.
pub const HUGGING_FACE_PICKLE: &str = "pytorch_model.bin";

/// Prefixes of the names of files that trainers save beside the weights.
const TRAINER_FILES: [&str; 5] = ["optimizer", "scheduler", "scaler", "rng_state", "training_args"];

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
    let is_trainer_file = |entry: &DirEntry| {
        let name = entry.file_name();
        TRAINER_FILES
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
    };
    let entries = entries.filter(|entry| !is_trainer_file(entry));
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
    // Training states hold the tensors in a dict of their own, and wrapped networks have a prefix.
    let message = format!(
        "{reason}; a pickle can run code and is never read but for plain tensors by name in a zip archive, as torch.save \
         writes them; convert it once where you trust it: python3 -c 'import sys, torch; from safetensors.torch import \
         save_file; d = torch.load(sys.argv[1], map_location=\"cpu\", weights_only=True); d = next((d[k] for k in \
         (\"state_dict\", \"model_state_dict\", \"model\", \"module\") if k in d), d); \
         save_file({{k.removeprefix(\"module.\").removeprefix(\"_orig_mod.\"): v.detach().clone().contiguous() \
         for k, v in d.items()}}, sys.argv[2])' {} {}",
        path.display(),
        target.display()
    );
    ModelError::read(path, message)
}
