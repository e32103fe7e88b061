//! Modules that a new checkpoint copies from another one.

use std::path::Path;

use crate::model::checkpoint::tensor_check::fitting;
use crate::model::checkpoint::weights::{Naming, StoredTensor, WeightFiles};
use crate::model::error::ModelError;
use crate::model::layers::parameters::Parameter;
use crate::model::trainable::is_under;

/// Modules whose weights come from another checkpoint instead of the seed.
#[derive(Debug, Clone, Copy)]
pub struct CopiedModules<'a> {
    /// Directory of the other checkpoint, in the layout of this package.
    pub checkpoint: &'a Path,
    /// Checkpoint paths of the modules; a path stands for everything under it.
    pub modules: &'a [String],
}

impl CopiedModules<'_> {
    /// Maps the weights of the other checkpoint.
    pub(super) fn open(&self) -> Result<WeightFiles, ModelError> {
        WeightFiles::of_directory(self.checkpoint, Naming::HuggingFace)
    }

    /// Returns the stored tensor of each parameter, in their order; `None` for those outside the modules.
    ///
    /// # Errors
    /// When a module has no parameters, or tensors are missing, of another shape or of another type.
    pub(super) fn tensors<'f>(
        &self,
        parameters: &[Parameter],
        files: &'f WeightFiles,
    ) -> Result<Vec<Option<StoredTensor<'f>>>, ModelError> {
        let unknown = self
            .modules
            .iter()
            .find(|module| !parameters.iter().any(|one| is_under(&one.key, module)));
        if let Some(unknown) = unknown {
            return Err(ModelError::config(
                "modules",
                "modules that the new checkpoint has",
                unknown,
            ));
        }
        let (mut tensors, mut problems) = (Vec::with_capacity(parameters.len()), Vec::new());
        for parameter in parameters {
            let copied = self.modules.iter().any(|module| is_under(&parameter.key, module));
            match copied.then(|| fitting(parameter, files)).transpose() {
                Ok(tensor) => tensors.push(tensor),
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        if problems.is_empty() {
            return Ok(tensors);
        }
        Err(ModelError::Weights {
            path: files.path().to_owned(),
            problems,
        })
    }
}
