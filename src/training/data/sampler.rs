//! Chooses the row of each sample from seed, epoch and index alone, so that a resumed run continues with the same
//! samples.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::dataset::At;

/// Returns the random generator for one purpose, epoch and index, independent of other draws.
pub fn randomness(seed: u64, purpose: &str, [epoch, index]: [u64; 2]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    for number in [seed, epoch, index] {
        hash.update(number.to_le_bytes());
    }
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// Episodes of a dataset that may be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnEpisodes {
    /// Sampling weight, relative to the other datasets.
    pub weight: f64,
    /// Index and length of each episode.
    pub episodes: Vec<(usize, usize)>,
}

/// Row of a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowPlace {
    /// Index of the dataset.
    pub dataset: usize,
    /// Row in the dataset.
    pub at: At,
}

/// Draws rows with replacement: a dataset by weight, then an episode and a row of it uniformly.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureSampler {
    datasets: Vec<DrawnEpisodes>,
    total: f64,
    /// Number of rows of all datasets, which make an epoch.
    rows: u64,
    seed: u64,
    purpose: &'static str,
}

impl MixtureSampler {
    /// Creates a sampler of datasets in order; those without episodes are never drawn. Another purpose gives other
    /// rows.
    pub fn new(datasets: Vec<DrawnEpisodes>, seed: u64, purpose: &'static str) -> Self {
        let lengths = datasets
            .iter()
            .flat_map(|one| &one.episodes)
            .map(|(_, length)| *length as u64);
        Self {
            rows: lengths.sum(),
            total: datasets
                .iter()
                .filter(|one| !one.episodes.is_empty())
                .map(|one| one.weight)
                .sum(),
            datasets,
            seed,
            purpose,
        }
    }

    /// Returns the number of rows of all datasets.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the rows of batch `number`, with `size` samples per batch.
    pub fn batch(&self, number: u64, size: u64) -> impl Iterator<Item = RowPlace> + '_ {
        (number * size..(number + 1) * size).filter_map(|index| self.place(index))
    }

    /// Returns the row of sample `index`, counted over all epochs; `None` if there are no rows.
    pub fn place(&self, index: u64) -> Option<RowPlace> {
        if self.rows == 0 {
            return None;
        }
        let mut random = randomness(self.seed, self.purpose, [index / self.rows, index % self.rows]);
        let mut left = random.random::<f64>() * self.total;
        let filled = self
            .datasets
            .iter()
            .enumerate()
            .filter(|(_, one)| !one.episodes.is_empty());
        let mut chosen = None;
        for (number, one) in filled {
            chosen = Some((number, one));
            left -= one.weight;
            if left < 0.0 {
                break;
            }
        }
        let (dataset, one) = chosen?;
        let (episode, length) = *one.episodes.get(random.random_range(0..one.episodes.len()))?;
        let frame = random.random_range(0..length);
        Some(RowPlace {
            dataset,
            at: At { episode, frame },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(seed: u64) -> MixtureSampler {
        let drawn = |weight, episodes: &[(usize, usize)]| DrawnEpisodes {
            weight,
            episodes: episodes.to_vec(),
        };
        let datasets = vec![drawn(1.0, &[(0, 10), (1, 90)]), drawn(5.0, &[]), drawn(3.0, &[(4, 50)])];
        MixtureSampler::new(datasets, seed, "rows")
    }

    #[test]
    fn rows_follow_from_the_seed() {
        let rows = |seed| (0..400).map(|i| sampler(seed).place(i)).collect::<Vec<_>>();
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
        let (first, second) = (&rows(1)[..150], &rows(1)[150..300]);
        assert_ne!(first, second, "the second epoch is the first again");
    }

    #[test]
    fn datasets_are_drawn_by_weight_and_episodes_evenly_whatever_their_length() {
        let mut counts = [0; 3];
        for place in (0..8000).map(|i| sampler(3).place(i).unwrap()) {
            match (place.dataset, place.at.episode) {
                (0, 0) if place.at.frame < 10 => counts[0] += 1,
                (0, 1) if place.at.frame < 90 => counts[1] += 1,
                (2, 4) if place.at.frame < 50 => counts[2] += 1,
                _ => panic!("{place:?}"),
            }
        }
        // 1/8, 1/8 and 3/4 of 8000; five standard deviations are about 150 and 195.
        for (count, expected) in counts.into_iter().zip([1000_i32, 1000, 6000]) {
            assert!((count - expected).abs() < 200, "{counts:?}");
        }
    }
}
