//! Mixture of files of questions and answers, and the split into trained and held-out rows.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rand::Rng as _;

use crate::dataset::At;
use crate::training::config::{TextSettings, TextSource};
use crate::training::data::sampler::{DrawnEpisodes, MixtureSampler, RowPlace, randomness};
use crate::training::error::RunError;

use super::dialogue::Dialogue;
use super::rows;

/// All rows of all sources, checked.
#[derive(Debug)]
pub struct Library {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    settings: TextSource,
    rows: Vec<LibraryRow>,
}

/// Row that can be learned from.
#[derive(Debug)]
pub struct LibraryRow {
    /// Place in its file.
    pub place: String,
    /// Conversation of the row.
    pub dialogue: Dialogue,
    /// Whether its answers begin with the reasoning anchors.
    pub anchored: bool,
}

impl Library {
    /// Reads the sources.
    ///
    /// # Errors
    /// When a file cannot be read, a row is malformed, or the file of an image is missing; names file and row.
    pub fn open(sources: &[TextSource]) -> Result<Self, RunError> {
        let sources: Result<_, RunError> = sources.iter().map(Source::read).collect();
        Ok(Self { sources: sources? })
    }

    /// Returns row `row` of source `source`, with the source's file.
    pub fn row(&self, source: usize, row: usize) -> Option<(&Path, &LibraryRow)> {
        let source = self.sources.get(source)?;
        Some((&source.settings.path, source.rows.get(row)?))
    }

    /// Returns every row of every source.
    pub fn places(&self) -> Vec<RowPlace> {
        let of = |(dataset, source): (usize, &Source)| {
            let at = |episode| At { episode, frame: 0 };
            (0..source.rows.len()).map(move |row| RowPlace { dataset, at: at(row) })
        };
        self.sources.iter().enumerate().flat_map(of).collect()
    }

    /// Creates the samplers of trained and of held-out rows. Held out are whole sources that are only measured on, and
    /// of the others all rows whose first image is in the held-out fraction, rounded up. Each row without an image
    /// counts as an image of its own.
    ///
    /// # Errors
    /// When nothing of a source is left to train on.
    pub fn samplers(&self, settings: &TextSettings, seed: u64) -> Result<[MixtureSampler; 2], RunError> {
        let mut drawn = [Vec::new(), Vec::new()];
        for (number, source) in (0..).zip(&self.sources) {
            let kept = match source.settings.held_out {
                true => source.rows.iter().map(|_| true).collect(),
                false => source.held_out(settings.held_out_share, seed, number),
            };
            if !source.settings.held_out && !kept.contains(&false) {
                let message = format!(
                    "text.held_out_share: expected some pictures to train on and some held out, found {} rows in all and \
                     none to train on; lower it, or add held_out: true if the file is only measured on",
                    kept.len()
                );
                return Err(RunError::data(&source.settings.path, message));
            }
            for (drawn, held_out) in drawn.iter_mut().zip([false, true]) {
                let side = (0..).zip(&kept).filter(|(_, kept)| **kept == held_out);
                drawn.push(DrawnEpisodes {
                    weight: source.settings.weight,
                    episodes: side.map(|(row, _)| (row, 1)).collect(),
                });
            }
        }
        let [trained, held_out] = drawn;
        Ok([
            MixtureSampler::new(trained, seed, "answers"),
            MixtureSampler::new(held_out, seed, "held-out answers"),
        ])
    }
}

impl Source {
    fn read(settings: &TextSource) -> Result<Self, RunError> {
        let path = &settings.path;
        let folder = match &settings.images {
            Some(folder) => folder.as_path(),
            None => path.parent().unwrap_or(Path::new("")),
        };
        let mut seen: HashSet<PathBuf> = HashSet::new();
        let mut kept = Vec::new();
        for placed in rows::read(path)? {
            let named = |problem: String| RunError::data(path, format!("{}: {problem}", placed.place));
            let dialogue = placed.row.dialogue(folder).map_err(|e| named(e.to_string()))?;
            for picture in &dialogue.pictures {
                if !seen.contains(picture) {
                    if !picture.is_file() {
                        let message = format!(
                            "expected the picture {}, found no such file; text.sources.images names their folder",
                            picture.display()
                        );
                        return Err(named(message));
                    }
                    seen.insert(picture.clone());
                }
            }
            kept.push(LibraryRow {
                anchored: settings.anchor.unwrap_or(dialogue.spatial),
                place: placed.place,
                dialogue,
            });
        }
        match kept.is_empty() {
            true => Err(RunError::data(path, "expected at least one row, found none")),
            false => Ok(Self {
                settings: settings.clone(),
                rows: kept,
            }),
        }
    }

    /// Returns for each row whether it is held out.
    fn held_out(&self, share: f64, seed: u64, number: u64) -> Vec<bool> {
        // Groups in the order of their first rows, so that the location of the files does not matter.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known: BTreeMap<&Path, usize> = BTreeMap::new();
        for (row, kept) in self.rows.iter().enumerate() {
            let picture = kept.dialogue.pictures.first().map(PathBuf::as_path);
            let group = picture.and_then(|picture| known.get(picture).copied());
            match group.and_then(|group| groups.get_mut(group)) {
                Some(rows) => rows.push(row),
                None => {
                    known.extend(picture.map(|picture| (picture, groups.len())));
                    groups.push(vec![row]);
                }
            }
        }
        let mut order: Vec<(u64, Vec<usize>)> = (0_u64..)
            .zip(groups)
            .map(|(group, rows)| (randomness(seed, "held-out pictures", [number, group]).random(), rows))
            .collect();
        order.sort_unstable();
        let wanted = (share * order.len() as f64).ceil() as usize;
        let chosen: HashSet<usize> = order.into_iter().take(wanted).flat_map(|(_, rows)| rows).collect();
        (0..self.rows.len()).map(|row| chosen.contains(&row)).collect()
    }
}
