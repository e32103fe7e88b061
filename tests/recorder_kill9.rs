//! Tests of recorders that are killed: no saved episode and at most a second of the open one is lost, and LeRobot reads the
//! rest.
//!
//! THINKVLA_KILLS is the number of recorders to kill; 200 take some minutes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sample_dataset::{FPS, lerobot};
use serde_json::Map;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::reader::{At, Dataset};
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::verify::{Depth, verify};
use thinkvla::dataset::writer::DatasetWriter;

const ROOT: &str = "THINKVLA_RECORDED_UNTIL_KILLED";
const TASKS: [&str; 2] = ["lift the can", "push the box"];
const LENGTH: usize = 20;

/// Last output of the killed recorder.
#[derive(Debug, Default)]
struct RecorderOutput {
    saved: usize,
    frames: usize,
}

impl RecorderOutput {
    fn parse_line(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("frame", frames)) => self.frames = frames.parse().unwrap_or(self.frames),
            Some(("saved", saved)) => {
                self.saved = saved.parse().unwrap_or(self.saved);
                self.frames = 0;
            }
            _ => (),
        }
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this file"]
fn records_until_killed() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let mut writer = sample_dataset::create(Arc::new(Disk), Path::new(&root), ImageMode::Png);
    let mut out = std::io::stdout();
    for episode in 0.. {
        writer.begin(TASKS[episode % 2]).unwrap();
        for frame in 0..LENGTH {
            let taken = sample_dataset::frame(&writer, ImageMode::Png, episode % 3, frame);
            writer.push(&taken).unwrap();
            writeln!(out, "frame {}", frame + 1).unwrap();
            out.flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        writer.save(&Map::new()).unwrap();
        writeln!(out, "saved {}", episode + 1).unwrap();
        out.flush().unwrap();
    }
}

/// Kills a recorder `after` its start, or after its first frame with `from_first_frame`, because on a busy machine the
/// start alone may take longer.
fn record_and_kill(root: &Path, after: Duration, from_first_frame: bool) -> RecorderOutput {
    let mut recorder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "records_until_killed", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(recorder.stdout.take().unwrap()).lines();
    let mut output = RecorderOutput::default();
    while from_first_frame && output.frames == 0 {
        output.parse_line(&lines.next().unwrap().unwrap());
    }
    std::thread::sleep(after);
    recorder.kill().unwrap();
    for line in lines {
        output.parse_line(&line.unwrap());
    }
    recorder.wait().unwrap();
    output
}

/// Asserts that every episode is as it was recorded; returns their number.
fn require_intact(root: &Path) -> usize {
    let dataset = Dataset::open(root).unwrap();
    for episode in dataset.episodes() {
        assert_eq!(
            dataset
                .task(At {
                    episode: episode.index,
                    frame: 0
                })
                .unwrap(),
            TASKS[episode.index % 2]
        );
        for frame in 0..episode.length {
            let at = At {
                episode: episode.index,
                frame,
            };
            for (name, _) in sample_dataset::VECTORS {
                assert_eq!(
                    dataset.values(name, at).unwrap(),
                    sample_dataset::vector(name, episode.index % 3, frame)
                );
            }
        }
    }
    dataset.episodes().len()
}

#[test]
fn a_killed_recorder_loses_no_saved_episode_and_at_most_a_second_of_the_open_one() {
    let kills = std::env::var("THINKVLA_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let mut random = StdRng::seed_from_u64(kills);
    let folder = tempfile::tempdir().unwrap();
    let (mut whole, mut begun, mut lost, mut open_at_kill, mut repaired) = (Vec::new(), 0, 0, 0, 0);
    for kill in 0..kills {
        let root = folder.path().join(kill.to_string());
        let after = Duration::from_micros(random.random_range(2_000..700_000));
        let output = record_and_kill(&root, after, kill % 2 == 1);
        if !root.join("meta/info.json").exists() {
            // No frame had been taken, so a new recording can begin.
            assert_eq!((output.saved, output.frames), (0, 0), "kill {kill}");
            continue;
        }
        begun += 1;
        // Without any repair.
        assert!(
            require_intact(&root) >= output.saved,
            "kill {kill} after {after:?}: {output:?}"
        );
        let (mut writer, resumed) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
        repaired += usize::from(!resumed.repairs.is_empty());
        let saved = writer.info().total_episodes;
        assert!(
            (output.saved..=output.saved + 1).contains(&saved),
            "kill {kill}: {output:?}, found {saved} episodes"
        );
        let open = writer.open_frames().unwrap_or(0);
        open_at_kill += usize::from(output.frames > 0);
        if saved == output.saved {
            assert!(
                open + FPS as usize >= output.frames,
                "kill {kill}: {output:?}, {open} frames of the open episode left"
            );
            lost += output.frames.saturating_sub(open);
        } else {
            // Saved, and killed before it reported that: the episode must not also be found open.
            assert_eq!(
                open, 0,
                "kill {kill}: {output:?}, found {saved} episodes and an open one"
            );
        }
        let mut expected = saved;
        if open > 0 {
            writer.save(&Map::new()).unwrap();
            expected += 1;
        } else if writer.open_frames().is_some() {
            writer.discard().unwrap();
        }
        assert_eq!(require_intact(&root), expected);
        let report = verify(&root, Depth::Rows).unwrap();
        assert!(report.problems.is_empty(), "kill {kill}: {:?}", report.problems);
        if expected > 0 {
            whole.push((root, expected));
        }
    }
    println!(
        "{kills} kills: {begun} after the dataset was begun, {open_at_kill} with an episode open, {repaired} needed a repair; \
         {lost} frames that had been taken were lost"
    );
    assert!(begun > 0);
    let roots: Vec<_> = whole.iter().map(|(root, _)| root.as_os_str()).collect();
    if let Some(found) = lerobot::run("load.py", &roots) {
        let episodes: Vec<usize> = found
            .lines()
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(
            episodes,
            whole.iter().map(|(_, expected)| *expected).collect::<Vec<_>>()
        );
        println!("LeRobot opened all {} of them and read every row", whole.len());
    }
}
