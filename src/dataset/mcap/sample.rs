//! Picks the message that holds at a row: the latest one not after it, if that is not too old.

use super::streams::Chunk;

/// Rows at a constant rate over the time that all streams cover.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ticks {
    /// Time of the first row (ns).
    pub start: u64,
    /// Rows per second (Hz).
    pub fps: f64,
    /// Number of rows.
    pub count: usize,
}

impl Ticks {
    /// Rows over the time that is in all `spans`, first and last time of each stream (ns); `None` if there is no such
    /// time.
    pub fn within(spans: &[(u64, u64)], fps: f64) -> Option<Self> {
        let start = spans.iter().map(|(first, _)| *first).max()?;
        let end = spans.iter().map(|(_, last)| *last).min()?;
        let length = end.checked_sub(start)? as f64 * 1e-9;
        // Rounding by a nanosecond must not cost a row.
        let count = (length * fps + 1e-6).floor() as usize + 1;
        Some(Self { start, fps, count })
    }

    /// Time of row `tick` (ns).
    pub fn time(&self, tick: usize) -> u64 {
        self.start + (tick as f64 / self.fps * 1e9).round() as u64
    }
}

/// Error when no message is recent enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stale {
    /// Age of the latest message (s); `None` if there is no message yet.
    pub age_s: Option<f64>,
}

/// Returns the index of the stamp that holds at `time` (ns); `stamps` must ascend.
pub(super) fn held(stamps: &[u64], time: u64, max_age_s: f64) -> Result<usize, Stale> {
    let after = stamps.partition_point(|stamp| *stamp <= time.saturating_add(1));
    let found = after
        .checked_sub(1)
        .and_then(|place| Some((place, *stamps.get(place)?)));
    let (place, stamp) = found.ok_or(Stale { age_s: None })?;
    let age_s = time.saturating_sub(stamp) as f64 * 1e-9;
    if age_s <= max_age_s {
        Ok(place)
    } else {
        Err(Stale { age_s: Some(age_s) })
    }
}

/// Returns the step for `time` (ns) of the chunk that holds then; `stamps` are those of the chunks.
pub(super) fn step<'a>(chunks: &'a [Chunk], stamps: &[u64], time: u64, max_age_s: f64) -> Result<&'a [f64], Stale> {
    let place = held(stamps, time, f64::INFINITY)?;
    let (Some(chunk), Some(stamp)) = (chunks.get(place), stamps.get(place)) else {
        return Err(Stale { age_s: None });
    };
    let since_s = time.saturating_sub(*stamp) as f64 * 1e-9;
    let last = chunk.steps.len().saturating_sub(1);
    let (step, age_s) = if chunk.step_period > 0.0 {
        let step = (since_s / chunk.step_period + 1e-6).floor() as usize;
        // After its last step a chunk ages like any message.
        (step, since_s - (last + 1) as f64 * chunk.step_period)
    } else {
        (0, since_s)
    };
    match chunk.steps.get(step.min(last)) {
        Some(values) if age_s <= max_age_s => Ok(values),
        _ => Err(Stale { age_s: Some(age_s) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn rows_cover_the_time_that_all_streams_have() {
        let ticks = Ticks::within(&[(10 * S, 20 * S), (11 * S, 12 * S)], 10.0).unwrap();
        assert_eq!((ticks.start, ticks.count), (11 * S, 11));
        assert_eq!(ticks.time(10), 12 * S);
        assert!(Ticks::within(&[(0, S), (2 * S, 3 * S)], 10.0).is_none());
        assert!(Ticks::within(&[], 10.0).is_none());
    }

    #[test]
    fn the_latest_message_holds_until_it_is_too_old() {
        let stamps = [S, 2 * S, 5 * S];
        assert_eq!(held(&stamps, 2 * S + 1, 1.0), Ok(1));
        assert_eq!(held(&stamps, 3 * S, 1.0), Ok(1));
        assert_eq!(held(&stamps, 4 * S, 1.0), Err(Stale { age_s: Some(2.0) }));
        assert_eq!(held(&stamps, S / 2, 1.0), Err(Stale { age_s: None }));
    }

    #[test]
    fn a_chunk_gives_the_step_of_the_time() {
        let chunk = Chunk {
            steps: vec![vec![0.0], vec![1.0], vec![2.0]],
            step_period: 0.1,
        };
        let at = |time| step(std::slice::from_ref(&chunk), &[S], time, 0.05);
        assert_eq!(at(S), Ok(&[0.0][..]));
        assert_eq!(at(S + S / 10), Ok(&[1.0][..]));
        assert_eq!(at(S + S / 4), Ok(&[2.0][..]));
        assert!(at(S + S / 2).is_err());
    }
}
