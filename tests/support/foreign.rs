//! Datasets as other programs write them: LeRobot v3.0, v2.1 and v2.0 without a contract, written table by table.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use serde_json::{Value, json};
use thinkvla::dataset::statistics::Statistics;

pub const DATA: &str = "data/chunk-000/file-000.parquet";
pub const EPISODES: &str = "meta/episodes/chunk-000/file-000.parquet";

/// A dataset with one numeric column.
pub struct Foreign {
    pub fps: usize,
    /// Number of rows of each episode.
    pub lengths: Vec<usize>,
    /// Name of the column.
    pub column: &'static str,
    /// Value names as in `meta/info.json`.
    pub names: Value,
    /// Number of values in a row.
    pub width: usize,
    /// Instruction of each episode.
    pub tasks: Vec<&'static str>,
}

impl Default for Foreign {
    fn default() -> Self {
        Self {
            fps: 10,
            lengths: vec![5, 5],
            column: "action",
            names: json!(["x", "y", "z", "rx", "ry", "rz", "gripper"]),
            width: 7,
            tasks: vec!["pick the cube", "pick the cube"],
        }
    }
}

impl Foreign {
    /// Values of a row, computed from its number and their places.
    pub fn row(&self, row: usize) -> Vec<f32> {
        (0..self.width)
            .map(|at| (row % 8) as f32 / 64.0 + at as f32 / 1024.0)
            .collect()
    }

    /// Writes the dataset, with rows from `row`.
    pub fn write_with(&self, root: &Path, row: impl Fn(usize) -> Vec<f32>) {
        let count = self.lengths.len();
        write(&root.join(DATA), Compression::SNAPPY, &self.rows(0..count, row));
        let mut tasks = ListBuilder::new(StringBuilder::new());
        for task in &self.tasks {
            tasks.values().append_value(task);
            tasks.append(true);
        }
        write(
            &root.join(EPISODES),
            Compression::SNAPPY,
            &batch(vec![
                ("episode_index", whole(0..count)),
                ("tasks", Arc::new(tasks.finish())),
                ("length", whole(self.lengths.iter().copied())),
                ("data/chunk_index", whole((0..count).map(|_| 0))),
                ("data/file_index", whole((0..count).map(|_| 0))),
                (
                    "dataset_from_index",
                    whole((0..count).map(|episode| self.first(episode))),
                ),
            ]),
        );
        let numbered = self.numbered();
        write(
            &root.join("meta/tasks.parquet"),
            Compression::SNAPPY,
            &batch(vec![
                ("task_index", whole(0..numbered.len())),
                ("task", Arc::new(StringArray::from_iter_values(&numbered))),
            ]),
        );
        let info = self.description("v3.0", "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet");
        std::fs::write(root.join("meta/info.json"), info.to_string()).unwrap();
        std::fs::write(root.join("meta/stats.json"), "{}").unwrap();
    }

    /// Writes the dataset in a layout before v3.0: one file for each episode, and lists in JSON lines. v2.1 has statistics
    /// of each episode, without quantiles; v2.0 has none.
    pub fn write_older(&self, root: &Path, version: &str) {
        std::fs::create_dir_all(root.join("meta")).unwrap();
        let mut episodes = Vec::new();
        let mut statistics = Vec::new();
        for (episode, length) in self.lengths.iter().enumerate() {
            write(
                &root.join(older_rows(episode)),
                Compression::SNAPPY,
                &self.rows(episode..episode + 1, |row| self.row(row)),
            );
            episodes.push(json!({"episode_index": episode, "tasks": [self.tasks[episode]], "length": length}));
            let mut of_column = Statistics::of_rows(&self.values(episode), self.width).to_json();
            of_column
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !name.starts_with('q'));
            let of_episode = BTreeMap::from([(self.column, of_column)]);
            statistics.push(json!({"episode_index": episode, "stats": of_episode}));
        }
        let numbered = self.numbered().into_iter().enumerate();
        let tasks = numbered.map(|(number, task)| json!({"task_index": number, "task": task}));
        lines(&root.join("meta/tasks.jsonl"), tasks);
        lines(&root.join("meta/episodes.jsonl"), episodes);
        if version == "v2.1" {
            lines(&root.join("meta/episodes_stats.jsonl"), statistics);
        }
        let path = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet";
        let info = self.description(version, path);
        std::fs::write(root.join("meta/info.json"), info.to_string()).unwrap();
    }

    /// Values of an episode's rows, concatenated.
    pub fn values(&self, episode: usize) -> Vec<f32> {
        let first = self.first(episode);
        (first..first + self.lengths[episode])
            .flat_map(|row| self.row(row))
            .collect()
    }

    /// First row of an episode.
    fn first(&self, episode: usize) -> usize {
        self.lengths[..episode].iter().sum()
    }

    /// Every instruction once, in the order of their indices.
    fn numbered(&self) -> Vec<&'static str> {
        let mut numbered: Vec<&str> = Vec::new();
        for task in &self.tasks {
            if !numbered.contains(task) {
                numbered.push(task);
            }
        }
        numbered
    }

    /// Rows of some episodes.
    fn rows(&self, episodes: Range<usize>, row: impl Fn(usize) -> Vec<f32>) -> RecordBatch {
        let numbered = self.numbered();
        let number = |task: &str| numbered.iter().position(|known| *known == task).unwrap() as i64;
        let begin = self.first(episodes.start);
        let places: Vec<(usize, usize)> = episodes
            .flat_map(|episode| (0..self.lengths[episode]).map(move |frame| (episode, frame)))
            .collect();
        let mut values = ListBuilder::new(Float32Builder::new());
        for at in 0..places.len() {
            values.values().append_slice(&row(begin + at));
            values.append(true);
        }
        let times = places.iter().map(|(_, frame)| (*frame as f64 / self.fps as f64) as f32);
        let tasks = places.iter().map(|(episode, _)| number(self.tasks[*episode]));
        batch(vec![
            (self.column, Arc::new(values.finish())),
            ("timestamp", Arc::new(Float32Array::from_iter_values(times))),
            ("frame_index", whole(places.iter().map(|(_, frame)| *frame))),
            ("episode_index", whole(places.iter().map(|(episode, _)| *episode))),
            ("index", whole(begin..begin + places.len())),
            ("task_index", Arc::new(Int64Array::from_iter_values(tasks))),
        ])
    }

    /// Content of `meta/info.json`.
    fn description(&self, version: &str, data_path: &str) -> Value {
        let scalar = |dtype: &str| json!({"dtype": dtype, "shape": [1], "names": null});
        let count = self.lengths.len();
        json!({
            "codebase_version": version,
            "robot_type": "rm75",
            "total_episodes": count,
            "total_frames": self.first(count),
            "total_tasks": self.numbered().len(),
            "chunks_size": 1000,
            "fps": self.fps,
            "splits": {"train": format!("0:{count}")},
            "data_path": data_path,
            "video_path": null,
            "features": {
                self.column: {"dtype": "float32", "shape": [self.width], "names": self.names},
                "timestamp": scalar("float32"),
                "frame_index": scalar("int64"),
                "episode_index": scalar("int64"),
                "index": scalar("int64"),
                "task_index": scalar("int64"),
            },
        })
    }

    /// Writes the dataset with the rows of [`Foreign::row`].
    pub fn write(&self, root: &Path) {
        self.write_with(root, |row| self.row(row));
    }
}

/// Path of an episode's rows before v3.0.
pub fn older_rows(episode: usize) -> String {
    format!("data/chunk-000/episode_{episode:06}.parquet")
}

/// Writes a list of JSON objects, one a line.
fn lines(path: &Path, list: impl IntoIterator<Item = Value>) {
    let text: String = list.into_iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(path, text).unwrap();
}

/// A column of integers.
pub fn whole(values: impl IntoIterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(
        values.into_iter().map(|value| value as i64),
    ))
}

pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Writes a parquet file.
pub fn write(path: &Path, compression: Compression, batch: &RecordBatch) {
    write_as(path, WriterProperties::builder().set_compression(compression), batch);
}

/// Writes a parquet file with these properties.
pub fn write_as(path: &Path, properties: WriterPropertiesBuilder, batch: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = properties.build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Reads a small parquet file.
pub fn read(path: &Path) -> RecordBatch {
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .with_batch_size(1 << 20)
        .build()
        .unwrap();
    reader.next().unwrap().unwrap()
}

/// Rewrites a file with these columns in place of those of the same name; `None` removes one.
pub fn exchange(path: &Path, columns: &[(&str, Option<ArrayRef>)]) {
    let found = read(path);
    let schema = found.schema();
    let kept = schema.fields().iter().zip(found.columns()).filter_map(|(field, own)| {
        let name = field.name().as_str();
        match columns.iter().find(|(known, _)| *known == name) {
            Some((_, new)) => Some((name, new.clone()?)),
            None => Some((name, Arc::clone(own))),
        }
    });
    let new = batch(kept.collect());
    write(path, Compression::SNAPPY, &new);
}

/// Rewrites a file with additional columns.
pub fn extend(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let found = read(path);
    let schema = found.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let kept = names.zip(found.columns().iter().map(Arc::clone));
    let new = batch(kept.chain(columns).collect());
    write(path, Compression::SNAPPY, &new);
}

/// Changes `meta/info.json`.
pub fn describe(root: &Path, change: impl FnOnce(&mut Value)) {
    let path = root.join("meta/info.json");
    let mut info = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut info);
    std::fs::write(&path, info.to_string()).unwrap();
}

/// All files below a folder, with their contents.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(tree(&path)),
            false => drop(files.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    files
}
