//! Tests of `check`: it names every defect of a checkpoint in one line.

mod data_sets;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use safetensors::tensor::{SafeTensors, TensorView};
use safetensors::{Dtype, serialize};
use serde_json::json;
use thinkvla::contract::{Contract, Normalisation};
use thinkvla::inspect::check::{CheckReport, CheckpointCheck};
use thinkvla::model::checkpoint::CheckpointOptions;

use crate::case::sets;
use crate::formats::{change, copy};
use crate::support::checkpoint;

fn check(path: &Path) -> CheckReport {
    check_with(path, (None, &[]))
}

fn check_with(path: &Path, (dataset, constant): (Option<&Path>, &[String])) -> CheckReport {
    let check = CheckpointCheck {
        options: &CheckpointOptions::default(),
        dataset,
        constant,
    };
    check.run(path)
}

/// Damages a checkpoint and expects one line that names the defect.
#[track_caller]
fn broken(damage: impl FnOnce(&Path), expected: &[&str]) {
    let directory = checkpoint(7);
    damage(directory.path());
    named(&check(directory.path()), expected);
}

#[track_caller]
fn named(report: &CheckReport, expected: &[&str]) {
    let line = report
        .failures
        .iter()
        .find(|line| expected.iter().all(|part| line.contains(part)));
    assert!(line.is_some(), "expected {expected:?} in {:#?}", report.failures);
    assert!(report.failures.iter().all(|line| !line.contains('\n')));
    assert_eq!(report.failures.len(), 1, "{:#?}", report.failures);
}

fn weights(directory: &Path, with: impl Fn(&mut BTreeMap<String, TensorView>)) {
    let path = directory.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<String, TensorView> = file.tensors().into_iter().collect();
    with(&mut tensors);
    std::fs::write(&path, serialize(tensors, None).unwrap()).unwrap();
}

fn contract(directory: &Path, with: impl Fn(&mut Contract)) {
    let mut contract = Contract::load(directory).unwrap();
    with(&mut contract);
    contract.save(directory).unwrap();
}

fn view(dtype: Dtype, shape: &[usize]) -> TensorView<'static> {
    static ZEROS: [u8; 4096] = [0; 4096];
    let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    TensorView::new(dtype, shape.to_vec(), &ZEROS[..bytes]).unwrap()
}

const NORM: &str = "model.language_model.layers.1.self_attn.k_norm.weight";

#[test]
fn nothing_speaks_against_a_whole_checkpoint() {
    let directory = checkpoint(7);
    let report = check(directory.path());
    assert_eq!(report.failures, Vec::<String>::new());
    let text = report.to_string();
    for expected in [
        "cameras in order: top 640x480 at 30 Hz, wrist",
        "4 steps at 10 Hz, 0.40 s",
        "128x128, fed as 128x128: 8x8 patches, 4x4 = 16 tokens",
        "-0.0200 to 0.0200",
        "GFLOP/s measured now",
        "about 0.5 GB in float32",
        "nothing speaks against it",
    ] {
        assert!(text.contains(expected), "expected {expected:?} in\n{text}");
    }
}

#[test]
fn a_missing_file() {
    for name in ["config.json", "tokenizer.json", "model.safetensors", "contract.yaml"] {
        broken(
            |at| std::fs::remove_file(at.join(name)).unwrap(),
            &["cannot read", name],
        );
    }
}

#[test]
fn a_truncated_file() {
    let cut = |at: &Path| {
        let path = at.join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    };
    broken(cut, &["model.safetensors", "truncated or not safetensors"]);
}

#[test]
fn weights_with_bytes_after_the_last_tensor() {
    let lengthen = |at: &Path| {
        let path = at.join("model.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([0; 9]);
        std::fs::write(&path, bytes).unwrap();
    };
    broken(lengthen, &["model.safetensors", "found 9 bytes after it"]);
}

#[test]
fn a_missing_tensor() {
    broken(
        |at| weights(at, |all| drop(all.remove(NORM))),
        &["missing", NORM, "expected shape [16]"],
    );
}

#[test]
fn an_extra_tensor() {
    broken(
        |at| weights(at, |all| drop(all.insert("vggt.weight".into(), view(Dtype::F32, &[3])))),
        &["extra: vggt.weight"],
    );
}

#[test]
fn a_tensor_of_another_shape() {
    broken(
        |at| weights(at, |all| drop(all.insert(NORM.into(), view(Dtype::BF16, &[32])))),
        &["shape of", NORM, "expected [16], found [32]"],
    );
}

#[test]
fn a_tensor_of_another_type() {
    broken(
        |at| weights(at, |all| drop(all.insert(NORM.into(), view(Dtype::I32, &[16])))),
        &["type of", NORM, "expected F32, BF16 or F16, found I32"],
    );
}

#[test]
fn weights_that_are_no_numbers() {
    let bytes: Vec<u8> = [0x80, 0x7f, 0xc0, 0x7f].into_iter().chain([0; 28]).collect();
    broken(
        |at| {
            weights(at, |all| {
                let bad = TensorView::new(Dtype::BF16, vec![16], Box::leak(bytes.clone().into_boxed_slice())).unwrap();
                all.insert(NORM.into(), bad);
            });
        },
        &["values of", NORM, "found 2 of 16 NaN or infinite"],
    );
}

#[test]
fn a_tokenizer_of_another_checkpoint() {
    broken(
        |at| change(&at.join("config.json"), |json| json["image_token_id"] = json!(1)),
        &["tokenizer.json", "<|image_pad|>", "image_token_id"],
    );
}

#[test]
fn a_chunk_of_another_length() {
    broken(
        |at| change(&at.join("config.json"), |json| json["thinkvla"]["chunk_len"] = json!(5)),
        &["thinkvla.chunk_len", "4, found 5"],
    );
}

#[test]
fn actions_of_another_dimension() {
    broken(
        |at| {
            let file = at.join("contract.yaml");
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text.replace("ee7", "joint8")).unwrap();
        },
        &["data.statistics", "expected 8 entries", "found 7"],
    );
}

#[test]
fn statistics_that_are_no_numbers() {
    broken(
        |at| contract(at, |c| c.data.statistics[1].std = f64::NAN),
        &["statistics of y", "std", "finite", "NaN"],
    );
}

#[test]
fn a_dimension_that_never_moved() {
    let still = |c: &mut Contract| (c.data.statistics[2].min, c.data.statistics[2].max) = (0.01, 0.01);
    broken(
        |at| contract(at, still),
        &["statistics of z", "constant in the training data"],
    );
    let directory = checkpoint(7);
    contract(directory.path(), still);
    let report = check_with(directory.path(), (None, &["z".to_owned()]));
    assert_eq!(report.failures, Vec::<String>::new());
}

#[test]
fn quantiles_that_are_equal_are_never_allowed() {
    let directory = checkpoint(7);
    contract(directory.path(), |c| {
        let of = &mut c.data.statistics[0];
        (of.normalisation, of.q01, of.q99) = (Normalisation::Q99, 0.5, 0.5);
    });
    let report = check_with(directory.path(), (None, &["x".to_owned()]));
    named(&report, &["statistics of x", "expected q01 < q99, found 0.5 and 0.5"]);
}

#[test]
fn quantiles_the_wrong_way_round() {
    broken(
        |at| {
            contract(at, |c| {
                let of = &mut c.data.statistics[0];
                (of.normalisation, of.q01, of.q99) = (Normalisation::Q99, 0.5, -0.5);
            });
        },
        &["data.statistics of x", "ordered", "0.5 and -0.5"],
    );
}

#[test]
fn a_value_nobody_knows() {
    for (pointer, value, expected) in [
        (
            "/text_config/hidden_act",
            json!("gelu"),
            "text_config.hidden_act: expected silu, found gelu",
        ),
        ("/thinkvla/hidden_tap", json!("middle"), "unknown variant `middle`"),
        (
            "/model_type",
            json!("qwen2_5_vl"),
            "model_type: expected qwen3_vl, found qwen2_5_vl",
        ),
    ] {
        broken(
            |at| {
                change(&at.join("config.json"), |json| {
                    *json.pointer_mut(pointer).unwrap() = value.clone()
                })
            },
            &["config.json", expected],
        );
    }
}

#[test]
fn a_pickle() {
    broken(
        |at| std::fs::rename(at.join("model.safetensors"), at.join("model.pt")).unwrap(),
        &["model.pt", "never read", "python3 -c"],
    );
}

#[test]
fn a_run_without_a_robot() {
    named(
        &check(&sets().join("starvla/run")),
        &["does not say for which robot", "--robot FILE"],
    );
}

#[test]
fn statistics_of_a_run_that_are_no_numbers() {
    let directory = copy(&sets().join("starvla"));
    let file = directory.path().join("run/dataset_statistics.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("-0.9", "NaN", 1)).unwrap();
    named(
        &check(&directory.path().join("run")),
        &["dataset_statistics.json", "expected finite numbers, found NaN"],
    );
}

#[test]
fn a_backbone_alone_may_be_asked() {
    let report = check(&sets().join("deep/checkpoint"));
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(
        report
            .to_string()
            .contains("can be asked and converted, and cannot act")
    );
    let directory = copy(&sets().join("deep/checkpoint"));
    change(&directory.path().join("config.json"), |json| {
        json["image_token_id"] = json!(9)
    });
    named(&check(directory.path()), &["tokenizer.json", "id 9", "found 0"]);
}

#[test]
fn devices_fifos_and_endless_files_are_refused_before_they_are_read() {
    type Maker = fn(&Path);
    let special: [(&str, Maker); 3] = [
        ("found a FIFO", |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("found a character device", |path| symlink("/dev/zero", path).unwrap()),
        ("found one of 4096 GiB", |path| {
            File::create(path).unwrap().set_len(1 << 42).unwrap()
        }),
    ];
    for name in ["config.json", "tokenizer.json", "contract.yaml"] {
        for (found, make) in special {
            let replace = |directory: &Path| {
                std::fs::remove_file(directory.join(name)).unwrap();
                make(&directory.join(name));
            };
            broken(replace, &[name, "expected a regular file of at most", found]);
        }
    }
    let weights = |directory: &Path| {
        let path = directory.join("model.safetensors");
        std::fs::remove_file(&path).unwrap();
        special[0].1(&path);
    };
    broken(
        weights,
        &["model.safetensors", "expected a regular file", "found a FIFO"],
    );
}
