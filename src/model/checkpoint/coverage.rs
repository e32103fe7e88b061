//! Compares the tensors of weight files with those of a network.

use std::collections::BTreeSet;
use std::fmt;

use safetensors::Dtype;

use super::weights::{CheckpointPart, TEXT_HEAD, WeightFiles, is_backbone};
use crate::model::layers::parameters::Parameter;

/// Assignment of a file's tensors to a network. Only headers are read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Tensors that fit, in the network's order.
    pub used: Vec<Used>,
    /// Tensors of the files, by our keys, that are not read and need not be.
    pub unused: Vec<String>,
    /// One line for each tensor that is missing, extra, of the wrong shape or of the wrong type.
    pub problems: Vec<String>,
}

/// A tensor that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Our key.
    pub key: String,
    /// Name in the file.
    pub stored: String,
    /// Name of the file.
    pub file: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Type in the file.
    pub dtype: Dtype,
}

impl Coverage {
    /// Compares the tensors that a network needs with those of the files.
    pub fn new(layout: &[Parameter], files: &WeightFiles, part: CheckpointPart) -> Self {
        let mut coverage = Self {
            used: Vec::new(),
            unused: Vec::new(),
            problems: Vec::new(),
        };
        for parameter in layout {
            match fit(parameter, files) {
                Ok(used) => coverage.used.push(used),
                Err(problem) => coverage.problems.push(problem),
            }
        }
        let asked: BTreeSet<_> = layout.iter().map(|parameter| parameter.key.as_str()).collect();
        for key in files.keys().filter(|key| !asked.contains(key)) {
            // A text head that is not needed is tied: a second copy of the embedding.
            if key == TEXT_HEAD || (part == CheckpointPart::Backbone && !is_backbone(key)) {
                coverage.unused.push(key.to_owned());
            } else {
                let problem = format!("extra: {key}, which this configuration has no place for");
                coverage.problems.push(problem);
            }
        }
        coverage
    }
}

fn fit(parameter: &Parameter, files: &WeightFiles) -> Result<Used, String> {
    let Parameter { key, shape, .. } = parameter;
    let Some(found) = files.get(key) else {
        return Err(format!("missing: {key}, expected shape {shape:?}"));
    };
    let of_file: Vec<i64> = found.shape.iter().map(|n| *n as i64).collect();
    if of_file != *shape {
        return Err(format!("shape of {key}: expected {shape:?}, found {of_file:?}"));
    }
    match found.dtype {
        Dtype::F32 | Dtype::BF16 | Dtype::F16 => Ok(Used {
            key: key.clone(),
            stored: files.naming().stored(key),
            file: found
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            shape: of_file,
            dtype: found.dtype,
        }),
        other => Err(format!("type of {key}: expected F32, BF16 or F16, found {other:?}")),
    }
}

impl fmt::Display for Coverage {
    /// Writes one line for each tensor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for used in &self.used {
            write!(
                f,
                "used      {} {:?} {:?} of {}",
                used.key, used.shape, used.dtype, used.file
            )?;
            match used.key == used.stored {
                true => writeln!(f)?,
                false => writeln!(f, ", there {}", used.stored)?,
            }
        }
        for key in &self.unused {
            writeln!(f, "not read  {key}")?;
        }
        for problem in &self.problems {
            writeln!(f, "problem   {problem}")?;
        }
        let [used, unused, problems] = [self.used.len(), self.unused.len(), self.problems.len()];
        write!(f, "{used} tensors used, {unused} not read, {problems} problems")
    }
}
