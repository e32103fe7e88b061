use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::Field;
use parquet::arrow::ArrowWriter;

use super::*;

fn row_turn(from: &str, value: &str) -> RowTurn {
    RowTurn {
        from: from.into(),
        value: value.into(),
    }
}

fn conversations(rows: &[&[RowTurn]]) -> ArrayRef {
    let field = |name| Field::new(name, DataType::Utf8, true);
    let fields = vec![field("from"), field("value")];
    let turn = StructBuilder::new(
        fields,
        vec![Box::new(StringBuilder::new()), Box::new(StringBuilder::new())],
    );
    let mut lists = ListBuilder::new(turn);
    for row in rows {
        for one in *row {
            let turn = lists.values();
            turn.field_builder::<StringBuilder>(0).unwrap().append_value(&one.from);
            turn.field_builder::<StringBuilder>(1).unwrap().append_value(&one.value);
            turn.append(true);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn write(columns: Vec<(&str, ArrayRef)>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(folder.path().join("table.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    folder
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn a_table_has_both_kinds_of_rows() {
    let turns = [row_turn("human", "<image>\nwhat?"), row_turn("gpt", "a cat")];
    let folder = write(vec![
        ("question", texts(&[Some("which is higher?"), Some("")])),
        ("A", texts(&[Some("cup"), None])),
        ("B", texts(&[Some("can"), None])),
        ("answer_cot", texts(&[Some("the can"), None])),
        ("image_filename", texts(&[Some("1.jpg"), None])),
        ("image_path", texts(&[None, Some("coco/2.jpg")])),
        ("conversations", conversations(&[&[], &turns])),
        ("question_index", Arc::new(arrow_array::Int64Array::from(vec![4, 5]))),
    ]);
    let rows = read(&folder.path().join("table.parquet")).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let expected = [
        Row {
            question: text("which is higher?"),
            a: text("cup"),
            b: text("can"),
            answer_cot: text("the can"),
            image_filename: text("1.jpg"),
            conversations: Some(Vec::new()),
            ..Row::default()
        },
        Row {
            question: text(""),
            image_path: text("coco/2.jpg"),
            conversations: Some(turns.to_vec()),
            ..Row::default()
        },
    ];
    let found: Vec<Row> = rows.iter().map(|placed| placed.row.clone()).collect();
    assert_eq!(found, expected);
    assert_eq!(rows[1].place, "row 1");
}

#[test]
fn a_table_of_other_things_is_refused_with_what_it_has() {
    let folder = write(vec![("caption", texts(&[Some("a cat")]))]);
    let error = read(&folder.path().join("table.parquet")).unwrap_err().to_string();
    assert!(
        error.contains("expected a column question or conversations") && error.contains("caption"),
        "{error}"
    );
    let folder = write(vec![("question", Arc::new(arrow_array::Int64Array::from(vec![1])))]);
    let error = read(&folder.path().join("table.parquet")).unwrap_err().to_string();
    assert!(
        error.contains("column question: expected texts, found Int64"),
        "{error}"
    );
}
