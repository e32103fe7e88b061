//! Best constant action chunk, a baseline that a policy has to beat.

/// Collects values by their position.
#[derive(Debug, Clone)]
pub struct ConstantBaseline {
    seen: Vec<Vec<f32>>,
}

impl ConstantBaseline {
    /// Creates an empty collection for rows of this many values.
    pub fn new(values: usize) -> Self {
        Self {
            seen: vec![Vec::new(); values],
        }
    }

    /// Adds a row: values, and whether each counts.
    pub fn add(&mut self, row: impl IntoIterator<Item = (f32, bool)>) {
        for (seen, (value, counts)) in self.seen.iter_mut().zip(row) {
            if counts {
                seen.push(value);
            }
        }
    }

    /// Returns the median of each position, the constant with the smallest mean absolute error; the lower of two middle
    /// values, and 0 where nothing counted.
    pub fn take(self) -> Vec<f32> {
        let median = |mut values: Vec<f32>| {
            let middle = values.len().saturating_sub(1) / 2;
            if values.is_empty() {
                return 0.0;
            }
            *values.select_nth_unstable_by(middle, f32::total_cmp).1
        };
        self.seen.into_iter().map(median).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_moves_no_median() {
        let mut baseline = ConstantBaseline::new(3);
        for value in [5.0, 1.0, 3.0, 2.0] {
            baseline.add([(value, true), (value, value > 2.0), (value, false)]);
        }
        assert_eq!(baseline.take(), [2.0, 3.0, 0.0]);
    }
}
