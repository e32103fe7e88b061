//! Tests of files that are something else, and of files that systems leave in folders.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, StringArray, StructArray};
use thinkvla::dataset::Dataset;

use super::foreign::{DATA, EPISODES, Foreign, exchange, read};
use super::{made, problems, redrawn, sample_dataset, with_pictures};

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
            let message = Dataset::open(&root).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(file), "{file}: {message}");
        }
        let (_folder, root) = made(&Foreign::default());
        std::fs::write(root.join("meta/stats.json"), bytes).unwrap();
        let message = problems(&root).join("\n");
        assert!(
            message.contains(name) && message.contains("meta/stats.json"),
            "{message}"
        );
    }
    for (bytes, problem) in [
        (&b""[..], "found an empty one"),
        (b"{\"error\": \"Entry not found\"}", "begins with \"{\\\"error\\\""),
        (&[0; 64], "begins with \"\\x00"),
    ] {
        let (_folder, root) = made(&Foreign::default());
        std::fs::write(root.join(DATA), bytes).unwrap();
        let message = Dataset::open(&root).unwrap_err().to_string();
        assert!(
            message.contains("expected a parquet file") && message.contains(problem),
            "{message}"
        );
    }
}

#[test]
fn folders_that_are_something_else_are_called_by_their_names() {
    for (file, name) in [
        ("meta_data/info.json", "LeRobot before v2.0"),
        ("info.json", "name the folder that holds it"),
        ("state.json", "save_to_disk"),
        ("dataset_info.json", "TensorFlow (RLDS)"),
        (".zgroup", "a Zarr store"),
        ("metadata.yaml", "`thinkvla dataset import`"),
        ("config.json", "a checkpoint"),
        ("meta/tasks.parquet", "a part of a dataset"),
        ("notes.txt", "name the folder that holds meta"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{}").unwrap();
        let message = Dataset::open(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("found no meta/info.json") && message.contains(name),
            "{file}: {message}"
        );
    }
    // The cache of Hugging Face, and a file.
    let (folder, root) = made(&Foreign::default());
    let inner = folder.path().join("hub/datasets--a--b/snapshots/1f2e");
    std::fs::create_dir_all(inner.parent().unwrap()).unwrap();
    std::fs::rename(&root, &inner).unwrap();
    let message = Dataset::open(&folder.path().join("hub")).unwrap_err().to_string();
    assert!(message.contains(inner.to_str().unwrap()), "{message}");
    let message = Dataset::open(&inner.join("meta/tasks.parquet"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("expected the folder of a dataset, found a file"),
        "{message}"
    );
}

#[test]
fn pictures_of_which_rows_have_only_paths_are_refused_with_what_to_do() {
    let (_folder, root) = with_pictures();
    let camera = sample_dataset::CAMERAS[0];
    let path = root.join("data/chunk-000/file-000.parquet");
    let rows = read(&path);
    let paths = StringArray::from_iter_values((0..rows.num_rows()).map(|row| format!("images/{row}.png")));
    let bytes = BinaryArray::from(vec![None::<&[u8]>; rows.num_rows()]);
    let fields = rows.column_by_name(camera).unwrap().as_struct().fields().clone();
    let columns: Vec<ArrayRef> = vec![Arc::new(bytes), Arc::new(paths.clone())];
    let pictures: ArrayRef = Arc::new(StructArray::try_new(fields, columns, None).unwrap());
    for column in [pictures, Arc::new(paths)] {
        exchange(&path, &[(camera, Some(column))]);
        let message = problems(&root).join("\n");
        assert!(
            message.contains(camera) && message.contains("perhaps only a path; write the pictures into the rows"),
            "{message}"
        );
    }
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
        let message = problems(&root).join("\n");
        let expected = format!("expected JPEG or PNG, this is {name}; convert it to PNG");
        assert!(message.contains(&expected), "{message}");
    }
}
