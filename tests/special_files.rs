//! Tests that special and endless files are refused at once wherever a user may name a file.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use thinkvla::camera::file;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::contract::Contract;
use thinkvla::control::config::ArmConfig;
use thinkvla::dataset::Dataset;
use thinkvla::dataset::video::VideoReader;
use thinkvla::teleop::mapping::Mapping;

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn device(path: &Path) {
    symlink("/dev/zero", path).unwrap();
}

/// A sparse file of 4 TiB.
fn hole(path: &Path) {
    File::create(path).unwrap().set_len(1 << 42).unwrap();
}

fn circle(path: &Path) {
    symlink(path, path).unwrap();
}

/// Function that creates a special file.
type Maker = fn(&Path);
/// Function that reads a file of some kind; returns the error.
type Reader = fn(&Path) -> String;

#[test]
fn every_reader_of_a_named_file_refuses_what_is_none() {
    let readers: [(&str, Reader); 4] = [
        ("robot", |path| ArmConfig::load(path).unwrap_err().to_string()),
        ("contract", |path| Contract::read(path).unwrap_err().to_string()),
        ("mapping", |path| Mapping::load(path).unwrap_err().to_string()),
        ("picture", |path| {
            file::load(path, &mut RgbImage::default()).unwrap_err().to_string()
        }),
    ];
    let kinds: [(Maker, &str); 4] = [
        (fifo, "found a FIFO"),
        (device, "found a character device"),
        (hole, "found one of 4096 GiB"),
        (circle, "symbolic links"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (reader, read) in readers {
        for (number, (make, found)) in kinds.into_iter().enumerate() {
            let path = folder.path().join(format!("{reader}{number}"));
            make(&path);
            let message = read(&path);
            assert!(message.contains(found), "{reader}: {message}");
        }
    }
}

#[test]
fn every_reader_of_a_named_file_says_that_it_is_empty() {
    let readers: [(&str, Reader); 5] = [
        ("robot", |path| ArmConfig::load(path).unwrap_err().to_string()),
        ("contract", |path| Contract::read(path).unwrap_err().to_string()),
        ("mapping", |path| Mapping::load(path).unwrap_err().to_string()),
        ("picture", |path| {
            file::load(path, &mut RgbImage::default()).unwrap_err().to_string()
        }),
        ("video", |path| {
            VideoReader::open(path).map(drop).unwrap_err().to_string()
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (reader, read) in readers {
        let path = folder.path().join(reader);
        std::fs::write(&path, "").unwrap();
        let message = read(&path);
        assert!(message.contains("an empty file"), "{reader}: {message}");
    }
}

#[cfg(feature = "torch")]
#[test]
fn an_empty_configuration_of_a_training_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.yaml");
    for empty in ["", " \n"] {
        std::fs::write(&path, empty).unwrap();
        let message = thinkvla::training::config::TrainingConfig::load(&path)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("train.yaml") && message.contains("an empty file"),
            "{message}"
        );
    }
}

#[test]
fn a_dataset_of_special_files_is_refused() {
    for (make, found) in [(fifo as Maker, "found a FIFO"), (hole, "found one of 4096 GiB")] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("meta")).unwrap();
        make(&folder.path().join("meta/info.json"));
        let message = Dataset::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("info.json") && message.contains(found), "{message}");
    }
}
