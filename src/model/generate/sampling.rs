//! Token sampling: greedy, temperature, top-k, top-p and repetition penalty.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::model::error::ModelError;

/// Settings of sampling. Applied in the order of the fields, as in the reference (Hugging Face `generate`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Factor by which positive logits of tokens that have occurred are divided and negative ones multiplied; 1 has no
    /// effect, larger values reduce repetition.
    pub repetition_penalty: f64,
    /// Divisor of the logits; 0 takes the likeliest token at every step.
    pub temperature: f64,
    /// Restricts to this number of likeliest tokens, and those as likely as the last of them; `None` takes all.
    pub top_k: Option<usize>,
    /// Restricts to the likeliest tokens whose probabilities together reach this value; 1 takes all.
    pub top_p: f64,
    /// Seed; the same seed draws the same tokens from the same logits.
    pub seed: u64,
}

impl Sampling {
    /// Takes the likeliest token at every step.
    pub const GREEDY: Self = Self {
        repetition_penalty: 1.0,
        temperature: 0.0,
        top_k: None,
        top_p: 1.0,
        seed: 0,
    };

    /// Checks the settings.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn validate(&self) -> Result<(), ModelError> {
        let refuse = |field: &str, expected: &str, found: f64| {
            Err(ModelError::Text(format!("{field}: expected {expected}, found {found}")))
        };
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            return refuse("repetition penalty", "a positive number", self.repetition_penalty);
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return refuse("temperature", "0 or a positive number", self.temperature);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse("top-p", "more than 0 and at most 1", self.top_p);
        }
        match self.top_k {
            Some(0) => refuse("top-k", "at least 1", 0.0),
            _ => Ok(()),
        }
    }
}

/// Samples tokens.
#[derive(Debug)]
pub struct TokenSampler {
    sampling: Sampling,
    rng: ChaCha8Rng,
}

/// A candidate for the next token.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    id: usize,
    logit: f32,
}

impl TokenSampler {
    /// Creates a sampler at the start of its seed's sequence.
    ///
    /// # Errors
    /// See [`Sampling::validate`].
    pub fn new(sampling: Sampling) -> Result<Self, ModelError> {
        sampling.validate()?;
        Ok(Self {
            rng: ChaCha8Rng::seed_from_u64(sampling.seed),
            sampling,
        })
    }

    /// Returns the id of the next token; `seen` are the ids of the text so far.
    ///
    /// # Errors
    /// When a logit is NaN or none is finite.
    pub fn pick(&mut self, logits: &[f32], seen: &[i64]) -> Result<i64, ModelError> {
        let mut candidates: Vec<Candidate> = logits
            .iter()
            .enumerate()
            .map(|(id, logit)| Candidate { id, logit: *logit })
            .collect();
        if candidates.iter().any(|c| c.logit.is_nan()) || !candidates.iter().any(|c| c.logit.is_finite()) {
            return Err(ModelError::Text(
                "the network's logits are not numbers; its weights are damaged or overflow this compute type".into(),
            ));
        }
        self.penalise(&mut candidates, seen);
        let chosen = if self.sampling.temperature == 0.0 {
            likeliest(&candidates)
        } else {
            self.keep_top_k(&mut candidates);
            self.draw(candidates)
        };
        // At least one logit is finite, so there is a candidate.
        Ok(chosen.map_or(0, |id| id as i64))
    }

    fn penalise(&self, candidates: &mut [Candidate], seen: &[i64]) {
        let penalty = self.sampling.repetition_penalty as f32;
        if penalty == 1.0 {
            return;
        }
        let distinct: std::collections::BTreeSet<i64> = seen.iter().copied().collect();
        for id in distinct {
            let candidate = usize::try_from(id).ok().and_then(|id| candidates.get_mut(id));
            if let Some(Candidate { logit, .. }) = candidate {
                *logit = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
            }
        }
    }

    fn keep_top_k(&self, candidates: &mut Vec<Candidate>) {
        let Some(k) = self.sampling.top_k.filter(|k| *k < candidates.len()) else {
            return;
        };
        let (_, last, _) = candidates.select_nth_unstable_by(k - 1, by_rank);
        let least = last.logit;
        candidates.retain(|c| c.logit >= least);
    }

    fn draw(&mut self, mut candidates: Vec<Candidate>) -> Option<usize> {
        candidates.sort_unstable_by(by_rank);
        let highest = candidates.first()?.logit;
        let weight = |c: &Candidate| (f64::from(c.logit - highest) / self.sampling.temperature).exp();
        let mut weights: Vec<f64> = candidates.iter().map(weight).collect();
        let whole: f64 = weights.iter().sum();
        let mut before = 0.0;
        let enough = self.sampling.top_p * whole;
        let kept = weights.iter().take_while(|weight| {
            let needed = before < enough;
            before += **weight;
            needed
        });
        let kept = kept.count().max(1);
        weights.truncate(kept);
        let at = self.rng.random::<f64>() * weights.iter().sum::<f64>();
        let mut reached = 0.0;
        let chosen = weights.iter().position(|weight| {
            reached += weight;
            at < reached
        });
        // Rounding may leave the end of the last interval just below the drawn value.
        candidates.get(chosen.unwrap_or(kept - 1)).map(|c| c.id)
    }
}

/// Orders by decreasing likelihood; among equals by id.
fn by_rank(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

fn likeliest(candidates: &[Candidate]) -> Option<usize> {
    candidates.iter().min_by(|a, b| by_rank(a, b)).map(|c| c.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const DRAWN: Sampling = Sampling {
        temperature: 1.0,
        ..Sampling::GREEDY
    };

    fn draws(sampling: Sampling, logits: &[f32], number: usize) -> Vec<i64> {
        let mut sampler = TokenSampler::new(sampling).unwrap();
        (0..number).map(|_| sampler.pick(logits, &[]).unwrap()).collect()
    }

    #[test]
    fn greedy_takes_the_likeliest_and_among_equals_the_first() {
        assert_eq!(draws(Sampling::GREEDY, &[0.5, 2.0, -1.0, 2.0], 3), [1, 1, 1]);
        assert_eq!(draws(Sampling::GREEDY, &[f32::NEG_INFINITY, -7.0], 1), [1]);
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0, 1.0, 2.0];
        for temperature in [0.5, 1.0, 2.0] {
            let sampling = Sampling { temperature, ..DRAWN };
            let drawn = draws(sampling, &logits, 20_000);
            let whole: f64 = logits.iter().map(|l| (f64::from(*l) / temperature).exp()).sum();
            for (id, logit) in logits.iter().enumerate() {
                let share = drawn.iter().filter(|d| **d == id as i64).count() as f64 / 20_000.0;
                let expected = (f64::from(*logit) / temperature).exp() / whole;
                assert!(
                    (share - expected).abs() < 0.02,
                    "{share} for {expected} at {temperature}"
                );
            }
        }
    }

    #[test]
    fn top_k_draws_no_other_and_keeps_ties() {
        let logits = [1.0, 3.0, 2.0, 2.0, 0.0];
        let of = |k| -> BTreeSet<i64> {
            let sampling = Sampling {
                top_k: Some(k),
                ..DRAWN
            };
            draws(sampling, &logits, 2000).into_iter().collect()
        };
        assert_eq!(of(1), [1].into());
        assert_eq!(of(2), [1, 2, 3].into());
        assert_eq!(of(4), [0, 1, 2, 3].into());
        assert_eq!(of(99), [0, 1, 2, 3, 4].into());
    }

    #[test]
    fn top_p_keeps_the_fewest_that_reach_it() {
        // Probabilities 0.5, 0.3, 0.15 and 0.05.
        let logits = [0.5f32, 0.3, 0.15, 0.05].map(f32::ln);
        let of = |top_p| -> BTreeSet<i64> {
            let sampling = Sampling { top_p, ..DRAWN };
            draws(sampling, &logits, 2000).into_iter().collect()
        };
        assert_eq!(of(0.01), [0].into());
        assert_eq!(of(0.6), [0, 1].into());
        assert_eq!(of(0.9), [0, 1, 2].into());
        assert_eq!(of(1.0), [0, 1, 2, 3].into());
    }

    #[test]
    fn what_has_occurred_becomes_less_likely() {
        let sampling = Sampling {
            repetition_penalty: 2.0,
            ..Sampling::GREEDY
        };
        let mut sampler = TokenSampler::new(sampling).unwrap();
        assert_eq!(sampler.pick(&[1.5, 2.0, -3.0], &[]).unwrap(), 1);
        assert_eq!(sampler.pick(&[1.5, 2.0, -3.0], &[1, 1]).unwrap(), 0);
        assert_eq!(sampler.pick(&[-3.0, -2.0], &[1]).unwrap(), 0);
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let error = |change: fn(&mut Sampling)| {
            let mut sampling = DRAWN;
            change(&mut sampling);
            TokenSampler::new(sampling).unwrap_err().to_string()
        };
        assert!(error(|s| s.temperature = -1.0).contains("temperature: expected 0 or a positive number, found -1"));
        assert!(error(|s| s.temperature = f64::NAN).contains("temperature"));
        assert!(error(|s| s.top_p = 0.0).contains("top-p: expected more than 0"));
        assert!(error(|s| s.top_p = 1.5).contains("top-p"));
        assert!(error(|s| s.top_k = Some(0)).contains("top-k"));
        assert!(error(|s| s.repetition_penalty = 0.0).contains("repetition penalty"));
        for logits in [&[0.0, f32::NAN][..], &[f32::NEG_INFINITY; 2], &[]] {
            assert!(
                TokenSampler::new(DRAWN).unwrap().pick(logits, &[]).is_err(),
                "{logits:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_seed_draws_the_same_again_and_only_what_is_allowed(
            logits in prop::collection::vec(-8.0..8.0f32, 1..60),
            seed: u64, temperature in 0.1..3.0, k in 1..70usize, top_p in 0.05..1.0,
        ) {
            let sampling = Sampling { temperature, top_k: Some(k), top_p, seed, ..DRAWN };
            let drawn = draws(sampling, &logits, 40);
            prop_assert_eq!(&drawn, &draws(sampling, &logits, 40));
            for id in drawn {
                let own = logits[id as usize];
                let above: Vec<f32> = logits.iter().copied().filter(|l| *l > own).collect();
                prop_assert!(above.len() < k, "rank {} of {}", above.len(), k);
                let mass = |l: &f32| (f64::from(*l) / temperature).exp();
                let mut ranked = logits.clone();
                ranked.sort_by(|a, b| b.total_cmp(a));
                let whole: f64 = ranked.iter().take(k).map(mass).sum();
                let share = above.iter().map(mass).sum::<f64>() / whole;
                prop_assert!(share < top_p + 1e-9, "{} of {}", share, top_p);
            }
        }
    }
}
