//! Statistics of a dataset's values, per episode and over all episodes, as LeRobot stores them.

use serde_json::{Map, Value, json};

/// Names and fractions of the quantiles that are kept.
const QUANTILES: [(&str, f64); 5] = [("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)];

/// Minimum and maximum number of images that are sampled from an episode.
const SAMPLES: (f64, f64) = (100.0, 10_000.0);
/// Approximate width to which images are subsampled (px).
const SAMPLED_SIDE: u32 = 150;

/// Statistics of one feature, with a number for each of its values (for each colour channel of images, 0 to 1). The numbers
/// of a value that is finite in no row are NaN.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statistics {
    /// Minimum.
    pub min: Vec<f64>,
    /// Maximum.
    pub max: Vec<f64>,
    /// Mean.
    pub mean: Vec<f64>,
    /// Standard deviation of the population.
    pub std: Vec<f64>,
    /// Quantiles of 1, 10, 50, 90 and 99 %.
    pub quantiles: [Vec<f64>; 5],
    /// Number of rows, or of sampled images.
    pub count: usize,
    /// Number of rows in which each value is finite, its weight in merges. Files have only the count.
    pub finite: Vec<usize>,
    /// Whether they are of images.
    pub of_pictures: bool,
}

impl Statistics {
    /// Computes exact statistics of rows of `dim` values. Values that are not finite are ignored.
    ///
    /// # Shapes
    /// values: (rows, dim)
    pub fn of_rows<V: Copy + Into<f64>>(values: &[V], dim: usize) -> Self {
        let count = values.len() / dim.max(1);
        let mut all = Self {
            count,
            ..Self::default()
        };
        for at in 0..dim {
            let column = values.iter().skip(at).step_by(dim).map(|v| Into::<f64>::into(*v));
            let mut column: Vec<f64> = column.filter(|v| v.is_finite()).collect();
            column.sort_by(f64::total_cmp);
            let n = column.len() as f64;
            let mean = column.iter().sum::<f64>() / n;
            let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            all.finite.push(column.len());
            all.min.push(column.first().copied().unwrap_or(f64::NAN));
            all.max.push(column.last().copied().unwrap_or(f64::NAN));
            all.mean.push(mean);
            all.std.push(variance.sqrt());
            for (quantiles, (_, q)) in all.quantiles.iter_mut().zip(QUANTILES) {
                quantiles.push(quantile(&column, q));
            }
        }
        all
    }

    /// Returns whether all statistics exist and are finite for each of `dim` values.
    pub fn is_whole(&self, dim: usize) -> bool {
        let lists = [&self.min, &self.max, &self.mean, &self.std]
            .into_iter()
            .chain(&self.quantiles);
        lists
            .into_iter()
            .all(|list| list.len() == dim && list.iter().all(|value| value.is_finite()))
    }

    /// Drops the values after the first `count`, which are channels of images.
    pub fn keep_channels(&mut self, count: usize) {
        let moments = [&mut self.min, &mut self.max, &mut self.mean, &mut self.std];
        for list in moments.into_iter().chain(&mut self.quantiles) {
            list.truncate(count);
        }
        self.finite.truncate(count);
    }

    /// Returns the statistics that are known with their names, without the count.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        let moments = [
            ("min", &self.min),
            ("max", &self.max),
            ("mean", &self.mean),
            ("std", &self.std),
        ];
        let quantiles = QUANTILES
            .iter()
            .zip(&self.quantiles)
            .map(|((name, _), values)| (*name, values));
        moments
            .into_iter()
            .chain(quantiles)
            .map(|(name, values)| (name, values.as_slice()))
            .filter(|(_, values)| !values.is_empty())
    }

    /// Merges two statistics. Quantiles are weighted means, as in LeRobot: exact ones would need the values.
    pub fn merged(&self, other: &Self) -> Self {
        if self.count == 0 {
            return other.clone();
        }
        let join = |x: &[f64], y: &[f64], both: &dyn Fn([f64; 2], [f64; 2]) -> f64| -> Vec<f64> {
            let weights = self.finite.iter().copied().zip(other.finite.iter().copied());
            let numbers = x.iter().copied().zip(y.iter().copied());
            numbers
                .zip(weights)
                .map(|((x, y), weights)| match weights {
                    (_, 0) => x,
                    (0, _) => y,
                    (a, b) => both([x, y], [a as f64, b as f64]),
                })
                .collect()
        };
        let weighted = |[x, y]: [f64; 2], [a, b]: [f64; 2]| (a * x + b * y) / (a + b);
        let mean = join(&self.mean, &other.mean, &weighted);
        let variance = |s: &Self| -> Vec<f64> {
            let about_mean = s.std.iter().zip(&s.mean).zip(&mean);
            about_mean
                .map(|((std, own), mean)| std * std + (own - mean).powi(2))
                .collect()
        };
        let variance = join(&variance(self), &variance(other), &weighted);
        let finite = self.finite.iter().zip(&other.finite);
        Self {
            min: join(&self.min, &other.min, &|[x, y], _| x.min(y)),
            max: join(&self.max, &other.max, &|[x, y], _| x.max(y)),
            mean,
            std: variance.into_iter().map(f64::sqrt).collect(),
            quantiles: std::array::from_fn(|i| {
                let of = |s: &Self| s.quantiles.get(i).cloned().unwrap_or_default();
                join(&of(self), &of(other), &weighted)
            }),
            count: self.count.saturating_add(other.count),
            finite: finite.map(|(a, b)| a.saturating_add(*b)).collect(),
            of_pictures: self.of_pictures,
        }
    }

    /// Returns the statistics as in `meta/stats.json`, with 0 for NaN: JSON has none, and LeRobot cannot read null.
    pub fn to_json(&self) -> Value {
        let shaped = |values: &[f64]| -> Value {
            let values = values.iter().map(|v| if v.is_finite() { *v } else { 0.0 });
            match self.of_pictures {
                true => values.map(|v| json!([[v]])).collect(),
                false => values.collect(),
            }
        };
        let mut all: Map<_, _> = self
            .named()
            .map(|(name, values)| (name.to_owned(), shaped(values)))
            .collect();
        all.insert("count".into(), json!([self.count]));
        Value::Object(all)
    }

    /// Reads the statistics of [`Statistics::to_json`] or of another program; `None` if they are incomplete.
    pub fn from_json(value: &Value) -> Option<Self> {
        /// Collects the numbers of lists nested at any depth.
        fn flat(value: &Value, out: &mut Vec<f64>) {
            match value {
                Value::Array(inner) => inner.iter().for_each(|v| flat(v, out)),
                other => out.push(other.as_f64().unwrap_or(f64::NAN)),
            }
        }
        let list = |name: &str| {
            let mut numbers = Vec::new();
            flat(value.get(name)?, &mut numbers);
            Some(numbers)
        };
        Self::of_lists(list, value.get("min")?.get(0)?.is_array())
    }

    /// Creates statistics from lists by name, with the count among them. Quantiles may be missing, as in older
    /// datasets.
    pub fn of_lists(list: impl Fn(&str) -> Option<Vec<f64>>, of_pictures: bool) -> Option<Self> {
        let (min, mean) = (list("min")?, list("mean")?);
        let count = *list("count")?.first()? as usize;
        let finite = min.iter().zip(&mean).map(|(min, mean)| match (min + mean).is_finite() {
            true => count,
            false => 0,
        });
        Some(Self {
            finite: finite.collect(),
            min,
            max: list("max")?,
            mean,
            std: list("std")?,
            quantiles: QUANTILES.map(|(name, _)| list(name).unwrap_or_default()),
            count,
            of_pictures,
        })
    }
}

/// Quantile `q` (0 to 1) of sorted values, interpolated linearly; NaN without values.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * sorted.len().saturating_sub(1) as f64;
    let at = |i: f64| sorted.get(i as usize).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(place.floor()), at(place.ceil()));
    low + (high - low) * place.fract()
}

/// Returns which of `frames` images are sampled: as many as in LeRobot, evenly spread.
pub fn sampled(frames: usize) -> impl Fn(usize) -> bool {
    let wanted = (frames as f64).powf(0.75).clamp(SAMPLES.0, SAMPLES.1) as usize;
    move |frame| frames <= wanted || (frame * wanted / frames) != ((frame + 1) * wanted / frames)
}

/// Histogram of the colours of images; 8 bits have few enough values for exact statistics.
#[derive(Debug, Clone)]
pub struct Colours {
    counts: [[u64; 256]; 3],
    pictures: usize,
}

impl Default for Colours {
    fn default() -> Self {
        Self {
            counts: [[0; 256]; 3],
            pictures: 0,
        }
    }
}

impl Colours {
    /// Counts the pixels of an image of rows of RGB bytes, subsampled.
    pub fn add(&mut self, rgb: &[u8], width: u32) {
        let step = (width / SAMPLED_SIDE).max(1) as usize;
        let rows = rgb.chunks_exact(width.max(1) as usize * 3).step_by(step);
        for pixel in rows.flat_map(|row| row.as_chunks::<3>().0.iter().step_by(step)) {
            for (counts, value) in self.counts.iter_mut().zip(pixel) {
                if let Some(count) = counts.get_mut(usize::from(*value)) {
                    *count += 1;
                }
            }
        }
        self.pictures += 1;
    }

    /// Returns the statistics of the first `channels` colours, from 0 to 1; grey images have one.
    pub fn statistics(&self, channels: usize) -> Statistics {
        let mut all = Statistics {
            count: self.pictures,
            of_pictures: true,
            ..Statistics::default()
        };
        for counts in self.counts.iter().take(channels) {
            let total: u64 = counts.iter().sum();
            let valued = || {
                counts
                    .iter()
                    .zip(0..)
                    .map(|(count, value)| (*count, f64::from(value) / 255.0))
            };
            all.finite.push(self.pictures);
            let n = total.max(1) as f64;
            let mean = valued().map(|(count, value)| count as f64 * value).sum::<f64>() / n;
            let variance = valued()
                .map(|(count, value)| count as f64 * (value - mean).powi(2))
                .sum::<f64>()
                / n;
            let mut present = valued().filter(|(count, _)| *count > 0).map(|(_, value)| value);
            let min = present.next().unwrap_or_default();
            all.min.push(min);
            all.max.push(present.last().unwrap_or(min));
            all.mean.push(mean);
            all.std.push(variance.sqrt());
            for (quantiles, (_, q)) in all.quantiles.iter_mut().zip(QUANTILES) {
                let wanted = (q * n).ceil().max(1.0) as u64;
                let mut seen = 0;
                let reached = valued().find(|(count, _)| {
                    seen += count;
                    seen >= wanted
                });
                quantiles.push(reached.map_or(0.0, |(_, value)| value));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn statistics_of_parts_are_those_of_the_whole(
            values in prop::collection::vec(-100.0_f32..100.0, 2..200), cut in 0.0..1.0,
        ) {
            let rows = values.len() / 2;
            let at = ((cut * rows as f64) as usize).min(rows) * 2;
            let (first, second) = values[..rows * 2].split_at(at);
            let whole = Statistics::of_rows(&values[..rows * 2], 2);
            let merged = Statistics::of_rows(first, 2).merged(&Statistics::of_rows(second, 2));
            prop_assume!(!second.is_empty());
            prop_assert_eq!(merged.count, whole.count);
            for (a, b) in [(&merged.min, &whole.min), (&merged.max, &whole.max)] {
                prop_assert_eq!(a, b);
            }
            for (a, b) in merged.mean.iter().chain(&merged.std).zip(whole.mean.iter().chain(&whole.std)) {
                assert_relative_eq!(a, b, epsilon = 1e-6);
            }
        }
    }

    #[test]
    fn quantiles_of_evenly_spread_values_are_where_they_should_be() {
        let values: Vec<f32> = (0..=1000).map(|v| v as f32).collect();
        let statistics = Statistics::of_rows(&values, 1);
        let found: Vec<f64> = statistics.quantiles.iter().map(|q| q[0]).collect();
        assert_eq!(found, [10.0, 100.0, 500.0, 900.0, 990.0]);
    }

    #[test]
    fn values_that_are_not_finite_are_passed_over() {
        let rows = [1.0, f32::NAN, 3.0, 2.0, f32::INFINITY, 4.0];
        let statistics = Statistics::of_rows(&rows, 2);
        assert_eq!((statistics.count, statistics.is_whole(2)), (3, true));
        assert_eq!(statistics.min, [1.0, 2.0]);
        assert_eq!(statistics.max, [3.0, 4.0]);
        assert_eq!(statistics.mean, [2.0, 3.0]);
        assert_eq!(statistics.std, [1.0, 1.0]);
    }

    #[test]
    fn parts_without_finite_values_have_no_weight_in_merges() {
        let none = Statistics::of_rows(&[f32::NAN, 1.0, f32::INFINITY, 1.0], 2);
        let (first, last) = (Statistics::of_rows(&[5.0, 1.0], 2), Statistics::of_rows(&[7.0, 1.0], 2));
        assert!(none.mean[0].is_nan() && !none.is_whole(2));
        for parts in [[&none, &first, &last], [&first, &none, &last], [&first, &last, &none]] {
            let [one, two, three] = parts;
            let all = one.merged(two).merged(three);
            assert_eq!((all.count, all.is_whole(2)), (4, true));
            let first_value = [&all.min, &all.max, &all.mean, &all.std].map(|of| of[0]);
            assert_eq!(first_value, [5.0, 7.0, 6.0, 1.0]);
            assert_eq!(all.mean[1], 1.0);
            assert!(all.quantiles.iter().all(|of| of[0] == 6.0), "{all:?}");
        }
        let never = none.merged(&none);
        assert!(never.std[0].is_nan(), "{never:?}");
        assert_eq!(never.to_json()["std"], json!([0.0, 0.0]));
    }

    #[test]
    fn as_many_pictures_are_looked_at_as_lerobot_takes() {
        let number = |frames: usize| (0..frames).filter(|i| sampled(frames)(*i)).count();
        assert_eq!(
            [number(50), number(100), number(2000), number(18_000)],
            [50, 100, 299, 1554]
        );
    }

    #[test]
    fn colours_are_counted_for_each_channel() {
        let mut colours = Colours::default();
        let picture: Vec<u8> = (0..100).flat_map(|i| [0, 255, if i < 50 { 0 } else { 51 }]).collect();
        colours.add(&picture, 10);
        let statistics = colours.statistics(3);
        assert_eq!(statistics.mean, [0.0, 1.0, 0.1]);
        assert_eq!(statistics.max, [0.0, 1.0, 0.2]);
        assert_eq!(Statistics::from_json(&statistics.to_json()), Some(statistics));
    }
}
