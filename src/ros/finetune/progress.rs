//! Progress of a run, read from its metrics file while training writes it.

use std::collections::VecDeque;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::files;

/// Number of steps over which the step time is averaged.
const WINDOW: usize = 20;

/// One line of a run's metrics file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Line {
    /// Steps taken.
    pub step: u64,
    /// Weighted sum of the losses.
    pub total: f64,
    /// L1 loss of normalised actions.
    pub action: f64,
    /// Loss of the alignment with the geometry teacher.
    #[serde(default)]
    pub geometry: Option<f64>,
    /// Loss of the distillation of the reasoning anchor.
    #[serde(default)]
    pub reasoning: Option<f64>,
    /// Cross-entropy of answers to questions.
    #[serde(default)]
    pub text: Option<f64>,
    /// Duration of the step (s).
    pub seconds: f64,
    /// Action error on held-out episodes.
    #[serde(default)]
    pub held_out: Option<f64>,
    /// The same with the images of other samples.
    #[serde(default)]
    pub held_out_shuffled: Option<f64>,
    /// The same of the best constant chunk.
    #[serde(default)]
    pub held_out_constant: Option<f64>,
}

/// Progress of a run.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Metrics of the last step.
    pub last: Option<Line>,
    /// Metrics of the last step after which held-out episodes were evaluated.
    pub measured: Option<Line>,
    recent_s: VecDeque<f64>,
}

impl Progress {
    fn take(&mut self, line: Line) {
        if self.recent_s.len() == WINDOW {
            self.recent_s.pop_front();
        }
        self.recent_s.push_back(line.seconds);
        if line.held_out.is_some() {
            self.measured = Some(line.clone());
        }
        self.last = Some(line);
    }

    /// Number of steps taken.
    pub fn step(&self) -> u64 {
        self.last.as_ref().map_or(0, |line| line.step)
    }

    /// Durations of the last steps, oldest first (s).
    pub fn recent_s(&self) -> impl Iterator<Item = f64> + '_ {
        self.recent_s.iter().copied()
    }

    /// Mean duration of the last steps (s); `None` before the first.
    pub fn step_s(&self) -> Option<f64> {
        let count = self.recent_s.len();
        (count > 0).then(|| self.recent_s.iter().sum::<f64>() / count as f64)
    }

    /// Held-out error, the same with the images of other samples, and that of the best constant chunk; NaN where not
    /// measured.
    pub fn held_out(&self) -> [f64; 3] {
        let of = |pick: fn(&Line) -> Option<f64>| self.measured.as_ref().and_then(pick).unwrap_or(f64::NAN);
        [
            of(|line| line.held_out),
            of(|line| line.held_out_shuffled),
            of(|line| line.held_out_constant),
        ]
    }
}

/// Incremental reader of a metrics file.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    at: u64,
    /// Beginning of a line that is not complete yet.
    rest: String,
}

impl Reader {
    /// Creates a reader at the beginning of the file, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            at: 0,
            rest: String::new(),
        }
    }

    /// Reads new lines into `progress`. Starts over when the file has become shorter, because a resumed run removes lines.
    pub fn read(&mut self, progress: &mut Progress) {
        let Ok(mut file) = files::open(&self.path) else { return };
        let length = file.metadata().map_or(0, |data| data.len());
        if length < self.at {
            (self.at, self.rest) = (0, String::new());
            *progress = Progress::default();
        }
        let mut text = Vec::new();
        if file.seek(SeekFrom::Start(self.at)).is_err() || file.read_to_end(&mut text).is_err() {
            return;
        }
        self.at += text.len() as u64;
        self.rest.push_str(&String::from_utf8_lossy(&text));
        while let Some((line, rest)) = self.rest.split_once('\n') {
            if let Ok(line) = serde_json::from_str(line) {
                progress.take(line);
            }
            self.rest = rest.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_are_taken_whole_and_a_shorter_file_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (mut reader, mut progress) = (Reader::new(&path), Progress::default());
        reader.read(&mut progress);
        assert_eq!(progress.step(), 0);
        let mut file = std::fs::File::create(&path).unwrap();
        let line =
            |step: u64| format!("{{\"step\":{step},\"total\":1,\"action\":1,\"seconds\":{step},\"held_out\":0.5}}\n");
        let two = line(1) + &line(2);
        file.write_all(&two.as_bytes()[..two.len() - 5]).unwrap();
        reader.read(&mut progress);
        assert_eq!((progress.step(), progress.step_s()), (1, Some(1.0)));
        file.write_all(&two.as_bytes()[two.len() - 5..]).unwrap();
        reader.read(&mut progress);
        assert_eq!((progress.step(), progress.step_s()), (2, Some(1.5)));
        assert_eq!(progress.held_out()[0], 0.5);
        std::fs::write(&path, line(1)).unwrap();
        reader.read(&mut progress);
        assert_eq!((progress.step(), progress.step_s()), (1, Some(1.0)));
    }
}
