//! Reads rows of files of questions and answers: a JSON list, JSON lines, or a parquet table.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use serde::Deserialize;

use crate::dataset::parquet::table::{RowRange, Table};
use crate::files;
use crate::training::error::RunError;

/// Row of Qwen-VL's finetuning files, of SpatialReasoner's table, or of both. Missing fields are `None`; other fields
/// are ignored.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Row {
    /// Question about space; `None` or empty in rows of general conversation.
    #[serde(default)]
    pub question: Option<String>,
    /// First answer option.
    #[serde(default, rename = "A")]
    pub a: Option<String>,
    /// Second answer option.
    #[serde(default, rename = "B")]
    pub b: Option<String>,
    /// Third answer option.
    #[serde(default, rename = "C")]
    pub c: Option<String>,
    /// Fourth answer option.
    #[serde(default, rename = "D")]
    pub d: Option<String>,
    /// Answer, step by step.
    #[serde(default)]
    pub answer_cot: Option<String>,
    /// Image of a question about space.
    #[serde(default)]
    pub image_filename: Option<String>,
    /// Image of a general conversation, in the table.
    #[serde(default)]
    pub image_path: Option<String>,
    /// Image or images of a conversation.
    #[serde(default, alias = "images")]
    pub image: Option<OneOrMore>,
    /// Turns of the conversation.
    #[serde(default)]
    pub conversations: Option<Vec<RowTurn>>,
}

/// One file name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One file name.
    One(String),
    /// Several file names.
    More(Vec<String>),
}

/// Turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RowTurn {
    /// Speaker, e.g. `human` or `gpt`.
    pub from: String,
    /// Text, with `<image>` where an image is shown.
    pub value: String,
}

/// Row, with its place in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedRow {
    /// Place: `row 7`, from 0, or `line 8`, from 1.
    pub place: String,
    /// The row.
    pub row: Row,
}

/// Text columns of SpatialReasoner's table.
const COLUMNS: [&str; 8] = [
    "question",
    "A",
    "B",
    "C",
    "D",
    "answer_cot",
    "image_filename",
    "image_path",
];
/// Column of conversations in it.
const CONVERSATIONS: &str = "conversations";

/// Reads all rows of a file with the extension `.json`, `.jsonl` or `.parquet`.
///
/// # Errors
/// When the file cannot be read, or a row is malformed; names file and row.
pub fn read(path: &Path) -> Result<Vec<PlacedRow>, RunError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => list(path),
        Some("jsonl") => lines(path),
        Some("parquet") => table(path),
        _ => Err(RunError::data(
            path,
            "expected a file of questions and answers named .json, .jsonl or .parquet",
        )),
    }
}

fn list(path: &Path) -> Result<Vec<PlacedRow>, RunError> {
    let text = files::read_text(path, files::LINES).map_err(RunError::file("read", path))?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text)
        .map_err(|e| RunError::data(path, format!("expected a JSON list of rows, found otherwise: {e}")))?;
    let row = |(number, value)| parsed(path, format!("row {number}"), serde_json::from_value(value));
    rows.into_iter().enumerate().map(row).collect()
}

fn lines(path: &Path) -> Result<Vec<PlacedRow>, RunError> {
    let text = files::read_text(path, files::LINES).map_err(RunError::file("read", path))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| parsed(path, format!("line {number}"), serde_json::from_str(line)))
        .collect()
}

fn parsed(path: &Path, place: String, row: Result<Row, serde_json::Error>) -> Result<PlacedRow, RunError> {
    match row {
        Ok(row) => Ok(PlacedRow { place, row }),
        Err(e) => Err(RunError::data(
            path,
            format!(
                "{place}: expected an object with conversations [{{\"from\", \"value\"}}, …], or with question and \
                 answer_cot, found otherwise: {e}"
            ),
        )),
    }
}

fn table(path: &Path) -> Result<Vec<PlacedRow>, RunError> {
    let table = Table::open(path)?;
    let known = COLUMNS.into_iter().chain([CONVERSATIONS]);
    let there: Vec<&str> = known.filter(|name| table.has(name)).collect();
    if !there.contains(&"question") && !there.contains(&CONVERSATIONS) {
        let found: Vec<_> = table.names().collect();
        let message = format!("expected a column question or conversations, found {found:?}");
        return Err(RunError::data(path, message));
    }
    let mut rows = Vec::new();
    for batch in table.read(&there, RowRange::ALL)? {
        let batch = batch?;
        let texts = COLUMNS.map(|name| batch.column_by_name(name).map(|column| texts(path, column, name)));
        let mut columns = Vec::with_capacity(texts.len());
        for column in texts {
            columns.push(column.transpose()?.unwrap_or_default());
        }
        let mut conversations = conversations(path, &batch)?.into_iter();
        for number in 0..batch.num_rows() {
            let mut next = columns
                .iter_mut()
                .map(|column| column.get_mut(number).and_then(Option::take));
            let mut next = || next.next().flatten();
            rows.push(PlacedRow {
                place: format!("row {}", rows.len()),
                // In the order of COLUMNS.
                row: Row {
                    question: next(),
                    a: next(),
                    b: next(),
                    c: next(),
                    d: next(),
                    answer_cot: next(),
                    image_filename: next(),
                    image_path: next(),
                    image: None,
                    conversations: conversations.next().flatten(),
                },
            });
        }
    }
    Ok(rows)
}

/// Reads a column of texts; a null becomes `None`.
fn texts(path: &Path, column: &ArrayRef, name: &str) -> Result<Vec<Option<String>>, RunError> {
    let own = |text: Option<&str>| text.map(str::to_owned);
    match column.data_type() {
        DataType::Utf8 => Ok(column.as_string::<i32>().iter().map(own).collect()),
        DataType::LargeUtf8 => Ok(column.as_string::<i64>().iter().map(own).collect()),
        DataType::Null => Ok(vec![None; column.len()]),
        other => Err(RunError::data(
            path,
            format!("column {name}: expected texts, found {other}"),
        )),
    }
}

/// Reads the conversation of each row.
fn conversations(path: &Path, batch: &RecordBatch) -> Result<Vec<Option<Vec<RowTurn>>>, RunError> {
    let Some(column) = batch.column_by_name(CONVERSATIONS) else {
        return Ok(vec![None; batch.num_rows()]);
    };
    let rows: Vec<Option<ArrayRef>> = match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().iter().collect(),
        DataType::LargeList(_) => column.as_list::<i64>().iter().collect(),
        DataType::Null => vec![None; column.len()],
        other => {
            let message = format!("column {CONVERSATIONS}: expected lists of turns, found {other}");
            return Err(RunError::data(path, message));
        }
    };
    rows.into_iter()
        .map(|row| row.map(|turns| turns_of(path, &turns)).transpose())
        .collect()
}

fn turns_of(path: &Path, turns: &ArrayRef) -> Result<Vec<RowTurn>, RunError> {
    let wrong = || {
        let found = turns.data_type();
        let message = format!("column {CONVERSATIONS}: expected turns of from and value, found {found}");
        RunError::data(path, message)
    };
    let fields = turns.as_struct_opt().ok_or_else(wrong)?;
    let field = |name: &str| texts(path, fields.column_by_name(name).ok_or_else(wrong)?, CONVERSATIONS);
    let pairs = field("from")?.into_iter().zip(field("value")?);
    Ok(pairs
        .map(|(from, value)| RowTurn {
            from: from.unwrap_or_default(),
            value: value.unwrap_or_default(),
        })
        .collect())
}

#[cfg(test)]
mod tests;
