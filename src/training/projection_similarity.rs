//! Projection-space similarity: whether gradients of two tasks have similar directions in one weight (3DThinkVLA (10)
//! to (15)).

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

/// Similarity, with the values that are needed to interpret it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Similarity {
    /// tr(P Q) / min(rank P, rank Q), of the projections onto the two gradients' column spaces: 0 ..= 1.
    pub similarity: f64,
    /// Ranks of the two gradients; in a run those of answers and of actions.
    pub ranks: [i64; 2],
    /// Expected similarity of two random subspaces of these ranks.
    pub chance: f64,
}

/// Compares two gradients of one weight.
///
/// Singular values below the machine's precision times the larger size times the largest of them count as zero.
///
/// # Shapes
/// (m, n) twice
///
/// # Errors
/// When the shapes differ, a gradient is zero, or libtorch cannot decompose it.
pub fn compare(a: &Tensor, b: &Tensor) -> Result<Similarity, TchError> {
    let _no_grad = tch::no_grad_guard();
    if a.size() != b.size() || a.dim() != 2 {
        return Err(TchError::Shape(format!(
            "expected two gradients of one matrix, found {:?} and {:?}",
            a.size(),
            b.size()
        )));
    }
    let rows = a.size2()?.0;
    let (a, b) = (columns(a)?, columns(b)?);
    let ranks = [a.size2()?.1, b.size2()?.1];
    let [least, most] = [ranks[0].min(ranks[1]), ranks[0].max(ranks[1])];
    if least == 0 {
        return Err(TchError::Torch(
            "expected two gradients to compare, found one that is zero".into(),
        ));
    }
    let overlap = a.f_transpose(0, 1)?.f_matmul(&b)?.f_square()?.f_sum(Kind::Double)?;
    Ok(Similarity {
        similarity: overlap.f_double_value(&[])? / least as f64,
        ranks,
        chance: most as f64 / rows as f64,
    })
}

/// Returns an orthonormal basis of the column space.
///
/// # Shapes
/// (m, n) → (m, rank)
fn columns(gradient: &Tensor) -> Result<Tensor, TchError> {
    let stored = match gradient.f_kind()? {
        Kind::Double => f64::EPSILON,
        _ => f64::from(f32::EPSILON),
    };
    let gradient = gradient.f_detach()?.f_to_kind(Kind::Double)?;
    let (m, n) = gradient.size2()?;
    let (u, values, _) = gradient.f_svd(true, true)?;
    let values = Vec::<f64>::try_from(&values)?;
    let smallest = values.first().copied().unwrap_or(0.0) * stored * m.max(n) as f64;
    let rank = values.iter().filter(|value| **value > smallest).count() as i64;
    u.f_narrow(1, 0, rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rank(rank: i64) -> Tensor {
        let draw = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, tch::Device::Cpu));
        draw([60, rank]).matmul(&draw([rank, 40]))
    }

    #[test]
    fn a_gradient_is_wholly_similar_to_itself() {
        for rank in [1, 7, 40] {
            let gradient = of_rank(rank);
            let found = compare(&gradient, &(&gradient * 0.3)).unwrap();
            assert!((found.similarity - 1.0).abs() < 1e-9, "{found:?}");
            assert_eq!(found.ranks, [rank, rank]);
        }
    }

    #[test]
    fn unrelated_gradients_are_as_similar_as_chance_says() {
        tch::manual_seed(4);
        let repeats = 40;
        let mut mean = 0.0;
        for _ in 0..repeats {
            let found = compare(&of_rank(12), &of_rank(20)).unwrap();
            assert_eq!((found.ranks, found.chance), ([12, 20], 20.0 / 60.0));
            mean += found.similarity / f64::from(repeats);
        }
        assert!((mean - 20.0 / 60.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn gradients_of_other_columns_are_not_similar() {
        let gradient = of_rank(3);
        let elsewhere = Tensor::zeros_like(&gradient);
        let _ = gradient.narrow(0, 30, 30).fill_(0.0);
        elsewhere.narrow(0, 30, 30).copy_(&of_rank(3).narrow(0, 30, 30));
        assert!(compare(&gradient, &elsewhere).unwrap().similarity < 1e-12);
        assert!(compare(&gradient, &Tensor::zeros_like(&gradient)).is_err());
    }
}
