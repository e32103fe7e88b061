//! What is known of a run: the newest lines of its metrics, read as they are written.

use std::collections::VecDeque;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::files;

/// Steps over which pace is told.
const WINDOW: usize = 20;

/// One line of a run's metrics.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Line {
    /// Steps taken.
    pub step: u64,
    /// Weighted sum of the losses.
    pub total: f64,
    /// L1 of normalised actions.
    pub action: f64,
    /// Alignment with the geometry teacher.
    #[serde(default)]
    pub geometry: Option<f64>,
    /// Distillation of the anchor.
    #[serde(default)]
    pub reasoning: Option<f64>,
    /// Questions and answers.
    #[serde(default)]
    pub text: Option<f64>,
    /// Duration (s).
    pub seconds: f64,
    /// Held-out action error.
    #[serde(default)]
    pub held_out: Option<f64>,
    /// With other samples' pictures.
    #[serde(default)]
    pub held_out_shuffled: Option<f64>,
    /// Of the best constant chunk.
    #[serde(default)]
    pub held_out_constant: Option<f64>,
}

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The last step.
    pub last: Option<Line>,
    /// The last one after which held-out episodes were measured.
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

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.last.as_ref().map_or(0, |line| line.step)
    }

    /// Times of the last steps, the oldest first (s).
    pub fn recent_s(&self) -> impl Iterator<Item = f64> + '_ {
        self.recent_s.iter().copied()
    }

    /// Mean time of the last steps (s).
    pub fn step_s(&self) -> Option<f64> {
        let count = self.recent_s.len();
        (count > 0).then(|| self.recent_s.iter().sum::<f64>() / count as f64)
    }

    /// Held-out error, with others' pictures, and of the best constant; NaN where not measured.
    pub fn held_out(&self) -> [f64; 3] {
        let of = |pick: fn(&Line) -> Option<f64>| self.measured.as_ref().and_then(pick).unwrap_or(f64::NAN);
        [
            of(|line| line.held_out),
            of(|line| line.held_out_shuffled),
            of(|line| line.held_out_constant),
        ]
    }
}

/// Reads a file of metrics to its end, again and again.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    at: u64,
    /// What came of a line whose end has not been written.
    rest: String,
}

impl Reader {
    /// From the beginning of the file, which may not be there yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            at: 0,
            rest: String::new(),
        }
    }

    /// Takes what is new. A file that has become shorter is read anew: a resumed run takes lines away.
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
