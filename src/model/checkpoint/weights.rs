//! Weights on disk as a network's source of tensors.

use safetensors::Dtype;
use tch::{Device, Kind, Tensor};

use super::coverage::Naming;
use super::shards::Shards;
use crate::model::error::ModelError;
use crate::model::parameters::{Parameter, Role, Source};

/// Files whose coverage has been found without a problem.
#[derive(Debug)]
pub struct Weights<'a> {
    /// The files.
    pub shards: &'a Shards,
    /// How they name tensors.
    pub naming: Naming,
    /// Type of the backbone.
    pub backbone: Kind,
    /// Where the network computes.
    pub device: Device,
}

impl Source for Weights<'_> {
    /// Reads one tensor straight into its type and place, a piece at a time: besides the result, no more than a piece is
    /// ever held, in whatever type the file has it.
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let name = self.naming.stored(&parameter.key);
        let missing = || ModelError::Weights {
            path: self.shards.paths().next().unwrap_or_else(|| "".as_ref()).to_owned(),
            problems: vec![format!("missing: {name}, expected shape {:?}", parameter.shape)],
        };
        let stored = self.shards.get(&name).ok_or_else(missing)?;
        let (from, size) = match stored.dtype() {
            Dtype::F32 => (Kind::Float, 4),
            _ => (Kind::BFloat16, 2),
        };
        let kind = match role {
            Role::Backbone => self.backbone,
            Role::Head => Kind::Float,
        };
        let tensor = Tensor::f_empty(&parameter.shape, (kind, self.device))?;
        let flat = tensor.f_view(-1)?;
        let mut at = 0;
        stored.read(|piece| -> Result<(), ModelError> {
            let count = (piece.len() / size) as i64;
            let values = Tensor::f_from_data_size(piece, &[count], from)?;
            flat.f_narrow(0, at, count)?.f_copy_(&values)?;
            at += count;
            Ok(())
        })?;

        Ok(tensor)
    }
}
