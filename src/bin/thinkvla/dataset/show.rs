//! Subcommands that describe and verify datasets.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use thinkvla::contract::{Contract, FILE_NAME};
use thinkvla::dataset::info::STATS;
use thinkvla::dataset::repair::Repair;
use thinkvla::dataset::storage::{Disk, commit_with};
use thinkvla::dataset::verify::{Depth, verify as verify_dataset};
use thinkvla::dataset::{Dataset, DatasetError, episode_stats, open_episode};
use thinkvla::files;
use thinkvla::writer_lock::WriterLock;

use crate::print_line;

/// Width of the columns of statistics (characters).
const WIDTH: usize = 10;

pub fn info(root: &Path) -> anyhow::Result<()> {
    let dataset = Dataset::open(root)?;
    let info = dataset.info();
    let robot = info.robot_type.as_deref().unwrap_or("unknown robot");
    print_line(&format!(
        "{}: LeRobot {:?}, {robot}",
        root.display(),
        info.codebase_version
    ));
    let (frames, fps) = (dataset.frames(), info.fps);
    let seconds = frames as f64 / fps;
    print_line(&format!(
        "{} episodes, {frames} frames, {seconds:.0} s at {fps} Hz",
        info.total_episodes
    ));
    let lengths = dataset.episodes().iter().map(|episode| episode.length);
    if let (Some(shortest), Some(longest)) = (lengths.clone().min(), lengths.max()) {
        print_line(&format!("episodes of {shortest} to {longest} frames"));
    }
    print_line("instructions, and episodes of each:");
    for task in dataset.tasks() {
        let episodes = dataset.episodes().iter();
        let count = episodes.filter(|episode| episode.tasks.contains(task)).count();
        print_line(&format!("  {count:5} {task}"));
    }
    print_line("columns:");
    for (name, feature) in &info.features {
        let values = if feature.is_vector() {
            match feature.own_names() {
                Ok(_) => feature.value_names().join(" "),
                Err(problem) => format!("names are not understood: {problem}"),
            }
        } else {
            String::new()
        };
        let passed_over = if feature.is_depth() { "depth, passed over" } else { "" };
        print_line(&format!(
            "  {name}: {:?} {:?} {values}{passed_over}",
            feature.dtype, feature.shape
        ));
    }
    if root.join(FILE_NAME).exists() {
        let Contract { robot, data, .. } = Contract::load(root)?;
        let (space, composition, reference) = (data.action_space, data.composition, data.reference);
        print_line(&format!(
            "contract: {}, {space:?}, {composition:?}, {reference:?}",
            robot.arm
        ));
    } else {
        print_line("contract: none");
    }
    if let Some(open) = open_episode::find(root, info)? {
        print_line(&format!(
            "an episode of {} frames is open: {}",
            open.frames, open.header.task
        ));
    }
    Ok(())
}

pub fn verify(root: &Path, depth: Depth) -> anyhow::Result<ExitCode> {
    let report = verify_dataset(root, depth)?;
    let frames: usize = report.sound.iter().map(|episode| episode.length).sum();
    for problem in &report.problems {
        print_line(&format!("wrong: {problem}"));
    }
    for note in &report.notes {
        print_line(&format!("note: {note}"));
    }
    if report.problems.is_empty() {
        print_line(&format!("{} episodes, {frames} frames: sound", report.sound.len()));
        return Ok(ExitCode::SUCCESS);
    }
    let (count, folder) = (report.sound.len(), root.display());
    print_line(&format!("the first {count} episodes, {frames} frames, are sound"));
    // Repair checks files only, and is useless where nothing would be left.
    let helps = count > 0 && Repair::plan(root).is_ok_and(|repair| repair.cuts());
    print_line(&match helps {
        true => format!("`thinkvla dataset repair {folder} --dry-run` says what cutting it back to them would do"),
        false => {
            "repair does not mend this: it cuts off files that are not whole; mend what is named, or fetch it again"
                .into()
        }
    });
    Ok(ExitCode::FAILURE)
}

/// Copies the statistics of a dataset that was not recorded here, once, before they are overwritten.
fn keep_original_statistics(root: &Path) -> anyhow::Result<()> {
    let (path, copy) = (root.join(STATS), root.join(format!("{STATS}.before")));
    if root.join(FILE_NAME).exists() || copy.exists() {
        return Ok(());
    }
    // A link whose target was not fetched still exists, and would be lost.
    match (path.exists(), path.is_symlink()) {
        (true, _) => {}
        (false, false) => return Ok(()),
        (false, true) => bail!(
            "{}: expected a file, found a link that leads nowhere; fetch it, or remove it",
            path.display()
        ),
    }
    let mut file = files::open_any(&path).map_err(DatasetError::io("read", &path))?;
    commit_with(&Disk, &copy, |sink| {
        io::copy(&mut file, sink)
            .map(drop)
            .map_err(DatasetError::io("write", &copy))
    })?;
    print_line(&format!(
        "the statistics that were there are kept as {}",
        copy.display()
    ));
    Ok(())
}

/// Formats a number with as many of 4 decimals as the width has room for, or with an exponent.
fn shown(value: f64) -> String {
    let mut texts = (0..=4).rev().map(|decimals| format!("{value:.decimals$}"));
    let fitting = texts.find(|text| text.len() <= WIDTH);
    fitting.unwrap_or_else(|| format!("{value:.3e}"))
}

pub fn stats(root: &Path, write: bool) -> anyhow::Result<()> {
    let _lock = write.then(|| WriterLock::acquire(root)).transpose()?;
    let dataset = Dataset::open(root)?;
    let mut all = match episode_stats::load(root) {
        Err(_) if write => episode_stats::FeatureStats::new(),
        kept => kept.context("`thinkvla dataset stats --write` counts them anew")?,
    };
    if write {
        all.extend(dataset.statistics()?);
        keep_original_statistics(root)?;
        episode_stats::save_all(&Disk, root, &all)?;
    }
    for (name, all) in &all {
        let names = match dataset.info().features.get(name) {
            Some(feature) if feature.is_vector() => feature.value_names(),
            Some(feature) if feature.is_picture() && feature.channels() == 1 => vec!["grey".to_owned()],
            Some(feature) if feature.is_picture() => ["red", "green", "blue"].map(str::to_owned).to_vec(),
            _ => vec![String::new()],
        };
        print_line(&format!("{name}, of {}", all.count));
        let header: String = all.named().map(|(name, _)| format!(" {name:>WIDTH$}")).collect();
        print_line(&format!("  {:12}{header}", ""));
        for (at, value) in names.iter().enumerate() {
            let known = |values: &[f64]| values.get(at).copied().filter(|value| value.is_finite());
            let number = |values: &[f64]| known(values).map_or("-".into(), shown);
            let row: String = all
                .named()
                .map(|(_, values)| format!(" {:>WIDTH$}", number(values)))
                .collect();
            print_line(&format!("  {value:12}{row}"));
        }
    }
    Ok(())
}
