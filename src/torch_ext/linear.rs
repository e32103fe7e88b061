//! Linear layers with weights packed in the order of oneDNN's kernels, fused with the operation that follows them.

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;
use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};
use torch_sys::C_tensor;

use super::{Message, made, pointer};

unsafe extern "C" {
    fn thinkvla_linear_available() -> bool;
    fn thinkvla_linear_pack(weight: *const C_tensor, rows: i64, packed: *mut *mut C_tensor) -> Message;
    fn thinkvla_linear(
        x: *const C_tensor,
        packed: *const C_tensor,
        bias: *const C_tensor,
        epilogue: *const c_char,
        algorithm: *const c_char,
        y: *mut *mut C_tensor,
    ) -> Message;
    fn thinkvla_linear_with(
        x: *const C_tensor,
        packed: *const C_tensor,
        bias: *const C_tensor,
        epilogue: *const c_char,
        other: *const C_tensor,
        y: *mut *mut C_tensor,
    ) -> Message;
}

/// Number of rows the packing is optimised for; other numbers work.
const ROWS: i64 = 256;

/// Operation fused into the output of a linear layer; `other` is its second operand.
#[derive(Debug, Clone, Copy)]
pub enum Epilogue<'a> {
    /// Nothing.
    Nothing,
    /// GELU by the error function.
    Gelu,
    /// GELU by its approximation with tanh.
    GeluTanh,
    /// SiLU.
    Silu,
    /// Add `other`, of the product's shape.
    Add(&'a Tensor),
    /// Multiply by `other`, of the product's shape.
    Mul(&'a Tensor),
}

/// A weight packed in the order of oneDNN's kernels.
#[derive(Debug)]
pub struct Packed(Tensor);

/// Reports whether weights of this kind for this device can be packed. oneDNN packs bfloat16 only for processors with
/// AVX-512 or AVX-NE-CONVERT; packing one small weight shows whether it can.
pub fn available(kind: Kind, device: Device) -> bool {
    static ONEDNN: OnceLock<bool> = OnceLock::new();
    static BFLOAT16: OnceLock<bool> = OnceLock::new();
    // SAFETY: takes nothing and only reads libtorch's table of operators.
    let onednn = device == Device::Cpu && *ONEDNN.get_or_init(|| unsafe { thinkvla_linear_available() });
    let packs = || Tensor::f_zeros([16, 16], (Kind::BFloat16, Device::Cpu)).and_then(|weight| Packed::new(&weight));
    match kind {
        Kind::Float => onednn,
        Kind::BFloat16 => onednn && *BFLOAT16.get_or_init(|| packs().is_ok()),
        _ => false,
    }
}

impl Packed {
    /// Packs a weight. The original tensor is no longer needed afterwards.
    ///
    /// # Shapes
    /// weight: (outputs, inputs), float32 or bfloat16, on the CPU
    ///
    /// # Errors
    /// When the weight is of another kind or device, or libtorch has no oneDNN; see [`available`].
    pub fn new(weight: &Tensor) -> Result<Self, TchError> {
        if weight.device() != Device::Cpu || !matches!(weight.f_kind()?, Kind::Float | Kind::BFloat16) {
            return Err(TchError::Torch(format!(
                "expected a weight of float32 or bfloat16 on the CPU to pack, found {weight:?}"
            )));
        }
        let mut packed = null_mut();
        // SAFETY: the weight outlives the call, and `packed` is a place for the tensor it makes.
        let message = unsafe { thinkvla_linear_pack(weight.f_contiguous()?.as_ptr(), ROWS, &mut packed) };
        Ok(Self(made(message, packed)?))
    }

    /// Computes `y = epilogue(x Wᵀ + bias)`.
    ///
    /// # Shapes
    /// (…, inputs) → (…, outputs)
    ///
    /// # Errors
    /// When shapes or kinds do not fit.
    pub fn forward(&self, x: &Tensor, bias: Option<&Tensor>, epilogue: Epilogue) -> Result<Tensor, TchError> {
        let (x, bias, mut y) = (x.f_contiguous()?, pointer(bias), null_mut());
        let unary = |name: &CStr, algorithm: &CStr, y: &mut *mut C_tensor| {
            // SAFETY: all tensors outlive the call, the texts are terminated, and `y` is a place for the result.
            unsafe { thinkvla_linear(x.as_ptr(), self.0.as_ptr(), bias, name.as_ptr(), algorithm.as_ptr(), y) }
        };
        let binary = |name: &CStr, other: &Tensor, y: &mut *mut C_tensor| {
            // SAFETY: as above.
            unsafe { thinkvla_linear_with(x.as_ptr(), self.0.as_ptr(), bias, name.as_ptr(), other.as_ptr(), y) }
        };
        let message = match epilogue {
            Epilogue::Nothing => unary(c"none", c"", &mut y),
            Epilogue::Gelu => unary(c"gelu", c"none", &mut y),
            Epilogue::GeluTanh => unary(c"gelu", c"tanh", &mut y),
            Epilogue::Silu => unary(c"swish", c"", &mut y),
            Epilogue::Add(other) => binary(c"add", &other.f_contiguous()?, &mut y),
            Epilogue::Mul(other) => binary(c"mul", &other.f_contiguous()?, &mut y),
        };
        made(message, y)
    }
}
