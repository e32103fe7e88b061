//! Activation checkpointing: only the input of each decoder layer is stored, and the rest is recomputed in the backward
//! pass.
//!
//! In the forward pass a layer runs without recording, and its output is a leaf. The loss is differentiated as usual,
//! down to the leaf of the last layer. Then `Backbone::backward` processes the layers from last to first: it runs each
//! again with recording, differentiates it, and propagates the gradient of its input to the leaf of the previous layer.

use tch::{TchError, Tensor};

/// The layers of a forward pass, in order.
#[derive(Debug, Default)]
pub struct Tape {
    ran: Vec<LayerRun>,
}

/// A layer that ran without recording.
#[derive(Debug)]
pub(in crate::model) struct LayerRun {
    /// Index of the layer.
    pub layer: usize,
    /// Whether it returned the states of the read-out tokens only.
    pub at_readout: bool,
    /// Input, with the graph recorded before it.
    pub input: Tensor,
    /// Output: a leaf, which accumulates its gradient.
    pub output: Tensor,
}

impl Tape {
    pub(in crate::model) fn note(&mut self, ran: LayerRun) {
        self.ran.push(ran);
    }

    pub(in crate::model) fn ran(&self) -> &[LayerRun] {
        &self.ran
    }
}

/// Propagates known gradients back from tensors in one backward pass, so that shared parts of the graph are traversed
/// once. Tensors that require no gradient, or whose gradient is undefined, are skipped.
pub(in crate::model) fn backpropagate(from: &[(&Tensor, Tensor)]) -> Result<(), TchError> {
    let mut whole: Option<Tensor> = None;
    for (tensor, gradient) in from {
        if !tensor.requires_grad() || !gradient.defined() {
            continue;
        }
        // The gradient of this sum is exactly the known one, whatever the value of the sum.
        let part = tensor.f_mul(gradient)?.f_sum(None)?;
        whole = Some(match whole {
            Some(sum) => sum.f_add(&part)?,
            None => part,
        });
    }
    whole.map_or(Ok(()), |whole| whole.f_backward())
}
