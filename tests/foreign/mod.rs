//! Datasets as other programs write them: LeRobot v3.0 without a contract, made table by table.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use serde_json::{Value, json};

pub const DATA: &str = "data/chunk-000/file-000.parquet";
pub const EPISODES: &str = "meta/episodes/chunk-000/file-000.parquet";

/// A dataset of one column of numbers.
pub struct Foreign {
    pub fps: usize,
    /// Rows of each episode.
    pub lengths: Vec<usize>,
    /// Name of the column.
    pub column: &'static str,
    /// As `meta/info.json` gives them.
    pub names: Value,
    /// Values in a row.
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
    /// Values of a row: what its number and place say.
    pub fn row(&self, row: usize) -> Vec<f32> {
        (0..self.width)
            .map(|at| (row % 8) as f32 / 64.0 + at as f32 / 1024.0)
            .collect()
    }

    /// Writes it, with these values in its rows.
    pub fn write_with(&self, root: &Path, row: impl Fn(usize) -> Vec<f32>) {
        let total: usize = self.lengths.iter().sum();
        let mut numbered: Vec<&str> = Vec::new();
        for task in &self.tasks {
            if !numbered.contains(task) {
                numbered.push(task);
            }
        }
        let number = |task: &str| numbered.iter().position(|known| *known == task).unwrap() as i64;
        let places: Vec<(usize, usize)> = (0..self.lengths.len())
            .flat_map(|episode| (0..self.lengths[episode]).map(move |frame| (episode, frame)))
            .collect();
        let mut values = ListBuilder::new(Float32Builder::new());
        for at in 0..total {
            values.values().append_slice(&row(at));
            values.append(true);
        }
        let times = places.iter().map(|(_, frame)| (*frame as f64 / self.fps as f64) as f32);
        write(
            &root.join(DATA),
            Compression::SNAPPY,
            &batch(vec![
                (self.column, Arc::new(values.finish())),
                ("timestamp", Arc::new(Float32Array::from_iter_values(times))),
                ("frame_index", whole(places.iter().map(|(_, frame)| *frame))),
                ("episode_index", whole(places.iter().map(|(episode, _)| *episode))),
                ("index", whole(0..total)),
                (
                    "task_index",
                    Arc::new(Int64Array::from_iter_values(
                        places.iter().map(|(episode, _)| number(self.tasks[*episode])),
                    )),
                ),
            ]),
        );
        let count = self.lengths.len();
        let mut tasks = ListBuilder::new(StringBuilder::new());
        for task in &self.tasks {
            tasks.values().append_value(task);
            tasks.append(true);
        }
        let from = (0..count).map(|episode| self.lengths[..episode].iter().sum::<usize>());
        write(
            &root.join(EPISODES),
            Compression::SNAPPY,
            &batch(vec![
                ("episode_index", whole(0..count)),
                ("tasks", Arc::new(tasks.finish())),
                ("length", whole(self.lengths.iter().copied())),
                ("data/chunk_index", whole((0..count).map(|_| 0))),
                ("data/file_index", whole((0..count).map(|_| 0))),
                ("dataset_from_index", whole(from)),
            ]),
        );
        write(
            &root.join("meta/tasks.parquet"),
            Compression::SNAPPY,
            &batch(vec![
                ("task_index", whole(0..numbered.len())),
                ("task", Arc::new(StringArray::from_iter_values(&numbered))),
            ]),
        );
        let scalar = |dtype: &str| json!({"dtype": dtype, "shape": [1], "names": null});
        let info = json!({
            "codebase_version": "v3.0",
            "robot_type": "rm75",
            "total_episodes": count,
            "total_frames": total,
            "total_tasks": numbered.len(),
            "chunks_size": 1000,
            "fps": self.fps,
            "splits": {"train": format!("0:{count}")},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": null,
            "features": {
                self.column: {"dtype": "float32", "shape": [self.width], "names": self.names},
                "timestamp": scalar("float32"),
                "frame_index": scalar("int64"),
                "episode_index": scalar("int64"),
                "index": scalar("int64"),
                "task_index": scalar("int64"),
            },
        });
        std::fs::write(root.join("meta/info.json"), info.to_string()).unwrap();
        std::fs::write(root.join("meta/stats.json"), "{}").unwrap();
    }

    /// Writes it with [`Foreign::row`].
    pub fn write(&self, root: &Path) {
        self.write_with(root, |row| self.row(row));
    }
}

/// A column of whole numbers.
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

/// Reads a parquet file of few rows.
pub fn read(path: &Path) -> RecordBatch {
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .with_batch_size(1 << 20)
        .build()
        .unwrap();
    reader.next().unwrap().unwrap()
}

/// Writes a file anew with these columns in place of those of the same name; none leaves one out.
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

/// Changes `meta/info.json`.
pub fn describe(root: &Path, change: impl FnOnce(&mut Value)) {
    let path = root.join("meta/info.json");
    let mut info = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut info);
    std::fs::write(&path, info.to_string()).unwrap();
}

/// All files below a folder and what is in them.
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
