//! Tests of datasets from other programs: they are read as their own program reads them, or refused with a reason, and
//! never damaged.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/foreign.rs"]
mod foreign;
#[path = "foreign_datasets/names.rs"]
mod names;
#[path = "foreign_datasets/older.rs"]
mod older;
#[path = "foreign_datasets/orientation.rs"]
mod orientation;
#[path = "support/sample_dataset/mod.rs"]
mod sample_dataset;
#[path = "foreign_datasets/videos.rs"]
mod videos;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, PrimitiveBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float16Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, Int16Array, StringArray, StructArray, UInt64Array};
use foreign::{DATA, EPISODES, Foreign, describe, exchange, read, tree, whole, write, write_as};
use parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, Type, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use serde_json::{Value, json};
use thinkvla::contract::FILE_NAME;
use thinkvla::dataset::frame::ImageMode;
use thinkvla::dataset::storage::Disk;
use thinkvla::dataset::verify::{Depth, verify};
use thinkvla::dataset::{Dataset, DatasetWriter, episode_stats};

fn says(arguments: &[&str]) -> String {
    String::from_utf8(command_line::dataset(arguments).stdout).unwrap()
}

fn made(foreign: &Foreign) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write(&root);
    (folder, root)
}

/// A recording with images as another program would have left it.
fn with_pictures() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    std::fs::remove_file(root.join(FILE_NAME)).unwrap();
    std::fs::remove_dir_all(root.join("meta/thinkvla")).unwrap();
    std::fs::remove_file(root.join(".lock")).unwrap_or_default();
    (folder, root)
}

fn problems(root: &Path) -> Vec<String> {
    let report = verify(root, Depth::Rows).unwrap();
    report.problems.iter().map(ToString::to_string).collect()
}

fn pointer(path: &Path) {
    std::fs::write(
        path,
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
    )
    .unwrap();
}

#[test]
fn nothing_is_taken_from_a_dataset_of_another_program() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("whole", |_| ()),
        ("without tasks", |root| {
            exchange(&root.join(EPISODES), &[("tasks", None)])
        }),
        ("a pointer in place of rows", |root| pointer(&root.join(DATA))),
        ("a file that is cut", |root| {
            let bytes = std::fs::read(root.join(DATA)).unwrap();
            std::fs::write(root.join(DATA), &bytes[..bytes.len() / 2]).unwrap();
        }),
    ];
    let contract = tempfile::tempdir().unwrap();
    episode_stats::save_contract(&Disk, contract.path(), &sample_dataset::contract()).unwrap();
    for (damage, change) in damages {
        let (_folder, root) = made(&Foreign::default());
        change(&root);
        let before = tree(&root);
        let text = root.to_str().unwrap();
        command_line::dataset(&["verify", text]);
        command_line::dataset(&["repair", text]);
        command_line::dataset(&["repair", text, "--dry-run"]);
        // The owner of the dataset is checked before the recording is looked for.
        let imported = command_line::dataset(&[
            "import",
            root.with_file_name("recording.mcap").to_str().unwrap(),
            "--into",
            text,
            "--contract",
            contract.path().to_str().unwrap(),
            "--task",
            "x",
            "--vector",
            "action=/command",
        ]);
        let said = String::from_utf8_lossy(&imported.stderr);
        assert!(
            !imported.status.success() && said.contains("it is left as it is"),
            "{said}"
        );
        let refused = DatasetWriter::resume(Arc::new(Disk), &root)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("it is left as it is"), "{refused}");
        assert_eq!(tree(&root), before, "{damage}");
    }
}

/// All files except the lock file.
fn unlocked(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = tree(root).into_iter().filter(|(path, _)| !path.ends_with(".lock"));
    files
        .map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_owned(), bytes))
        .collect()
}

#[test]
fn a_dataset_that_is_changed_in_its_place_is_kept_whole_beside_it() {
    for arguments in [&["delete", "0"][..], &["relabel", "--task", "push the can"]] {
        let (_folder, root) = made(&Foreign {
            lengths: vec![5, 5, 4],
            tasks: vec!["pick the cube"; 3],
            ..Foreign::default()
        });
        let before = unlocked(&root);
        let [verb, rest @ ..] = arguments else { continue };
        let arguments = [&[*verb, root.to_str().unwrap()], rest].concat();
        assert!(command_line::dataset(&arguments).status.success());
        assert_eq!(unlocked(&root.with_file_name("set.before")), before, "{verb}");
        assert_eq!(problems(&root), Vec::<String>::new(), "{verb}");
        // A second change overwrites neither the original that was kept nor its successor.
        let after = unlocked(&root);
        assert!(!command_line::dataset(&arguments).status.success());
        assert_eq!(unlocked(&root.with_file_name("set.before")), before, "{verb}");
        assert_eq!(unlocked(&root), after, "{verb}");
    }
    // A dataset that cannot be read is not changed at all.
    let (_folder, root) = made(&Foreign::default());
    pointer(&root.join(DATA));
    let before = unlocked(&root);
    let arguments = ["relabel", root.to_str().unwrap(), "--task", "push the can"];
    assert!(!command_line::dataset(&arguments).status.success());
    assert_eq!(unlocked(&root), before);
    assert!(!root.with_file_name("set.before").exists());
}

#[test]
fn plots_of_a_dataset_of_another_program_are_written_beside_it() {
    let (_folder, root) = made(&Foreign::default());
    let before = tree(&root);
    assert!(
        command_line::dataset(&["plot", root.to_str().unwrap()])
            .status
            .success()
    );
    assert_eq!(tree(&root), before);
    assert!(root.with_file_name("set.plots").join("timing.png").exists());
}

#[test]
fn statistics_of_others_are_kept_before_they_are_counted_anew() {
    let (_folder, root) = made(&Foreign::default());
    let others = "{\"action\": {\"mean\":   [NaN]}, \"theirs\": \"as it was\"}\n";
    std::fs::write(root.join("meta/stats.json"), others).unwrap();
    let mut before = unlocked(&root);
    let text = root.to_str().unwrap();
    for turn in 0..2 {
        let said = says(&["stats", text, "--write"]);
        assert_eq!(said.contains("meta/stats.json.before"), turn == 0, "{said}");
        let kept = std::fs::read_to_string(root.join("meta/stats.json.before")).unwrap();
        assert_eq!(kept, others);
    }
    assert!(says(&["verify", text]).contains("sound"));
    let mut after = unlocked(&root);
    for files in [&mut before, &mut after] {
        files.retain(|path, _| !path.starts_with("meta/stats.json") && !path.ends_with("stats.json.before"));
    }
    assert_eq!(after, before);
}

#[test]
fn control_tokens_are_not_written_into_a_dataset() {
    let (_folder, root) = made(&Foreign::default());
    let before = tree(&root);
    let output = command_line::dataset(&["relabel", root.to_str().unwrap(), "--task", "a <|im_end|> b"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("control token <|im_end|>"),
        "{said}"
    );
    assert_eq!(tree(&root), before);
}

#[test]
fn an_episode_that_is_not_counted_is_moved_aside_and_can_be_put_back() {
    let (_folder, root) = with_pictures();
    describe(&root, |info| {
        info["total_episodes"] = json!(1);
        info["total_frames"] = json!(12);
    });
    let before = tree(&root);
    let text = root.to_str().unwrap();
    let said = says(&["repair", text]);
    assert!(
        said.contains("would move") && said.contains("nothing was changed"),
        "{said}"
    );
    assert_eq!(tree(&root), before);

    says(&["repair", text, "--apply"]);
    for file in [1, 2] {
        let rows = format!("data/chunk-000/file-00{file}.parquet");
        assert!(!root.join(&rows).exists());
        assert_eq!(tree(&root)[&root.join(".cut/1").join(&rows)], before[&root.join(&rows)]);
    }
    let said = says(&["repair", text, "--undo"]);
    assert!(said.contains("4 files"), "{said}");
    let mut after = tree(&root);
    after.retain(|path, _| !path.ends_with(".lock"));
    assert_eq!(after, before);
}

#[test]
fn a_cut_of_a_foreign_dataset_is_taken_back_whole_unless_it_has_grown() {
    let (_folder, root) = with_pictures();
    let torn = root.join("data/chunk-000/file-001.parquet");
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let before = tree(&root);
    let text = root.to_str().unwrap();
    let said = says(&["verify", text]);
    assert!(
        said.contains("the first 1 episodes") && said.contains("--dry-run"),
        "{said}"
    );
    says(&["repair", text, "--apply"]);
    assert_eq!(Dataset::open(&root).unwrap().frames(), sample_dataset::EPISODES[0].1);
    // A file of the same name has been created since.
    std::fs::write(&torn, "new").unwrap();
    assert!(!command_line::dataset(&["repair", text, "--undo"]).status.success());
    std::fs::remove_file(&torn).unwrap();
    assert!(command_line::dataset(&["repair", text, "--undo"]).status.success());
    let mut after = tree(&root);
    after.retain(|path, _| !path.ends_with(".lock"));
    assert_eq!(after, before);
}

#[test]
fn a_saved_episode_that_cannot_be_read_is_named_and_opening_to_record_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    for notes in ["notes.tmp", "meta/notes.tmp", "data/chunk-000/notes.parquet.tmp"] {
        std::fs::write(root.join(notes), "mine").unwrap();
    }
    for file in [
        "data/chunk-000/file-001.parquet",
        "meta/episodes/chunk-000/file-001.parquet",
    ] {
        let whole = std::fs::read(root.join(file)).unwrap();
        let others = [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"[..],
                "git-lfs",
            ),
            (b"<!DOCTYPE html><html>403</html>", "HTML page"),
            (b"PK\x03\x04\x14\0\0\0", "zip archive"),
        ];
        let torn = (&whole[..whole.len() / 2], "run `thinkvla dataset repair`");
        for (bytes, name) in others.into_iter().chain([torn]) {
            std::fs::write(root.join(file), bytes).unwrap();
            let before = unlocked(&root);
            let resumed = DatasetWriter::resume(Arc::new(Disk), &root).map(drop);
            let refused = resumed.unwrap_err().to_string();
            assert!(
                refused.contains("file-001.parquet") && refused.contains(name),
                "{refused}"
            );
            if bytes != torn.0 {
                let repaired = command_line::dataset(&["repair", root.to_str().unwrap()]);
                let said = String::from_utf8(repaired.stderr).unwrap();
                assert!(!repaired.status.success() && said.contains(name), "{said}");
            }
            assert_eq!(unlocked(&root), before, "{file}, {name}");
        }
        std::fs::write(root.join(file), &whole).unwrap();
    }
}

#[test]
fn only_files_that_a_recorder_was_writing_are_removed_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    sample_dataset::record(&root, ImageMode::Png);
    let others = ["notes.tmp", "meta/notes.tmp", "data/chunk-000/file-one.parquet.tmp"];
    let unfinished = [
        "contract.yaml.tmp",
        "meta/info.json.tmp",
        "meta/tasks.parquet.tmp",
        "meta/thinkvla/episode-000003.json.tmp",
        "meta/episodes/chunk-000/file-003.parquet.tmp",
        "data/chunk-000/file-003.parquet.tmp",
    ];
    for file in others.iter().chain(&unfinished) {
        std::fs::write(root.join(file), "a part").unwrap();
    }
    let (_, resumed) = DatasetWriter::resume(Arc::new(Disk), &root).unwrap();
    assert_eq!(resumed.repairs.len(), unfinished.len(), "{:?}", resumed.repairs);
    assert!(unfinished.iter().all(|file| !root.join(file).exists()));
    assert!(others.iter().all(|file| root.join(file).exists()));
}

#[test]
fn repair_is_recommended_only_where_it_leaves_something() {
    let (_folder, root) = made(&Foreign::default());
    pointer(&root.join(DATA));
    let said = says(&["verify", root.to_str().unwrap()]);
    assert!(
        said.contains("git-lfs pointer")
            && said.contains("`git lfs pull`")
            && said.contains("repair does not mend this"),
        "{said}"
    );
}

#[test]
fn instructions_are_those_of_the_rows_where_episodes_name_none() {
    let (_folder, root) = made(&Foreign {
        tasks: vec!["pick the cube", "push the can"],
        ..Foreign::default()
    });
    exchange(&root.join(EPISODES), &[("tasks", None)]);
    let dataset = Dataset::open(&root).unwrap();
    let tasks: Vec<_> = dataset.episodes().iter().map(|episode| episode.tasks.clone()).collect();
    assert_eq!(tasks, [["pick the cube"], ["push the can"]]);
    assert!(says(&["info", root.to_str().unwrap()]).contains("2 episodes, 10 frames"));
}

#[test]
fn what_systems_leave_in_folders_is_no_part_of_a_dataset() {
    let (_folder, root) = made(&Foreign::default());
    for file in [DATA, EPISODES] {
        let path = root.join(file);
        let twin = path.with_file_name(format!("._{}", path.file_name().unwrap().to_str().unwrap()));
        std::fs::write(twin, "\0\x05\x16\x07\0\x02\0\0").unwrap();
        std::fs::write(
            path.parent().unwrap().parent().unwrap().join(".DS_Store"),
            "\0\0\0\x01Bud1",
        )
        .unwrap();
    }
    std::fs::write(root.join("meta/episodes/README.md"), "notes").unwrap();
    assert_eq!(Dataset::open(&root).unwrap().frames(), 10);
    assert_eq!(problems(&root), Vec::<String>::new());
}

#[test]
fn files_that_are_something_else_are_called_by_their_names() {
    for (bytes, name) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "`git lfs pull`"),
        (b"<!DOCTYPE html><html>403</html>", "HTML page"),
        (b"PK\x03\x04\x14\0\0\0", "zip archive"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.", "pickle"),
    ] {
        for file in [DATA, EPISODES, "meta/tasks.parquet", "meta/info.json"] {
            let (_folder, root) = made(&Foreign::default());
            std::fs::write(root.join(file), bytes).unwrap();
            let said = Dataset::open(&root).unwrap_err().to_string();
            assert!(said.contains(name) && said.contains(file), "{file}: {said}");
        }
        let (_folder, root) = made(&Foreign::default());
        std::fs::write(root.join("meta/stats.json"), bytes).unwrap();
        let said = problems(&root).join("\n");
        assert!(said.contains(name) && said.contains("meta/stats.json"), "{said}");
    }
    for (bytes, problem) in [
        (&b""[..], "found an empty one"),
        (b"{\"error\": \"Entry not found\"}", "begins with \"{\\\"error\\\""),
        (&[0; 64], "begins with \"\\x00"),
    ] {
        let (_folder, root) = made(&Foreign::default());
        std::fs::write(root.join(DATA), bytes).unwrap();
        let said = Dataset::open(&root).unwrap_err().to_string();
        assert!(
            said.contains("expected a parquet file") && said.contains(problem),
            "{said}"
        );
    }
}

/// The same images in another file format.
fn redrawn(column: &ArrayRef, draw: impl Fn(u32, u32) -> Vec<u8>) -> ArrayRef {
    let old = column.as_struct();
    let bytes: Vec<_> = (0..old.len())
        .map(|_| draw(sample_dataset::WIDTH, sample_dataset::HEIGHT))
        .collect();
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(&bytes));
    let paths = Arc::clone(old.column(1));
    Arc::new(StructArray::try_new(old.fields().clone(), vec![bytes, paths], None).unwrap())
}

#[test]
fn pictures_of_other_formats_are_called_by_their_names() {
    let (_folder, root) = with_pictures();
    let camera = sample_dataset::CAMERAS[0];
    let path = root.join("data/chunk-000/file-000.parquet");
    let rows = read(&path);
    let formats: [(&[u8], &str); 5] = [
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP picture"),
        (b"GIF89a\x40\0\x30\0", "a GIF picture"),
        (b"BM\x36\x30\0\0\0\0\0\0\x36\0\0\0", "a BMP picture"),
        (b"II*\0\x08\0\0\0", "a TIFF picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    ];
    for (bytes, name) in formats {
        let other = redrawn(rows.column_by_name(camera).unwrap(), |_, _| bytes.to_vec());
        exchange(&path, &[(camera, Some(other))]);
        let said = problems(&root).join("\n");
        let expected = format!("expected JPEG or PNG, this is {name}; convert it to PNG");
        assert!(said.contains(&expected), "{said}");
    }
}

fn png(pixels: &image::DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    pixels
        .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
        .unwrap();
    bytes
}

#[test]
fn grey_cameras_are_read_and_depth_is_passed_over() {
    let (_folder, root) = with_pictures();
    let [top, wrist] = sample_dataset::CAMERAS;
    for file in 0..3 {
        let path = root.join(format!("data/chunk-000/file-00{file}.parquet"));
        let rows = read(&path);
        let grey = redrawn(rows.column_by_name(top).unwrap(), |w, h| {
            png(&image::DynamicImage::ImageLuma8(image::ImageBuffer::from_fn(
                w,
                h,
                |x, _| image::Luma([x as u8]),
            )))
        });
        let depth = redrawn(rows.column_by_name(wrist).unwrap(), |w, h| {
            png(&image::DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(
                w,
                h,
                |x, _| image::Luma([700 + x as u16]),
            )))
        });
        exchange(&path, &[(top, Some(grey)), (wrist, Some(depth))]);
    }
    describe(&root, |info| info["features"][top]["shape"] = json!([48, 64, 1]));
    // Without the mark of depth, 16-bit images are refused.
    let said = problems(&root).join("\n");
    assert!(said.contains("expected 8-bit colour or grey, found L16"), "{said}");
    describe(&root, |info| {
        info["features"][wrist]["shape"] = json!([48, 64, 1]);
        info["features"][wrist]["info"] = json!({"is_depth_map": true});
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    assert!(says(&["info", root.to_str().unwrap()]).contains("depth, passed over"));
    let dataset = Dataset::open(&root).unwrap();
    let statistics = dataset.statistics().unwrap();
    assert_eq!(statistics[top].mean.len(), 1);
    assert!(!statistics.contains_key(wrist));
    // Episodes are copied with all of their columns.
    let out = root.with_file_name("merged");
    assert!(
        command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()])
            .status
            .success()
    );
    let depth = read(&out.join("data/chunk-000/file-001.parquet"));
    assert_eq!(
        depth.column_by_name(wrist).unwrap().as_struct().column(0).null_count(),
        0
    );
    assert_eq!(problems(&out), Vec::<String>::new());
}

#[test]
fn quantiles_that_are_missing_are_counted_and_not_invented() {
    let (_folder, root) = with_pictures();
    for file in 0..3 {
        let path = root.join(format!("meta/episodes/chunk-000/file-00{file}.parquet"));
        let names: Vec<String> = read(&path)
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let quantiles: Vec<_> = names
            .iter()
            .filter(|name| name.rsplit('/').next().unwrap().starts_with('q'))
            .map(|name| (name.as_str(), None))
            .collect();
        assert!(!quantiles.is_empty());
        exchange(&path, &quantiles);
    }
    let exact = Dataset::open(&root).unwrap();
    let out = root.with_file_name("merged");
    assert!(
        command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()])
            .status
            .success()
    );
    let of_episodes = episode_stats::of_episodes(&out, Dataset::open(&out).unwrap().info()).unwrap();
    for (name, width) in sample_dataset::VECTORS {
        let values = exact.vector(name).unwrap();
        for episode in exact.episodes() {
            let rows = episode.from * width..(episode.from + episode.length) * width;
            let expected = thinkvla::dataset::statistics::Statistics::of_rows(&values[rows], width);
            assert_eq!(
                of_episodes[&episode.index][name].quantiles, expected.quantiles,
                "{name}"
            );
        }
    }
    let all: Value = serde_json::from_str(&std::fs::read_to_string(out.join("meta/stats.json")).unwrap()).unwrap();
    for (name, of) in all.as_object().unwrap() {
        for (statistic, values) in of.as_object().unwrap() {
            assert!(!values.as_array().unwrap().is_empty(), "{name} {statistic}");
        }
    }
}

#[test]
fn tables_are_read_however_they_are_compressed() {
    let foreign = Foreign::default();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let (_folder, root) = made(&foreign);
        for file in [DATA, EPISODES, "meta/tasks.parquet"] {
            let rows = read(&root.join(file));
            write(&root.join(file), compression, &rows);
        }
        let expected: Vec<f32> = (0..10).flat_map(|row| foreign.row(row)).collect();
        assert_eq!(
            Dataset::open(&root).unwrap().vector("action").unwrap(),
            expected,
            "{compression:?}"
        );
    }
}

/// The leaf columns of a table, with their types.
fn leaves(batch: &arrow_array::RecordBatch) -> Vec<(ColumnPath, Type)> {
    let mut file = tempfile::tempfile().unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    let written = writer.close().unwrap();
    let columns = written.file_metadata().schema_descr().columns().to_vec();
    columns
        .iter()
        .map(|of| (of.path().clone(), of.physical_type()))
        .collect()
}

#[test]
fn tables_are_read_however_their_pages_are_encoded() {
    let foreign = Foreign {
        lengths: vec![200, 100],
        ..Foreign::default()
    };
    let expected: Vec<f32> = (0..300).flat_map(|row| foreign.row(row)).collect();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for compression in [Compression::UNCOMPRESSED, Compression::ZSTD(ZstdLevel::default())] {
            let (_folder, root) = made(&foreign);
            for file in [DATA, EPISODES, "meta/tasks.parquet"] {
                let path = root.join(file);
                let rows = read(&path);
                let mut properties = WriterProperties::builder()
                    .set_dictionary_enabled(false)
                    .set_writer_version(version)
                    .set_compression(compression);
                for (column, of) in leaves(&rows) {
                    let encoding = match of {
                        Type::FLOAT | Type::DOUBLE => Encoding::BYTE_STREAM_SPLIT,
                        Type::INT32 | Type::INT64 => Encoding::DELTA_BINARY_PACKED,
                        _ => Encoding::DELTA_LENGTH_BYTE_ARRAY,
                    };
                    properties = properties.set_column_encoding(column, encoding);
                }
                write_as(&path, properties, &rows);
            }
            assert_eq!(problems(&root), Vec::<String>::new(), "{version:?} {compression:?}");
            let dataset = Dataset::open(&root).unwrap();
            assert_eq!(dataset.vector("action").unwrap(), expected);
            assert_eq!(dataset.episodes()[1].tasks, ["pick the cube"]);
        }
    }
    let (_folder, root) = made(&foreign);
    let path = root.join("meta/tasks.parquet");
    let texts = ColumnPath::from("task");
    let properties = WriterProperties::builder().set_column_dictionary_enabled(texts.clone(), false);
    write_as(
        &path,
        properties.set_column_encoding(texts, Encoding::DELTA_BYTE_ARRAY),
        &read(&path),
    );
    let said = Dataset::open(&root).unwrap_err().to_string();
    assert!(said.contains("encoding 7, which is not read"), "{said}");
}

#[test]
fn late_times_are_as_right_as_32_bits_can_be() {
    let (_folder, root) = made(&Foreign {
        fps: 7,
        lengths: vec![14_500],
        tasks: vec!["wait"],
        ..Foreign::default()
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    let rows = read(&root.join(DATA));
    let times = rows.column_by_name("timestamp").unwrap();
    let late: Vec<f32> = times
        .as_primitive::<arrow_array::types::Float32Type>()
        .values()
        .iter()
        .map(|t| t + 0.002)
        .collect();
    exchange(
        &root.join(DATA),
        &[("timestamp", Some(Arc::new(arrow_array::Float32Array::from(late))))],
    );
    assert!(problems(&root)[0].contains("frame 0 at 7 Hz"), "{:?}", problems(&root));
}

#[test]
fn episodes_without_rows_are_left_out_and_named() {
    let (_folder, root) = made(&Foreign {
        lengths: vec![5, 0, 5],
        tasks: vec!["pick", "pick", "push"],
        ..Foreign::default()
    });
    assert_eq!(problems(&root), Vec::<String>::new());
    let out = root.with_file_name("merged");
    let output = command_line::dataset(&["merge", root.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("episode 1 has no rows"));
    let merged = Dataset::open(&out).unwrap();
    assert_eq!((merged.episodes().len(), merged.frames()), (2, 10));
    assert_eq!(merged.episodes()[1].tasks, ["push"]);
    // A video has at least one frame.
    let videos = root.with_file_name("videos");
    let output = command_line::dataset(&["encode", root.to_str().unwrap(), "--out", videos.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("episode 1 has no rows"),
        "{said}"
    );
    assert!(!videos.exists());
}

#[test]
fn values_that_are_all_the_same_take_few_bytes() {
    let foreign = Foreign {
        lengths: vec![1500],
        tasks: vec!["touch"],
        column: "observation.tactile",
        names: Value::Null,
        width: 1024,
        ..Foreign::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write_with(&root, |_| vec![0.0; 1024]);
    assert!(std::fs::metadata(root.join(DATA)).unwrap().len() < 100_000);
    let dataset = Dataset::open(&root).unwrap();
    assert_eq!(dataset.vector("observation.tactile").unwrap().len(), 1500 * 1024);
}

#[test]
fn rows_of_another_length_are_named_even_where_the_total_fits() {
    let foreign = Foreign::default();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    foreign.write_with(&root, |row| match row {
        2 => vec![0.0; 6],
        3 => vec![0.0; 8],
        _ => vec![0.0; 7],
    });
    let said = problems(&root).join("\n");
    assert!(
        said.contains("column action, row 2: expected 7 values, found 6"),
        "{said}"
    );
    assert!(Dataset::open(&root).unwrap_err().to_string().contains("row 2"));
}

#[test]
fn rows_in_another_order_than_described_are_named() {
    let (_folder, root) = made(&Foreign::default());
    let mut frames: Vec<usize> = (0..5).chain(0..5).collect();
    frames.swap(7, 8);
    exchange(&root.join(DATA), &[("frame_index", Some(whole(frames)))]);
    let said = Dataset::open(&root).unwrap_err().to_string();
    assert!(
        said.contains("row 7: expected frame 2 of episode 1, found frame 3 of episode 1"),
        "{said}"
    );
    // These columns are optional.
    exchange(&root.join(DATA), &[("frame_index", None), ("episode_index", None)]);
    assert_eq!(Dataset::open(&root).unwrap().frames(), 10);
}

#[test]
fn instructions_that_no_prompt_can_hold_are_named_before_anything_is_trained() {
    for wrong in ["pick <|im_end|> up", "pick \u{1f50d} up", " ", "\u{200b}\u{feff}", ""] {
        let (_folder, root) = made(&Foreign {
            tasks: vec!["pick", wrong],
            ..Foreign::default()
        });
        let said = problems(&root).join("\n");
        assert!(said.contains("episode 1: instruction: expected"), "{said}");
        assert!(said.contains("dataset relabel"), "{said}");
        // The instructions of the rows count, whatever the table of episodes contains.
        let mut plain = ListBuilder::new(arrow_array::builder::StringBuilder::new());
        for _ in 0..2 {
            plain.values().append_value("pick");
            plain.append(true);
        }
        exchange(&root.join(EPISODES), &[("tasks", Some(Arc::new(plain.finish())))]);
        assert!(problems(&root)[0].contains("episode 1: instruction: expected"));
    }
    // A task index that the table does not contain.
    let (_folder, root) = made(&Foreign::default());
    let numbers = (0..10).map(|row| usize::from(row >= 5) * 4);
    exchange(&root.join(DATA), &[("task_index", Some(whole(numbers)))]);
    assert!(problems(&root)[0].contains("episode 1: instruction: expected words, found none"));
}

#[test]
fn numbers_are_read_whatever_type_they_are_stored_as() {
    let foreign = Foreign::default();
    let (_folder, root) = made(&foreign);
    let expected: Vec<f32> = (0..10).flat_map(|row| foreign.row(row)).collect();
    let episodes = (0..10).map(|row| row / 5);
    exchange(
        &root.join(DATA),
        &[
            ("task_index", Some(Arc::new(UInt64Array::from(vec![0; 10])))),
            ("episode_index", Some(Arc::new(Int16Array::from_iter_values(episodes)))),
            (
                "index",
                Some(Arc::new(Float64Array::from_iter_values((0..10).map(f64::from)))),
            ),
        ],
    );
    assert_eq!(Dataset::open(&root).unwrap().vector("action").unwrap(), expected);
    assert_eq!(problems(&root), Vec::<String>::new());
    let broken = Float64Array::from_iter_values((0..10).map(|row| f64::from(row) + 0.5));
    exchange(&root.join(DATA), &[("index", Some(Arc::new(broken)))]);
    assert!(problems(&root)[0].contains("column index: expected whole numbers, found 0.5"));
}

/// A column of lists of 16-bit numbers.
fn halves(foreign: &Foreign) -> ArrayRef {
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    let mut rows = ListBuilder::new(PrimitiveBuilder::<Float16Type>::new());
    for row in 0..10 {
        for value in foreign.row(row) {
            rows.values().append_value(Half::from_f32(value));
        }
        rows.append(true);
    }
    Arc::new(rows.finish())
}

/// A column of lists of lists of one number.
fn lists_of_lists(foreign: &Foreign) -> ArrayRef {
    let mut rows = ListBuilder::new(ListBuilder::new(Float32Builder::new()));
    for row in 0..10 {
        for value in foreign.row(row) {
            rows.values().values().append_value(value);
            rows.values().append(true);
        }
        rows.append(true);
    }
    Arc::new(rows.finish())
}

#[test]
fn actions_of_16_bits_or_of_two_dimensions_are_read() {
    let foreign = Foreign::default();
    let expected: Vec<f32> = (0..10).flat_map(|row| foreign.row(row)).collect();
    let of_16_bits = halves(&foreign);
    let nested = lists_of_lists(&foreign);
    for (dtype, shape, column) in [
        ("float16", json!([7]), Some(of_16_bits)),
        ("float32", json!([7, 1]), Some(nested)),
        ("float32", json!([7, 1]), None),
        ("float32", json!([1, 7]), None),
    ] {
        let (_folder, root) = made(&foreign);
        describe(&root, |info| {
            info["features"]["action"]["dtype"] = json!(dtype);
            info["features"]["action"]["shape"] = shape.clone();
        });
        if let Some(column) = column {
            exchange(&root.join(DATA), &[("action", Some(column))]);
        }
        let found = Dataset::open(&root).unwrap();
        assert_eq!(found.vector("action").unwrap(), expected, "{dtype} {shape}");
        assert_eq!(found.info().features["action"].value_names()[6], "gripper");
        assert_eq!(problems(&root), Vec::<String>::new(), "{dtype} {shape}");
    }
}

#[test]
fn types_that_are_not_read_or_not_known_are_named() {
    for (dtype, known) in [
        ("int64", true),
        ("bool", true),
        ("Float32", false),
        ("torch.float32", false),
    ] {
        let (_folder, root) = made(&Foreign::default());
        describe(&root, |info| info["features"]["action"]["dtype"] = json!(dtype));
        let dataset = Dataset::open(&root).unwrap();
        let said = dataset.vector("action").unwrap_err().to_string();
        assert!(
            said.contains("column action") && said.contains(&format!("found {dtype} of shape [7]")),
            "{said}"
        );
        let found = problems(&root).join("\n");
        assert_eq!(found.is_empty(), known, "{found}");
        assert_eq!(
            found.contains("column action: expected a dtype of LeRobot"),
            !known,
            "{found}"
        );
    }
}

#[test]
fn a_description_may_say_less_or_say_it_otherwise() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("no total of tasks", |info| {
            drop(info.as_object_mut().unwrap().remove("total_tasks"))
        }),
        ("no totals at all", |info| {
            for total in [
                "total_tasks",
                "total_episodes",
                "total_frames",
                "robot_type",
                "chunks_size",
                "data_path",
            ] {
                info.as_object_mut().unwrap().remove(total);
            }
        }),
        ("totals that are null", |info| {
            info["total_episodes"] = Value::Null;
            info["total_tasks"] = Value::Null;
            info["chunks_size"] = Value::Null;
            info["data_path"] = Value::Null;
        }),
        ("totals with a fraction of 0", |info| {
            info["total_episodes"] = json!(2.0);
            info["total_frames"] = json!(10.0);
            info["chunks_size"] = json!(1000.0);
        }),
        ("splits that are null", |info| info["splits"] = Value::Null),
        ("splits that are lists", |info| {
            info["splits"] = json!({"train": [0, 1]})
        }),
        ("more than is known", |info| {
            info["license"] = json!({"spdx": "CC0-1.0"})
        }),
        ("names in groups", |info| {
            info["features"]["action"]["names"] = json!({"tool": ["x", "y", "z", "rx", "ry", "rz"], "zz": ["gripper"]});
        }),
    ];
    for (what, change) in changes {
        let (_folder, root) = made(&Foreign::default());
        describe(&root, change);
        let dataset = Dataset::open(&root).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((dataset.episodes().len(), dataset.frames()), (2, 10), "{what}");
        assert_eq!(
            (dataset.info().total_episodes, dataset.info().total_frames),
            (2, 10),
            "{what}"
        );
        let names = dataset.info().features["action"].value_names();
        assert_eq!(names.join(" "), "x y z rx ry rz gripper", "{what}");
    }
    for wrong in [json!(1.5), json!(-1), json!(1e300)] {
        for total in ["total_episodes", "total_frames", "total_tasks", "chunks_size"] {
            let (_folder, root) = made(&Foreign::default());
            describe(&root, |info| info[total] = wrong.clone());
            let said = Dataset::open(&root).unwrap_err().to_string();
            assert!(
                said.contains("meta/info.json") && said.contains("expected a whole number"),
                "{total}: {said}"
            );
        }
    }
    for version in [Value::Null, json!(3.0), json!("v1.6"), json!("v3.1")] {
        let (_folder, root) = made(&Foreign::default());
        describe(&root, |info| info["codebase_version"] = version.clone());
        let said = Dataset::open(&root).unwrap_err().to_string();
        let expected = format!("codebase_version: expected \"v2.0\", \"v2.1\" or \"v3.0\", found {version}");
        assert!(said.contains("meta/info.json") && said.contains(&expected), "{said}");
    }
    // As written by Windows and Python.
    let (_folder, root) = made(&Foreign::default());
    let path = root.join("meta/info.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("\u{feff}{}", text.replacen('{', "{\"rest\": NaN, ", 1))).unwrap();
    assert_eq!(Dataset::open(&root).unwrap().frames(), 10);
}

#[test]
fn numbers_of_instructions_may_have_gaps_and_their_table_any_index() {
    let (_folder, root) = made(&Foreign::default());
    let table = |numbers: [usize; 2], column: &str| {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["push", "pick"]));
        let columns = foreign::batch(vec![("task_index", whole(numbers)), (column, texts)]);
        write(&root.join("meta/tasks.parquet"), Compression::SNAPPY, &columns);
    };
    exchange(&root.join(DATA), &[("task_index", Some(whole([7; 10])))]);
    exchange(&root.join(EPISODES), &[("tasks", None)]);
    for column in ["task", "__index_level_0__", "instruction"] {
        table([3, 7], column);
        assert_eq!(Dataset::open(&root).unwrap().episodes()[0].tasks, ["pick"], "{column}");
    }
    table([3, 8], "task");
    let dataset = Dataset::open(&root).unwrap();
    let at = thinkvla::dataset::At { episode: 0, frame: 0 };
    assert!(
        dataset
            .task(at)
            .unwrap_err()
            .to_string()
            .contains("found 7, which none has")
    );
    table([3, 3], "task");
    assert!(
        Dataset::open(&root)
            .unwrap_err()
            .to_string()
            .contains("each once, found 3")
    );
    table([3, 1 << 40], "task");
    assert!(Dataset::open(&root).is_err());
}

#[test]
fn a_column_of_lists_of_one_is_a_column_of_numbers() {
    let (_folder, root) = made(&Foreign::default());
    let mut times = ListBuilder::new(Float32Builder::new());
    for row in 0..10 {
        times.values().append_value((row % 5) as f32 / 10.0);
        times.append(true);
    }
    exchange(&root.join(DATA), &[("timestamp", Some(Arc::new(times.finish())))]);
    assert_eq!(problems(&root), Vec::<String>::new());
}
