//! Compares the tensors of weight files with those of a network.

use std::collections::BTreeSet;
use std::fmt;

use safetensors::Dtype;

use super::tensor_check::{TensorProblem, fitting};
use super::weights::{CheckpointPart, TEXT_HEAD, WeightFiles, is_backbone};
use crate::model::layers::parameters::Parameter;

/// Assignment of a file's tensors to a network. Only headers are read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Tensors that fit, in the network's order.
    pub used: Vec<MatchedTensor>,
    /// Tensors of the files, by our keys, that are not read and need not be.
    pub unused: Vec<String>,
    /// One line for each tensor that is missing, extra, of the wrong shape or of the wrong type.
    pub problems: Vec<String>,
}

/// A tensor that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedTensor {
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
            match used(parameter, files) {
                Ok(used) => coverage.used.push(used),
                Err(problem) => coverage.problems.push(problem.to_string()),
            }
        }
        let asked: BTreeSet<_> = layout.iter().map(|parameter| parameter.key.as_str()).collect();
        for key in files.keys().filter(|key| !asked.contains(key)) {
            // A text head that is not needed is tied: a second copy of the embedding.
            if key == TEXT_HEAD || (part == CheckpointPart::Backbone && !is_backbone(key)) {
                coverage.unused.push(key.to_owned());
            } else {
                let problem = TensorProblem::Extra(key.to_owned());
                coverage.problems.push(problem.to_string());
            }
        }
        coverage
    }
}

fn used(parameter: &Parameter, files: &WeightFiles) -> Result<MatchedTensor, TensorProblem> {
    let found = fitting(parameter, files)?;
    let file = found.path.file_name().unwrap_or_default();
    Ok(MatchedTensor {
        key: parameter.key.clone(),
        stored: files.naming().stored(&parameter.key),
        file: file.to_string_lossy().into_owned(),
        shape: parameter.shape.clone(),
        dtype: found.dtype,
    })
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
