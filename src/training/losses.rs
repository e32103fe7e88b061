//! Losses of 3DThinkVLA. Each is the sum that a mean is made of, so that means can be taken over several batches.

use tch::{Kind, Reduction, TchError, Tensor};

use super::batch::MASKED;
use super::config::settings::ReasoningLoss;

/// Epsilon of the LayerNorm in [`ReasoningLoss::LayerNormMse`].
const EPS: f64 = 1e-5;

/// Sum of the absolute differences of valid actions (3DThinkVLA, L1 action loss).
///
/// # Shapes
/// predicted, target: (B, K, A), valid: (B, K) → one value
pub fn actions(predicted: &Tensor, target: &Tensor, valid: &Tensor) -> Result<Tensor, TchError> {
    let kind = predicted.f_kind()?;
    predicted
        .f_sub(&target.f_to_kind(kind)?)?
        .f_abs()?
        .f_mul(&valid.f_to_kind(kind)?.f_unsqueeze(-1)?)?
        .f_sum(None)
}

/// `1 - cosine` over the last axis, summed over all others (3DThinkVLA (2) and (6)).
///
/// # Shapes
/// (…, C) twice → one value
pub fn cosine(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    let alike = Tensor::f_cosine_similarity(a, b, -1, 1e-8)?;
    alike.f_neg()?.f_add_scalar(1.0)?.f_sum(None)
}

/// [`cosine`] with a weight for each row.
///
/// # Shapes
/// (N, C) twice, weights: (N) → one value
pub fn weighted_cosine(a: &Tensor, b: &Tensor, weights: &Tensor) -> Result<Tensor, TchError> {
    let unlike = Tensor::f_cosine_similarity(a, b, -1, 1e-8)?
        .f_neg()?
        .f_add_scalar(1.0)?;
    unlike.f_mul(&weights.f_to_kind(unlike.f_kind()?)?)?.f_sum(None)
}

/// Distance of the student's latents from the teacher's anchors, summed over samples and anchors.
///
/// # Shapes
/// teacher, student: (B, N, D) → one value
pub fn reasoning(teacher: &Tensor, student: &Tensor, loss: ReasoningLoss) -> Result<Tensor, TchError> {
    let width = student.size().last().copied().unwrap_or(1);
    let mean = |sum: Tensor| sum.f_div_scalar(width as f64);
    let normed = |x: &Tensor| x.f_layer_norm([width], None::<&Tensor>, None::<&Tensor>, EPS, false);
    match loss {
        ReasoningLoss::Cosine => cosine(teacher, student),
        ReasoningLoss::Mse => mean(student.f_mse_loss(teacher, Reduction::Sum)?),
        ReasoningLoss::SmoothL1 => mean(student.f_smooth_l1_loss(teacher, Reduction::Sum, 1.0)?),
        ReasoningLoss::LayerNormMse => mean(normed(student)?.f_mse_loss(&normed(teacher)?, Reduction::Sum)?),
    }
}

/// Divergence of the student's token distribution from the teacher's, KL(teacher ‖ student), summed over positions
/// (3DThinkVLA, Table 7).
///
/// # Shapes
/// logits (…, vocabulary) twice → one value
pub fn divergence(teacher: &Tensor, student: &Tensor) -> Result<Tensor, TchError> {
    let kind = match student.f_kind()? {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    let (teacher, student) = (teacher.f_log_softmax(-1, kind)?, student.f_log_softmax(-1, kind)?);
    student.f_kl_div(&teacher, Reduction::Sum, true)
}

/// Cross-entropy of tokens, summed over those that are learned.
///
/// # Shapes
/// logits: (T, vocabulary), labels: (T) → one value
pub fn text(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TchError> {
    let logits = match logits.f_kind()? {
        Kind::Double => logits.shallow_clone(),
        _ => logits.f_to_kind(Kind::Float)?,
    };
    logits.f_cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, MASKED, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(loss: Result<Tensor, TchError>) -> f64 {
        loss.unwrap().double_value(&[])
    }

    #[test]
    fn a_target_of_the_same_directions_is_no_loss() {
        let made = Tensor::randn([2, 5, 7], (Kind::Double, tch::Device::Cpu));
        assert!(value(cosine(&made, &(&made * 3.5))).abs() < 1e-12);
        assert!((value(cosine(&made, &(&made * -2.0))) - 20.0).abs() < 1e-12);
    }

    #[test]
    fn a_patch_counts_what_it_weighs() {
        let made = Tensor::randn([5, 7], (Kind::Double, tch::Device::Cpu));
        let target = Tensor::cat(&[made.narrow(0, 0, 4), made.narrow(0, 4, 1) * -1.0], 0);
        let weights = Tensor::from_slice(&[1f32, 1.0, 1.0, 1.0, 11.0]);
        assert!((value(weighted_cosine(&made, &target, &weights)) - 22.0).abs() < 1e-9);
        let even = Tensor::ones([5], (Kind::Float, tch::Device::Cpu));
        let plain = value(cosine(&made, &target));
        assert!((value(weighted_cosine(&made, &target, &even)) - plain).abs() < 1e-9);
    }

    #[test]
    fn actions_that_do_not_count_cost_nothing() {
        let predicted = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).reshape([1, 2, 2]);
        let target = Tensor::from_slice(&[0f32, 4.0, 100.0, 100.0]).reshape([1, 2, 2]);
        let valid = Tensor::from_slice(&[1f32, 0.0]).reshape([1, 2]);
        assert_eq!(value(actions(&predicted, &target, &valid)), 3.0);
    }

    #[test]
    fn the_alternatives_are_the_textbook_s() {
        let teacher = Tensor::from_slice(&[0f64, 3.0]).reshape([1, 1, 2]);
        let student = Tensor::from_slice(&[0.5f64, 1.0]).reshape([1, 1, 2]);
        let by = |loss| value(reasoning(&teacher, &student, loss));
        assert!((by(ReasoningLoss::Mse) - (0.25 + 4.0) / 2.0).abs() < 1e-12);
        assert!((by(ReasoningLoss::SmoothL1) - (0.125 + 1.5) / 2.0).abs() < 1e-12);
        // Two channels in the same order normalise to -1 and 1 in both.
        assert!(by(ReasoningLoss::LayerNormMse) < 1e-6);
        assert!((by(ReasoningLoss::Cosine) - (1.0 - 1.0 / 1.25f64.sqrt())).abs() < 1e-12);
    }

    #[test]
    fn the_divergence_of_equals_is_zero_and_of_others_is_not() {
        let teacher = Tensor::from_slice(&[0f64, 2f64.ln()]);
        assert!(value(divergence(&teacher, &(&teacher + 5.0))).abs() < 1e-12);
        let expected = (1.0 / 3.0) * (2.0f64 / 3.0).ln() + (2.0 / 3.0) * (4.0f64 / 3.0).ln();
        let even = Tensor::zeros([2], (Kind::Double, tch::Device::Cpu));
        assert!((value(divergence(&teacher, &even)) - expected).abs() < 1e-12);
    }
}
