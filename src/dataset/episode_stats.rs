//! Statistics of single episodes, stored with the episode metadata, and of whole datasets, merged from them.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::episodes;
use super::error::DatasetError;
use super::info::{Info, STATS, Version, pretty, read_json};
use super::jsonl;
use super::parquet::columns;
use super::parquet::table::{RowRange, Table};
use super::schema::action_column;
use super::statistics::Statistics;
use super::storage::{Storage, commit};
use crate::contract::{self, Contract};
use crate::files;

/// Statistics by feature.
pub type FeatureStats = BTreeMap<String, Statistics>;

/// Reads the statistics of each episode, by index. Some or all episodes may have none.
///
/// # Errors
/// When a file cannot be read.
pub fn of_episodes(root: &Path, info: &Info) -> Result<BTreeMap<usize, FeatureStats>, DatasetError> {
    let mut all = BTreeMap::new();
    if info.codebase_version != Version::V3 {
        load_lines(root, &mut all)?;
        return Ok(all);
    }
    for path in episodes::files(root)? {
        load_file(&path, &mut all)?;
    }
    Ok(all)
}

/// Merges the statistics of the first `count` episodes; `None` if one of them has none.
///
/// # Errors
/// When a file cannot be read.
pub fn merged(root: &Path, info: &Info, count: usize) -> Result<Option<FeatureStats>, DatasetError> {
    let of_episodes = of_episodes(root, info)?;
    let mut all = FeatureStats::new();
    for episode in 0..count {
        let Some(own) = of_episodes.get(&episode) else {
            return Ok(None);
        };
        merge(&mut all, own);
    }
    Ok(Some(all))
}

/// Merges the statistics of one more episode into `all`.
pub fn merge(all: &mut FeatureStats, own: &FeatureStats) {
    for (name, own) in own {
        let so_far = all.entry(name.clone()).or_default();
        *so_far = so_far.merged(own);
    }
}

/// Reads `meta/stats.json`.
///
/// # Errors
/// When it is missing or malformed.
pub fn load(root: &Path) -> Result<FeatureStats, DatasetError> {
    let path = root.join(STATS);
    let all: Map<String, Value> = read_json(&path, files::TABLE)?;
    Ok(from_json(&all))
}

/// Writes `meta/stats.json`.
///
/// # Errors
/// When writing fails.
pub fn save(storage: &dyn Storage, root: &Path, all: &FeatureStats) -> Result<(), DatasetError> {
    let json: Map<_, _> = all.iter().map(|(name, all)| (name.clone(), all.to_json())).collect();
    commit(storage, &root.join(STATS), &pretty(&json.into()))
}

/// Writes the contract into `root`.
///
/// # Errors
/// When writing fails.
pub fn save_contract(storage: &dyn Storage, root: &Path, contract: &Contract) -> Result<(), DatasetError> {
    let path = root.join(contract::FILE_NAME);
    let text = contract.to_yaml(&path).map_err(|e| DatasetError::content(&path, e))?;
    commit(storage, &path, text.as_bytes())
}

/// Returns the contract with the statistics of the actions recorded so far. Actions without a finite value keep the
/// contract's.
pub fn with_statistics(contract: &Contract, all: &FeatureStats) -> Contract {
    let column = action_column(contract.data.action_space);
    let mut contract = contract.clone();
    let Some(found) = all.get(column) else { return contract };
    for (at, dimension) in contract.data.statistics.iter_mut().enumerate() {
        for (name, values) in found.named() {
            let Some(value) = values.get(at).copied().filter(|value| value.is_finite()) else {
                continue;
            };
            match name {
                "min" => dimension.min = value,
                "max" => dimension.max = value,
                "mean" => dimension.mean = value,
                "std" => dimension.std = value,
                "q01" => dimension.q01 = value,
                "q99" => dimension.q99 = value,
                _ => (),
            }
        }
    }
    contract
}

/// Writes the statistics of all episodes, also into the contract if there is one.
///
/// # Errors
/// When writing fails or the contract is malformed.
pub fn save_all(storage: &dyn Storage, root: &Path, all: &FeatureStats) -> Result<(), DatasetError> {
    save(storage, root, all)?;
    let path = root.join(contract::FILE_NAME);
    if !path.exists() {
        return Ok(());
    }
    let contract = Contract::load(root).map_err(|e| DatasetError::content(&path, e))?;
    save_contract(storage, root, &with_statistics(&contract, all))
}

fn from_json(all: &Map<String, Value>) -> FeatureStats {
    let read = |(name, value): (&String, &Value)| Some((name.clone(), Statistics::from_json(value)?));
    all.iter().filter_map(read).collect()
}

fn load_lines(root: &Path, all: &mut BTreeMap<usize, FeatureStats>) -> Result<(), DatasetError> {
    /// Line of the file.
    #[derive(Deserialize)]
    struct Line {
        #[serde(deserialize_with = "jsonl::number")]
        episode_index: usize,
        stats: Option<Map<String, Value>>,
    }
    let path = root.join("meta/episodes_stats.jsonl");
    if path.exists() {
        jsonl::for_each(&path, |line: Line| {
            all.insert(line.episode_index, from_json(&line.stats.unwrap_or_default()));
        })?;
    }
    Ok(())
}

fn load_file(path: &Path, all: &mut BTreeMap<usize, FeatureStats>) -> Result<(), DatasetError> {
    let table = Table::open(path)?;
    let of_statistics = |name: &&str| name.starts_with("stats/") || *name == "episode_index";
    let names: Vec<&str> = table.names().filter(of_statistics).collect();
    for batch in table.read(&names, RowRange::ALL)? {
        let batch = batch?;
        for (row, index) in columns::counts(&batch, "episode_index")
            .map_err(|problem| DatasetError::content(path, problem))?
            .into_iter()
            .enumerate()
        {
            let mut read: BTreeMap<&str, BTreeMap<&str, ArrayRef>> = BTreeMap::new();
            for name in &names {
                let of_feature = name.strip_prefix("stats/").and_then(|name| name.rsplit_once('/'));
                if let (Some((feature, statistic)), Some(column)) = (of_feature, batch.column_by_name(name)) {
                    read.entry(feature).or_default().insert(statistic, column.slice(row, 1));
                }
            }
            let own = read.into_iter().filter_map(|(feature, read)| {
                let list = |name: &str| {
                    let mut numbers = Vec::new();
                    flat(read.get(name)?, &mut numbers);
                    Some(numbers)
                };
                let of_pictures = read.get("min").is_some_and(|min| depth(min.data_type()) > 1);
                Some((feature.to_owned(), Statistics::of_lists(list, of_pictures)?))
            });
            all.insert(index, own.collect());
        }
    }
    Ok(())
}

fn depth(kind: &DataType) -> usize {
    match kind {
        DataType::List(inner) | DataType::FixedSizeList(inner, _) => 1 + depth(inner.data_type()),
        _ => 0,
    }
}

/// Collects the numbers of lists nested at any depth.
fn flat(array: &ArrayRef, out: &mut Vec<f64>) {
    match array.data_type() {
        DataType::List(_) => array
            .as_list::<i32>()
            .iter()
            .flatten()
            .for_each(|inner| flat(&inner, out)),
        DataType::FixedSizeList(..) => array
            .as_fixed_size_list()
            .iter()
            .flatten()
            .for_each(|inner| flat(&inner, out)),
        DataType::Float64 => out.extend(array.as_primitive::<Float64Type>().iter().flatten()),
        DataType::Float32 => out.extend(array.as_primitive::<Float32Type>().iter().flatten().map(f64::from)),
        DataType::Int64 => out.extend(array.as_primitive::<Int64Type>().iter().flatten().map(|v| v as f64)),
        _ => (),
    }
}
