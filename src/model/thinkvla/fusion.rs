//! Fusion of the reasoning latent into the action queries (3DThinkVLA, table of fusion variants).

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::model::error::ModelError;
use crate::model::layers::parameters::Scope;
use crate::model::layers::{Linear, LinearInit};
use crate::model::thinkvla::adapters::Projector;

/// Fusion of the reasoning latents Z of N anchors into the states H of the action queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// `H + P(Z)`, averaged over the anchors.
    #[default]
    Add,
    /// `H + g ⊙ P(Z)` with `g = σ(W [H; P(Z)])`, P(Z) averaged over the anchors.
    Gate,
    /// `H + Wₒ softmax(Wq Z (Wₖ H)ᵀ / √D) Wᵥ H`, averaged over the anchors: each anchor attends to the queries, and the
    /// result is added to all of them. `Wₒ` replaces the projector and is also initialised with zeros.
    CrossAttention,
}

/// Fusion module.
#[derive(Debug)]
pub enum ReasoningFusion {
    /// See [`Fusion::Add`].
    Add {
        /// P, `reason_proj.*`.
        reason_proj: Projector,
    },
    /// See [`Fusion::Gate`].
    Gate {
        /// P, `reason_proj.*`.
        reason_proj: Projector,
        /// W, `reason_gate.*`: 2D → D with bias.
        reason_gate: Linear,
    },
    /// See [`Fusion::CrossAttention`].
    CrossAttention {
        /// The four linear maps, `reason_attn.*`.
        reason_attn: AnchorAttention,
    },
}

impl ReasoningFusion {
    /// Builds the fusion for states of `width` channels; `root` is the root of the checkpoint.
    pub fn new(root: &Scope, kind: Fusion, width: i64) -> Result<Self, ModelError> {
        let reason_proj = || Projector::new(root.at("reason_proj"), width, width);
        Ok(match kind {
            Fusion::Add => Self::Add {
                reason_proj: reason_proj()?,
            },
            Fusion::Gate => Self::Gate {
                reason_proj: reason_proj()?,
                reason_gate: Linear::new(root.at("reason_gate"), 2 * width, width, LinearInit::Uniform)?,
            },
            Fusion::CrossAttention => Self::CrossAttention {
                reason_attn: AnchorAttention::new(&root.at("reason_attn"), width)?,
            },
        })
    }

    /// Computes the condition that is added to the queries.
    ///
    /// # Shapes
    /// queries: (B, K, D), reasoning: (B, N, D) → (B, 1, D), with a gate (B, K, D)
    pub fn forward(&self, queries: &Tensor, reasoning: &Tensor) -> Result<Tensor, TchError> {
        let mean = |x: Tensor| x.f_mean_dim(&[1i64][..], true, None);
        match self {
            Self::Add { reason_proj } => mean(reason_proj.forward(reasoning)?),
            Self::Gate {
                reason_proj,
                reason_gate,
            } => {
                let condition = mean(reason_proj.forward(reasoning)?)?;
                let both = [queries.shallow_clone(), condition.f_expand_as(queries)?];
                let gate = reason_gate.forward(&Tensor::f_cat(&both, -1)?)?.f_sigmoid()?;
                gate.f_mul(&condition)
            }
            Self::CrossAttention { reason_attn } => mean(reason_attn.forward(reasoning, queries)?),
        }
    }
}

/// One head of attention from the anchors to the action queries, without biases.
#[derive(Debug)]
pub struct AnchorAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    scale: f64,
}

impl AnchorAttention {
    fn new(scope: &Scope, width: i64) -> Result<Self, ModelError> {
        let map = |name, init| Linear::without_bias(scope.at(name), width, width, init);
        Ok(Self {
            q_proj: map("q_proj", LinearInit::Uniform)?,
            k_proj: map("k_proj", LinearInit::Uniform)?,
            v_proj: map("v_proj", LinearInit::Uniform)?,
            o_proj: map("o_proj", LinearInit::Zero)?,
            scale: 1.0 / (width as f64).sqrt(),
        })
    }

    /// # Shapes
    /// anchors: (B, N, D), queries: (B, K, D) → (B, N, D)
    fn forward(&self, anchors: &Tensor, queries: &Tensor) -> Result<Tensor, TchError> {
        let keys = self.k_proj.forward(queries)?.f_transpose(1, 2)?;
        let scores = self
            .q_proj
            .forward(anchors)?
            .f_matmul(&keys)?
            .f_mul_scalar(self.scale)?;
        let found = scores.f_softmax(-1, None)?.f_matmul(&self.v_proj.forward(queries)?)?;
        self.o_proj.forward(&found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::parameters::testing::TensorFixture;

    const QUERIES: [f32; 4] = [1.0, 2.0, -1.0, 0.5];

    /// Returns what is added to two queries of two channels, computed by hand: (rows added, channels), row major.
    fn added(kind: Fusion, given: &TensorFixture, anchors: &[f32]) -> Vec<f32> {
        let fusion = ReasoningFusion::new(&Scope::new(given), kind, 2).unwrap();
        let queries = Tensor::from_slice(&QUERIES).reshape([1, 2, 2]);
        let reasoning = Tensor::from_slice(anchors).reshape([1, -1, 2]);
        Vec::try_from(fusion.forward(&queries, &reasoning).unwrap().flatten(0, -1)).unwrap()
    }

    fn near(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    /// A projector that returns a tenth of each channel of GELU(2 z), with the channels swapped, and adds 1 to the
    /// second.
    fn projector() -> Vec<(&'static str, &'static [f32])> {
        vec![
            ("reason_proj.fc1.weight", &[2.0, 0.0, 0.0, 2.0]),
            ("reason_proj.fc1.bias", &[0.0, 0.0]),
            ("reason_proj.fc2.weight", &[0.0, 0.1, 0.1, 0.0]),
            ("reason_proj.fc2.bias", &[0.0, 1.0]),
        ]
    }

    /// GELU(2) and GELU(-2), and GELU(4), from the normal distribution's table.
    const GELU: [f64; 3] = [1.954_499_7, -0.045_500_26, 3.999_873_3];

    #[test]
    fn addition_averages_over_the_anchors() {
        let given = TensorFixture::of(&projector());
        near(
            &added(Fusion::Add, &given, &[1.0, -1.0]),
            &[0.1 * GELU[1], 1.0 + 0.1 * GELU[0]],
        );
        let second = 0.1 * 0.5 * (GELU[1] + GELU[2]);
        let first = 1.0 + 0.1 * 0.5 * (GELU[0] + GELU[1]);
        near(&added(Fusion::Add, &given, &[1.0, -1.0, -1.0, 2.0]), &[second, first]);
    }

    #[test]
    fn a_gate_weighs_the_condition_for_each_query_and_channel() {
        let mut tensors = projector();
        // The gate of the first channel depends on the query's first channel, that of the second on the condition's
        // second.
        tensors.push(("reason_gate.weight", &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        tensors.push(("reason_gate.bias", &[0.0, -1.0]));
        let found = added(Fusion::Gate, &TensorFixture::of(&tensors), &[1.0, -1.0]);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let [first, second] = [0.1 * GELU[1], 1.0 + 0.1 * GELU[0]];
        let gated = sigmoid(second - 1.0) * second;
        near(&found, &[sigmoid(1.0) * first, gated, sigmoid(-1.0) * first, gated]);
    }

    #[test]
    fn cross_attention_adds_what_the_anchor_finds_in_the_queries() {
        let identity: &[f32] = &[1.0, 0.0, 0.0, 1.0];
        let given = TensorFixture::of(&[
            ("reason_attn.q_proj.weight", identity),
            ("reason_attn.k_proj.weight", identity),
            ("reason_attn.v_proj.weight", identity),
            ("reason_attn.o_proj.weight", &[2.0, 0.0, 0.0, -1.0]),
        ]);
        let found = added(Fusion::CrossAttention, &given, &[1.0, 1.0]);
        // Scores 3 / √2 and -0.5 / √2.
        let share = 1.0 / (1.0 + (-3.5 / 2f64.sqrt()).exp());
        let value = |a: f64, b: f64| share * a + (1.0 - share) * b;
        near(&found, &[2.0 * value(1.0, -1.0), -value(2.0, 0.5)]);
    }

    #[test]
    fn a_new_fusion_adds_nothing() {
        for kind in [Fusion::Add, Fusion::Gate, Fusion::CrossAttention] {
            let fusion = ReasoningFusion::new(
                &Scope::new(&crate::model::layers::parameters::Random { seed: 3 }),
                kind,
                2,
            )
            .unwrap();
            let queries = Tensor::from_slice(&QUERIES).reshape([1, 2, 2]);
            let added = fusion.forward(&queries, &queries.narrow(1, 0, 1)).unwrap();
            assert_eq!(added.abs().max().double_value(&[]), 0.0, "{kind:?}");
        }
    }
}
