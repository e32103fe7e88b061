//! Activation checkpointing: of each decoder layer only the input is kept, and what happens inside is computed again when
//! gradients flow back.
//!
//! A layer runs without recording, and its output is a leaf. The loss is differentiated as usual, down to the leaf of
//! the last layer. From there `Backbone::go_back` takes the layers one by one, last first: it runs each again, now
//! recording, and differentiates it and whatever leads from the leaf before to its input.

use tch::{TchError, Tensor};

/// The layers that ran, first to last.
#[derive(Debug, Default)]
pub struct Tape {
    ran: Vec<Ran>,
}

/// A layer that ran without recording.
#[derive(Debug)]
pub(super) struct Ran {
    /// Its number.
    pub layer: usize,
    /// Whether it gave the states of the readers alone.
    pub at_readers: bool,
    /// What it was given, with all that was recorded before.
    pub input: Tensor,
    /// What it gave: a leaf, where its gradient gathers.
    pub output: Tensor,
}

impl Tape {
    pub(super) fn note(&mut self, ran: Ran) {
        self.ran.push(ran);
    }

    pub(super) fn ran(&self) -> &[Ran] {
        &self.ran
    }
}

/// Lets known gradients flow back from tensors, all at once: what they share is gone through once. Tensors that record
/// nothing, or whose gradient is not defined, are left out.
pub(super) fn pull(from: &[(&Tensor, Tensor)]) -> Result<(), TchError> {
    let mut whole: Option<Tensor> = None;
    for (tensor, gradient) in from {
        if !tensor.requires_grad() || !gradient.defined() {
            continue;
        }
        // The gradient of this sum is the known one to the bit, whatever the sum itself is.
        let part = tensor.f_mul(gradient)?.f_sum(None)?;
        whole = Some(match whole {
            Some(sum) => sum.f_add(&part)?,
            None => part,
        });
    }
    whole.map_or(Ok(()), |whole| whole.f_backward())
}
