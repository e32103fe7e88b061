//! Subcommands that repair datasets or make new ones of their episodes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{anyhow, bail, ensure};
use serde_json::Map;
use thinkvla::contract::{Contract, FILE_NAME};
use thinkvla::dataset::edit::{
    EpisodeChoice, EpisodeSource, assemble, beside, copy_others, place_of_previous, replace,
};
use thinkvla::dataset::instruction::require_plain;
use thinkvla::dataset::repair::{Repair, undo};
use thinkvla::dataset::storage::{Disk, require_new, require_outside, resolved};
use thinkvla::dataset::{Dataset, DatasetWriter, open_episode};
use thinkvla::writer_lock::WriterLock;

use super::{Apply, Episodes, Open};
use crate::print_line;

pub fn repair(root: &Path, apply: Apply, open: Open) -> anyhow::Result<()> {
    let ours = root.join(FILE_NAME).exists();
    if apply == Apply::ToAny && !ours {
        let _lock = WriterLock::acquire(root)?;
        let done = Repair::plan(root)?.apply(&Disk)?;
        done.iter().for_each(|step| print_line(step));
        print_line(&format!("{} steps; --undo puts back what was set aside", done.len()));
        return Ok(());
    }
    if apply == Apply::Never || !ours {
        let words = Repair::plan(root)?.words();
        words.iter().for_each(|step| print_line(&format!("would {step}")));
        let end = match (words.is_empty(), ours) {
            (true, _) => "nothing to repair",
            (false, true) => "nothing was changed",
            (false, false) => {
                "nothing was changed: another program wrote this dataset; --apply does it, --undo takes it back"
            }
        };
        print_line(end);
        return Ok(());
    }
    Contract::load(root)?;
    let (mut writer, resumed) = DatasetWriter::repair(Arc::new(Disk), root)?;
    for repair in &resumed.repairs {
        print_line(repair);
    }
    if let Some(found) = resumed.open {
        let what = format!(
            "the open episode of {} frames, \"{}\",",
            found.frames, found.header.task
        );
        match open {
            Open::Keep => print_line(&format!(
                "{what} is kept; --open save or --open discard decides about it"
            )),
            Open::Save => print_line(&format!(
                "{what} is saved as episode {}",
                writer.save(&Map::new())?.episode
            )),
            Open::Discard => {
                writer.discard()?;
                print_line(&format!("{what} is thrown away"));
            }
        }
    }
    let info = writer.info();
    print_line(&format!(
        "sound: {} episodes, {} frames",
        info.total_episodes, info.total_frames
    ));
    Ok(())
}

pub fn undo_repair(root: &Path) -> anyhow::Result<()> {
    let files = undo(&Disk, root)?;
    print_line(&format!("{files} files are where they were"));
    Ok(())
}

pub fn delete(root: &Path, episodes: &[Episodes], out: Option<&Path>) -> anyhow::Result<()> {
    let (dataset, place) = open(root, out)?;
    require(&dataset, episodes)?;
    let left: Vec<_> = whole(&dataset)
        .filter(|choice| !named(episodes, choice.episode))
        .collect();
    ensure!(
        !left.is_empty(),
        "{}: nothing would be left; remove the folder",
        root.display()
    );
    change(&dataset, left, place)
}

pub fn relabel(root: &Path, task: &str, episodes: &[Episodes], out: Option<&Path>) -> anyhow::Result<()> {
    let task = task.trim();
    require_plain(task).map_err(|problem| anyhow!("--task: {problem}"))?;
    let (dataset, place) = open(root, out)?;
    require(&dataset, episodes)?;
    let relabelled = whole(&dataset).map(|choice| EpisodeChoice {
        task: (episodes.is_empty() || named(episodes, choice.episode)).then(|| task.to_owned()),
        ..choice
    });
    change(&dataset, relabelled.collect(), place)
}

pub fn merge(roots: &[PathBuf], out: &Path) -> anyhow::Result<()> {
    let datasets: Vec<_> = roots.iter().map(|root| Dataset::open(root)).collect::<Result<_, _>>()?;
    let (recorded, empty): (Vec<_>, Vec<_>) = datasets.iter().partition(|dataset| !dataset.episodes().is_empty());
    for dataset in empty {
        print_line(&format!("{}: 0 episodes, left out", dataset.root().display()));
    }
    ensure!(
        !recorded.is_empty(),
        "expected datasets with episodes, found none: nothing has been recorded yet"
    );
    let sources = recorded.into_iter().map(|dataset| EpisodeSource {
        dataset,
        episodes: whole(dataset).collect(),
    });
    made(&sources.collect::<Vec<_>>(), out)
}

pub fn split(root: &Path, at: usize, out: &[PathBuf]) -> anyhow::Result<()> {
    let [first, second] = out else {
        bail!("--out: expected two folders, found {}", out.len())
    };
    let (first, second) = (first.as_path(), second.as_path());
    ensure!(
        resolved(first) != resolved(second),
        "--out: expected two folders, found {} twice",
        first.display()
    );
    for (out, other) in [(first, root), (second, root), (first, second), (second, first)] {
        require_outside(out, other)?;
    }
    for out in [first, second] {
        require_new(out)?;
    }
    let dataset = Dataset::open(root)?;
    let count = dataset.episodes().len();
    ensure!(
        (1..count).contains(&at),
        "--at: expected 1 to {}, found {at}",
        count.saturating_sub(1)
    );
    for (out, wanted) in [(first, 0..at), (second, at..count)] {
        let episodes = whole(&dataset)
            .filter(|choice| wanted.contains(&choice.episode))
            .collect();
        let source = EpisodeSource {
            dataset: &dataset,
            episodes,
        };
        made(&[source], out)?;
    }
    Ok(())
}

fn whole(dataset: &Dataset) -> impl Iterator<Item = EpisodeChoice> {
    (0..dataset.episodes().len()).map(|episode| EpisodeChoice { episode, task: None })
}

fn named(episodes: &[Episodes], episode: usize) -> bool {
    episodes.iter().any(|Episodes(range)| range.contains(&episode))
}

fn require(dataset: &Dataset, episodes: &[Episodes]) -> anyhow::Result<()> {
    let count = dataset.episodes().len();
    match episodes.iter().find(|Episodes(range)| range.end > count) {
        Some(Episodes(range)) => bail!("expected episodes below {count}, found {}", range.end - 1),
        None => Ok(()),
    }
}

fn made(sources: &[EpisodeSource<'_>], out: &Path) -> anyhow::Result<()> {
    let info = assemble(&Disk, sources, out)?;
    let (episodes, frames) = (info.total_episodes, info.total_frames);
    print_line(&format!("{}: {episodes} episodes, {frames} frames", out.display()));
    Ok(())
}

/// Destination of a changed dataset.
enum Place<'a> {
    /// A new folder.
    Beside(&'a Path),
    /// The folder of the old dataset, locked against other writers.
    Instead(WriterLock),
}

/// Opens a dataset that is to be changed, and locks it when it is changed in place.
fn open<'a>(root: &Path, out: Option<&'a Path>) -> anyhow::Result<(Dataset, Place<'a>)> {
    let place = match out {
        Some(out) => Place::Beside(out),
        None => Place::Instead(WriterLock::acquire(root)?),
    };
    Ok((Dataset::open(root)?, place))
}

/// Writes the chosen episodes as a new dataset, or in place of the old one.
fn change(dataset: &Dataset, episodes: Vec<EpisodeChoice>, place: Place<'_>) -> anyhow::Result<()> {
    let sources = [EpisodeSource { dataset, episodes }];
    let lock = match place {
        Place::Beside(out) => return made(&sources, out),
        Place::Instead(lock) => lock,
    };
    let root = dataset.root();
    if let Some(open) = open_episode::find(root, dataset.info())? {
        bail!(
            "{}: an episode of {} frames is open; `thinkvla dataset repair --open save` or `--open discard` first",
            root.display(),
            open.frames
        );
    }
    // Resolves links: otherwise the link itself would be replaced.
    let root = root.canonicalize()?;
    let new = beside(&root, "new")?;
    ensure!(
        !new.exists(),
        "{} is there, perhaps of a change that was interrupted; remove it first",
        new.display()
    );
    place_of_previous(&root)?;
    made(&sources, &new)?;
    let folders = copy_others(&Disk, &root, &new)?;
    let before = replace(&Disk, &root, &new, lock)?;
    print_line(&format!(
        "it is now {}; what was there is {}",
        root.display(),
        before.display()
    ));
    if !folders.is_empty() {
        print_line(&format!(
            "{}: expected only files beside those of the dataset, found the folders {}; they were not copied, move \
             them to {} if they belong to it",
            before.display(),
            folders.join(", "),
            root.display()
        ));
    }
    Ok(())
}
