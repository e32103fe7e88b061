//! Instructions of a dataset, which rows refer to by task index.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use serde::Deserialize;

use super::error::DatasetError;
use super::info::{Info, TASKS, Version};
use super::jsonl;
use super::parquet::columns;
use super::parquet::table::{RowRange, Table};
use super::parquet::writer;
use super::storage::Storage;

/// Metadata by which pandas, and therefore LeRobot, takes the text as the index of the table.
const PANDAS: &str = r#"{"index_columns":["task"],"column_indexes":[],"columns":[
{"name":"task_index","field_name":"task_index","pandas_type":"int64","numpy_type":"int64","metadata":null},
{"name":"task","field_name":"task","pandas_type":"unicode","numpy_type":"object","metadata":null}]}"#;

/// Names of the text column: the one that is written, and that of LeRobot 0.4.0.
const TEXT_COLUMNS: [&str; 2] = ["task", "__index_level_0__"];

/// File of the instructions before v3.0.
const TASK_LINES: &str = "meta/tasks.jsonl";

/// Maximum number of instructions.
const MOST: usize = 1 << 20;

/// Reads the instructions of v2 or v3.0. A dataset without episodes need not have any.
///
/// # Errors
/// As for [`load`].
pub fn load_any(root: &Path, info: &Info) -> Result<Vec<String>, DatasetError> {
    let file = match info.codebase_version {
        Version::V3 => TASKS,
        Version::V21 | Version::V20 => TASK_LINES,
    };
    if info.total_episodes == 0 && !root.join(file).exists() {
        return Ok(Vec::new());
    }
    match info.codebase_version {
        Version::V3 => load(root),
        Version::V21 | Version::V20 => load_lines(root),
    }
}

/// Reads the instructions by task index; an index that is not used gets an empty text.
///
/// # Errors
/// When the file is missing or malformed, an index has two texts, or is too large.
pub fn load(root: &Path) -> Result<Vec<String>, DatasetError> {
    let path = root.join(TASKS);
    let table = Table::open(&path)?;
    let known = TEXT_COLUMNS.into_iter().find(|known| table.has(known));
    // Whatever the index of the table was called, it is the only other column.
    let mut others = table.names().filter(|name| *name != "task_index");
    let Some(text) = known.or(others.next()) else {
        return Err(DatasetError::content(&path, "expected a column task, found none"));
    };
    let mut numbered = Vec::new();
    for batch in table.read(&["task_index", text], RowRange::ALL)? {
        let batch = batch?;
        let texts = columns::column(&batch, text).and_then(|column| columns::texts(&column, text));
        let numbers = columns::counts(&batch, "task_index");
        let (numbers, texts) = (
            numbers.map_err(|problem| DatasetError::content(&path, problem))?,
            texts.map_err(|problem| DatasetError::content(&path, problem))?,
        );
        numbered.extend(numbers.into_iter().zip(texts));
    }
    in_order(&path, numbered)
}

/// Reads `meta/tasks.jsonl` of v2.1.
///
/// # Errors
/// As for [`load`].
pub fn load_lines(root: &Path) -> Result<Vec<String>, DatasetError> {
    /// Line of the file.
    #[derive(Deserialize)]
    struct Line {
        #[serde(deserialize_with = "jsonl::number")]
        task_index: usize,
        task: String,
    }
    let path = root.join(TASK_LINES);
    let lines: Vec<Line> = jsonl::read(&path)?;
    in_order(
        &path,
        lines.into_iter().map(|line| (line.task_index, line.task)).collect(),
    )
}

fn in_order(path: &Path, mut numbered: Vec<(usize, String)>) -> Result<Vec<String>, DatasetError> {
    numbered.sort_by_key(|(number, _)| *number);
    let mut tasks: Vec<String> = Vec::with_capacity(numbered.len());
    for (number, text) in numbered {
        match tasks.get(number) {
            // The same line twice.
            Some(known) if *known == text => continue,
            None if number < MOST => {}
            _ => {
                let problem = format!("expected numbers of tasks below {MOST}, each once, found {number}");
                return Err(DatasetError::content(path, problem));
            }
        }
        tasks.resize(number, String::new());
        tasks.push(text);
    }
    Ok(tasks)
}

/// Writes `meta/tasks.parquet`.
///
/// # Errors
/// When writing fails.
pub fn save(storage: &dyn Storage, root: &Path, tasks: &[String]) -> Result<(), DatasetError> {
    let fields = vec![
        Field::new("task_index", DataType::Int64, false),
        Field::new("task", DataType::Utf8, false),
    ];
    let notes = HashMap::from([("pandas".to_owned(), PANDAS.replace('\n', ""))]);
    let schema = Arc::new(Schema::new_with_metadata(fields, notes));
    let numbers = Int64Array::from_iter_values((0..).take(tasks.len()));
    let columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(StringArray::from_iter_values(tasks))];
    let path = root.join(TASKS);
    let batch = RecordBatch::try_new(schema, columns).map_err(|e| DatasetError::content(&path, e))?;
    writer::commit(storage, &path, &batch)
}
