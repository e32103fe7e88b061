//! Distributions that are drawn from seeded randomness.

use rand::Rng;

/// A sample of the normal distribution of mean 0 and standard deviation 1, by Box and Muller.
pub fn normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}
