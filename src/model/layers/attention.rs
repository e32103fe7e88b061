//! Scaled dot-product attention, as every part of the network computes it.

use tch::{Device, Kind, TchError, Tensor};

/// softmax(Q Kᵀ / √head) V. A query attends to the keys where `mask` is true; without a mask to all keys or, if
/// `causal`, to those up to its own position. With fewer key heads than query heads, groups of queries share a key.
///
/// On a CPU, gradients of 16-bit tensors are computed in 32 bits: oneDNN would otherwise set up each head's product
/// anew, which for short sequences costs several times the product itself.
///
/// # Shapes
/// queries (B, heads, L, head), keys and values (B, KV heads, S, head) → (B, L, heads, head)
pub(in crate::model) fn attend(
    [queries, keys, values]: [&Tensor; 3],
    mask: Option<&Tensor>,
    causal: bool,
) -> Result<Tensor, TchError> {
    let kind = queries.f_kind()?;
    let widened = kind == Kind::BFloat16 && queries.device() == Device::Cpu && queries.requires_grad();
    let of = |x: &Tensor| match widened {
        true => x.f_to_kind(Kind::Float),
        false => Ok(x.shallow_clone()),
    };
    let (q, k, v) = (of(queries)?, of(keys)?, of(values)?);
    let shared = q.size().get(1) != k.size().get(1);
    Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask, 0.0, causal, None, shared)?
        .f_transpose(1, 2)?
        .f_to_kind(kind)
}
