//! Norms and rotary embedding on the CPU, each in one pass over memory.

use std::ptr::null_mut;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::{Message, checked, made, pointer};

unsafe extern "C" {
    fn thinkvla_rms_norm(x: *const C_tensor, weight: *const C_tensor, eps: f64, y: *mut *mut C_tensor) -> Message;
    fn thinkvla_turn_heads(
        rows: *mut C_tensor,
        query_norm: *const C_tensor,
        key_norm: *const C_tensor,
        cos: *const C_tensor,
        sin: *const C_tensor,
        queries: i64,
        keys: i64,
        eps: f64,
    ) -> Message;
}

/// Root-mean-square normalisation over the last axis, with statistics in float32.
///
/// # Shapes
/// x: (…, width), weight: (width), of one type → (…, width)
///
/// # Errors
/// When shapes or kinds do not fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor, TchError> {
    let (x, mut y) = (x.f_contiguous()?, null_mut());
    // SAFETY: the tensors outlive the call, and `y` is a place for the result.
    let message = unsafe { thinkvla_rms_norm(x.as_ptr(), weight.as_ptr(), eps, &mut y) };
    made(message, y)
}

/// Rotary embedding of the query and key heads at the beginning of each row.
#[derive(Debug, Clone, Copy)]
pub struct RotaryTurn<'a> {
    /// Number of query heads.
    pub queries: i64,
    /// Number of key heads, which follow the query heads.
    pub keys: i64,
    /// Cosines for each row, (rows, head) in float32.
    pub cos: &'a Tensor,
    /// Sines for each row, (rows, head) in float32.
    pub sin: &'a Tensor,
    /// Weights of the norms applied to query and key heads first, if any.
    pub norms: Option<NormWeights<'a>>,
}

/// Weights of the norms of query and key heads.
#[derive(Debug, Clone, Copy)]
pub struct NormWeights<'a> {
    /// Of the queries, (head).
    pub query: &'a Tensor,
    /// Of the keys, (head).
    pub key: &'a Tensor,
    /// Epsilon of both.
    pub eps: f64,
}

impl RotaryTurn<'_> {
    /// Normalises and rotates in place; dimension i pairs with i + head / 2.
    ///
    /// # Shapes
    /// rows: (…, at least heads x head)
    ///
    /// # Errors
    /// When shapes or kinds do not fit.
    pub fn apply(&self, rows: &mut Tensor) -> Result<(), TchError> {
        let norms = self.norms;
        // SAFETY: all tensors outlive the call, and `rows` is borrowed for it alone.
        checked(unsafe {
            thinkvla_turn_heads(
                rows.as_mut_ptr(),
                pointer(norms.map(|n| n.query)),
                pointer(norms.map(|n| n.key)),
                self.cos.as_ptr(),
                self.sin.as_ptr(),
                self.queries,
                self.keys,
                norms.map_or(0.0, |n| n.eps),
            )
        })
    }
}
