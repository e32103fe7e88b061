//! Mixture of datasets, checked against each other and the checkpoint, and the statistics of all of them.

use std::path::Path;

use rand::Rng as _;

use crate::contract::{ActionSpace, Contract, DimensionStatistics, FILE_NAME, SettingDifference, step_differences};
use crate::dataset::reader::Chunk;
use crate::dataset::schema::{CHUNK, PICTURES, STATE, action_column};
use crate::dataset::{At, Dataset};

use super::action_columns;
use super::ranges::fill;
use super::sampler::{DrawnEpisodes, MixtureSampler, RowPlace, randomness};
use crate::training::config::DatasetShare;
use crate::training::error::RunError;

/// Datasets in the order of the configuration.
#[derive(Debug)]
pub struct Mixture {
    datasets: Vec<Dataset>,
    weights: Vec<f64>,
    contract: Contract,
    /// Indices of the values of [`STATE`] that are read, for each dataset.
    state: Vec<Vec<usize>>,
    /// Indices of the contract's values in a row's actions, for each dataset.
    actions: Vec<Vec<usize>>,
}

impl Mixture {
    /// Opens the datasets of a mixture for a checkpoint of this contract.
    ///
    /// # Errors
    /// When a dataset cannot be read, lacks an action dimension, a camera or a value of the state, holds a value that
    /// is not finite, or was recorded with other settings than the others.
    pub fn open(shares: &[DatasetShare], checkpoint: &Contract) -> Result<Self, RunError> {
        let mut contract = checkpoint.clone();
        let mut datasets = Vec::with_capacity(shares.len());
        for (number, share) in shares.iter().enumerate() {
            let dataset = Dataset::open(&share.path)?;
            if dataset.episodes().is_empty() {
                let message = "expected episodes to train on, found none: nothing has been recorded yet";
                return Err(RunError::data(&share.path, message));
            }
            let own = contract_of(&dataset, checkpoint)?;
            if number == 0 {
                contract.robot = own.robot.clone();
                contract.data.fps = own.data.fps;
                contract.data.composition = own.data.composition;
                contract.data.reference = own.data.reference;
            }
            agree(&share.path, "the first dataset", &contract, &own)?;
            datasets.push(dataset);
        }
        let mut mixture = Self {
            weights: shares.iter().map(|share| share.weight).collect(),
            state: Vec::new(),
            actions: Vec::new(),
            datasets,
            contract,
        };
        mixture.take_statistics()?;
        Ok(mixture)
    }

    /// Returns all rows of all datasets.
    pub fn places(&self) -> Vec<RowPlace> {
        let of = |(dataset, of): (usize, &Dataset)| {
            let rows = of.episodes().iter().map(|episode| (episode.index, episode.length));
            let rows = rows.flat_map(|(episode, length)| (0..length).map(move |frame| At { episode, frame }));
            rows.map(move |at| RowPlace { dataset, at }).collect::<Vec<_>>()
        };
        self.datasets.iter().enumerate().flat_map(of).collect()
    }

    /// Refuses datasets that were recorded with other settings than those this checkpoint was trained on.
    ///
    /// # Errors
    /// When they were; names the first field that differs.
    pub fn require_recorded_for(&self, checkpoint: &Contract) -> Result<(), RunError> {
        let root = self.datasets.first().map_or(Path::new(""), Dataset::root);
        agree(root, "the checkpoint", checkpoint, &self.contract)
    }

    /// Returns what the datasets and the checkpoint agree on, with the statistics of all rows of all datasets.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Returns the datasets.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// Returns the column of the actions.
    pub fn action_column(&self) -> &'static str {
        action_column(self.contract.data.action_space)
    }

    /// Returns the actions from a row on, `steps` steps of them.
    ///
    /// # Shapes
    /// (steps, action dimension)
    ///
    /// # Errors
    /// When there is no such row, or its chunk is shorter.
    pub fn chunk(&self, place: RowPlace, steps: usize) -> Result<Chunk, RunError> {
        let known = self.datasets.get(place.dataset).zip(self.actions.get(place.dataset));
        let Some((dataset, taken)) = known else {
            let (number, all) = (place.dataset, self.datasets.len());
            let root = self.datasets.first().map_or(Path::new(""), Dataset::root);
            return Err(RunError::data(
                root,
                format!("expected one of {all} datasets, found {number}"),
            ));
        };
        if !self.has_chunks(dataset) {
            let chunk = dataset.chunk(self.action_column(), place.at, steps)?;
            let width = chunk.values.len() / steps.max(1);
            let values = pick(&chunk.values, width, taken).collect();
            return Ok(Chunk { values, ..chunk });
        }
        let wanted = steps * self.contract.data.statistics.len();
        let values = dataset.values(CHUNK, place.at)?;
        match values.get(..wanted) {
            Some(values) => Ok(Chunk {
                values: values.to_vec(),
                valid: steps,
            }),
            None => Err(RunError::data(
                dataset.root(),
                format!(
                    "column {CHUNK}: expected {steps} steps, {wanted} values, found {}; write frames with --steps {steps}",
                    values.len()
                ),
            )),
        }
    }

    /// Returns whether rows are not consecutive in time, and each has a chunk of actions.
    fn has_chunks(&self, dataset: &Dataset) -> bool {
        self.contract.data.action_space == ActionSpace::Ee7 && dataset.info().features.contains_key(CHUNK)
    }

    /// Returns the columns of the views, in the order of the contract.
    pub fn views(&self) -> Vec<String> {
        let cameras = self.contract.robot.cameras.iter();
        cameras.map(|camera| format!("{PICTURES}{}", camera.name)).collect()
    }

    /// Returns the values of a row's state that are read, in the contract's order.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn state(&self, place: RowPlace) -> Result<Vec<f64>, RunError> {
        let (Some(dataset), Some(chosen)) = (self.datasets.get(place.dataset), self.state.get(place.dataset)) else {
            return Ok(Vec::new());
        };
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let values = dataset.values(STATE, place.at)?;
        Ok(chosen
            .iter()
            .filter_map(|i| values.get(*i))
            .map(|v| f64::from(*v))
            .collect())
    }

    /// Sets the statistics that normalise the state to those that a projector was trained with, instead of those of
    /// this data.
    pub fn keep_state_statistics(&mut self, of: &[DimensionStatistics]) {
        self.contract.data.state = of.to_vec();
    }

    /// Creates the samplers of the trained and of the held-out episodes.
    ///
    /// # Errors
    /// When no rows are left to train on, or none are held out although `held_out` is above 0.
    pub fn samplers(&self, seed: u64, held_out: f64) -> Result<[MixtureSampler; 2], RunError> {
        let mut drawn = [Vec::new(), Vec::new()];
        for ((number, dataset), weight) in (0..).zip(&self.datasets).zip(&self.weights) {
            let sides = HeldOutEpisodes {
                number,
                seed,
                share: held_out,
            }
            .split(dataset);
            for (drawn, episodes) in drawn.iter_mut().zip(sides) {
                drawn.push(DrawnEpisodes {
                    weight: *weight,
                    episodes,
                });
            }
        }
        let [trained, held] = drawn;
        let samplers = [
            MixtureSampler::new(trained, seed, "rows"),
            MixtureSampler::new(held, seed, "held-out rows"),
        ];
        let root = self.datasets.first().map_or(Path::new(""), Dataset::root);
        let [trained, held] = &samplers;
        if trained.rows() == 0 || (held_out > 0.0 && held.rows() == 0) {
            let message = format!(
                "validation.share: expected some episodes to train on and some held out, found {} and {} rows; record \
                 more episodes or set it to 0",
                trained.rows(),
                held.rows()
            );
            return Err(RunError::data(root, message));
        }
        Ok(samplers)
    }

    fn take_statistics(&mut self) -> Result<(), RunError> {
        let column = self.action_column();
        let (mut actions, mut states) = (Vec::new(), Vec::new());
        let data = &self.contract.data;
        let mut chosen = Vec::with_capacity(self.datasets.len());
        let mut actions_of = Vec::with_capacity(self.datasets.len());
        for dataset in &self.datasets {
            let width = width(dataset, column)?;
            let taken = action_columns::actions(dataset, column, data)?;
            // All steps of chunks are learned, also those that have no row.
            let rows = match self.has_chunks(dataset) {
                true => finite(dataset, CHUNK, data.statistics.len())?.to_vec(),
                false => pick(finite(dataset, column, width)?, width, &taken).collect(),
            };
            action_columns::require_units(dataset, data, &rows)?;
            actions.extend(rows);
            actions_of.push(taken);
            let state_indices = state_indices(dataset, &data.state)?;
            if !state_indices.is_empty() {
                let width = self::width(dataset, STATE)?;
                let rows: Vec<f32> = pick(finite(dataset, STATE, width)?, width, &state_indices).collect();
                action_columns::require_state_units(dataset, data, &rows)?;
                states.extend(rows);
            }
            chosen.push(state_indices);
            for view in self.views() {
                if !dataset.info().pictures().any(|(name, _)| name == view) {
                    let known: Vec<_> = dataset.info().pictures().map(|(name, _)| name).collect();
                    let message = format!("expected pictures {view}, as the contract's camera says, found {known:?}");
                    return Err(RunError::data(dataset.root(), message));
                }
            }
        }
        let data = &mut self.contract.data;
        fill(&mut data.statistics, &actions);
        fill(&mut data.state, &states);
        (self.state, self.actions) = (chosen, actions_of);
        Ok(())
    }
}

/// Held-out episodes of a dataset in a training run: a fraction, rounded up, that leaves at least one to train on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutEpisodes {
    /// Index of the dataset in the run's mixture.
    pub number: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Fraction that is held out, 0 to 1.
    pub share: f64,
}

impl HeldOutEpisodes {
    /// Returns index and length of the episodes that are trained on, and of those held out.
    pub fn split(self, dataset: &Dataset) -> [Vec<(usize, usize)>; 2] {
        let filled = dataset.episodes().iter().filter(|episode| episode.length > 0);
        let mut order: Vec<(u64, (usize, usize))> = filled
            .map(|episode| {
                let mut random = randomness(self.seed, "held out", [self.number, episode.index as u64]);
                (random.random(), (episode.index, episode.length))
            })
            .collect();
        order.sort_unstable();
        let wanted = (self.share * order.len() as f64).ceil() as usize;
        let trained = order.split_off(wanted.min(order.len().saturating_sub(1)));
        [trained, order].map(|side| {
            let mut episodes: Vec<(usize, usize)> = side.into_iter().map(|(_, episode)| episode).collect();
            episodes.sort_unstable();
            episodes
        })
    }
}

/// Picks these values from each row of `width`, in this order.
fn pick<'a>(rows: &'a [f32], width: usize, places: &'a [usize]) -> impl Iterator<Item = f32> + 'a {
    let rows = rows.chunks_exact(width.max(1));
    rows.flat_map(move |row| places.iter().filter_map(|place| row.get(*place)).copied())
}

/// Returns the dataset's own contract; without one, the checkpoint's at the dataset's rate.
fn contract_of(dataset: &Dataset, checkpoint: &Contract) -> Result<Contract, RunError> {
    if dataset.root().join(FILE_NAME).exists() {
        return Ok(Contract::load(dataset.root())?);
    }
    let mut contract = checkpoint.clone();
    contract.data.fps = dataset.info().fps;
    Ok(contract)
}

fn agree(path: &Path, whose: &str, all: &Contract, own: &Contract) -> Result<(), RunError> {
    all.robot
        .require_same(&own.robot)
        .map_err(|e| RunError::data(path, e.to_string()))?;
    let (all, own) = (&all.data, &own.data);
    let rate = (all.fps != own.fps).then(|| SettingDifference {
        field: "fps",
        expected: all.fps.to_string(),
        found: own.fps.to_string(),
    });
    // Rows have actions of each space; those of the checkpoint's are read.
    let others = step_differences(all, own).filter(|of| of.field != "action_space");
    match rate.into_iter().chain(others).next() {
        Some(SettingDifference { field, expected, found }) => Err(RunError::data(
            path,
            format!("data.{field}: expected {expected}, as {whose} has it, found {found}"),
        )),
        None => Ok(()),
    }
}

fn width(dataset: &Dataset, column: &str) -> Result<usize, RunError> {
    let feature = dataset.info().features.get(column);
    feature.map(crate::dataset::feature::Feature::len).ok_or_else(|| {
        let known: Vec<_> = dataset.info().features.keys().collect();
        RunError::data(dataset.root(), format!("expected a column {column}, found {known:?}"))
    })
}

/// Returns a column, all of whose values must be finite.
fn finite<'a>(dataset: &'a Dataset, column: &str, width: usize) -> Result<&'a [f32], RunError> {
    let values = dataset.vector(column)?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => {
            let (row, dimension) = (at / width.max(1), at % width.max(1));
            let message = format!("column {column}, row {row}, value {dimension}: expected a finite number");
            Err(RunError::data(dataset.root(), message))
        }
        None => Ok(values),
    }
}

/// Returns the indices of the state's values that the contract names, and logs them.
fn state_indices(dataset: &Dataset, wanted: &[DimensionStatistics]) -> Result<Vec<usize>, RunError> {
    let names = || wanted.iter().map(|of| of.name.as_str());
    let places = dataset.places(STATE, names());
    let places = places.map_err(|e| RunError::data(dataset.root(), e.to_string()))?;
    if !places.is_empty() {
        let taken: Vec<_> = names()
            .zip(&places)
            .map(|(name, at)| format!("{name} [{at}]"))
            .collect();
        tracing::info!("{}: {STATE}: {}", dataset.root().display(), taken.join(", "));
    }
    Ok(places)
}
