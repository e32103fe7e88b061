//! Tests of `thinkvla parity`: it distinguishes a checkpoint that agrees with the reference from one that does not, and
//! both from a file that cannot be judged.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::case::sets;

const VGGT: [&str; 2] = ["vggt_tiny_square.safetensors", "vggt_tiny_wide.safetensors"];

fn vggt(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vggt").join(name)
}

/// Runs the command; returns exit code, standard output and standard error.
fn parity(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_thinkvla"))
        .arg("parity")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A tensor of a file that is being changed.
#[derive(Clone)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

/// Writes a changed copy of a case.
fn changed(source: &Path, target: &Path, change: impl Fn(&mut HashMap<String, Stored>, &mut HashMap<String, String>)) {
    let bytes = std::fs::read(source).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut notes = header.metadata().clone().unwrap_or_default();
    let own = |(key, view): (String, TensorView)| {
        let (dtype, shape, data) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        (key, Stored { dtype, shape, data })
    };
    let mut tensors: HashMap<_, _> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(own)
        .collect();
    change(&mut tensors, &mut notes);
    let view = |(key, t): (&String, &'_ Stored)| (key.clone(), t.clone());
    let views: Vec<(String, Stored)> = tensors.iter().map(view).collect();
    let views: Vec<(&str, TensorView)> = views
        .iter()
        .map(|(key, t)| {
            (
                key.as_str(),
                TensorView::new(t.dtype, t.shape.clone(), &t.data).unwrap(),
            )
        })
        .collect();
    safetensors::serialize_to_file(views, Some(notes), target).unwrap();
}

fn nudge(tensor: &mut Stored, by: f32) {
    let first: [u8; 4] = tensor.data[..4].try_into().unwrap();
    tensor.data[..4].copy_from_slice(&(f32::from_le_bytes(first) + by).to_le_bytes());
}

#[test]
fn vggt_computes_what_its_reference_computes_square_and_wide() {
    for name in VGGT {
        let (code, table, complaint) = parity(&["--vggt", vggt(name).to_str().unwrap()]);
        assert_eq!(code, 0, "{table}{complaint}");
        for tensor in ["dino_patch_tokens", "layer0", "last", "last_resized_16x16"] {
            let line = table
                .lines()
                .find(|line| line.starts_with(&format!("expected.{tensor} ")));
            assert!(line.unwrap().ends_with("ok"), "{table}");
        }
        println!("{table}");
    }
}

#[test]
fn a_deviation_above_the_tolerance_fails_and_one_below_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("case.safetensors");
    changed(&vggt(VGGT[0]), &case, |tensors, _| {
        nudge(tensors.get_mut("expected.last").unwrap(), 0.01);
    });
    let case = case.to_str().unwrap();
    let (code, table, _) = parity(&["--vggt", case]);
    assert_eq!(code, 1, "{table}");
    assert!(table.contains("FAILS"), "{table}");
    assert_eq!(parity(&["--vggt", case, "--tol", "0.02"]).0, 0);
    assert_eq!(parity(&["--vggt", case, "--tol", "1e-9"]).0, 1);
    // As one number among many it hardly changes the direction of the whole.
    assert_eq!(parity(&["--vggt", case, "--cosine", "0.999"]).0, 0);
}

#[test]
fn a_changed_weight_fails() {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("case.safetensors");
    for key in [
        "aggregator.camera_token",
        "aggregator.register_token",
        "aggregator.patch_embed.cls_token",
        "aggregator.patch_embed.register_tokens",
        "aggregator.patch_embed.pos_embed",
        "aggregator.frame_blocks.1.attn.q_norm.bias",
        "aggregator.global_blocks.0.ls2.gamma",
    ] {
        changed(&vggt(VGGT[1]), &case, |tensors, _| {
            nudge(tensors.get_mut(key).unwrap(), 3.0);
        });
        let (code, table, _) = parity(&["--vggt", case.to_str().unwrap()]);
        assert_eq!(code, 1, "{key}:\n{table}");
    }
}

#[test]
fn a_file_that_cannot_be_judged_is_told_from_one_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("case.safetensors");
    type Change = fn(&mut HashMap<String, Stored>, &mut HashMap<String, String>);
    let changes: [(Change, &str); 10] = [
        (
            |t, _| drop(t.remove("aggregator.camera_token")),
            "missing: aggregator.camera_token",
        ),
        (|t, _| drop(t.remove("input.images")), "input.images"),
        (
            |t, _| t.retain(|key, _| !key.starts_with("expected.")),
            "at least one tensor expected.",
        ),
        (
            |t, _| {
                let last = t.remove("expected.last").unwrap();
                t.insert("expected.depth".into(), last);
            },
            "expected.depth",
        ),
        (
            |t, _| {
                let first = t.remove("expected.layer0").unwrap();
                t.insert("expected.layer9".into(), first);
            },
            "2 layers",
        ),
        (
            |t, _| t.get_mut("expected.last").unwrap().dtype = Dtype::I32,
            "found I32",
        ),
        (
            |t, _| t.get_mut("aggregator.camera_token").unwrap().dtype = Dtype::I32,
            "aggregator.camera_token: expected F32, BF16 or F16, found I32",
        ),
        (
            |t, _| {
                let token = t["aggregator.camera_token"].clone();
                t.insert("aggregator.extra_token".into(), token);
            },
            "extra: aggregator.extra_token",
        ),
        (
            |_, notes| drop(notes.insert("rope_freq".into(), "fast".into())),
            "rope_freq",
        ),
        (|_, notes| drop(notes.remove("depth")), "depth"),
    ];
    for (change, named) in changes {
        changed(&vggt(VGGT[0]), &case, change);
        let (code, table, complaint) = parity(&["--vggt", case.to_str().unwrap()]);
        assert_eq!(code, 2, "{named}: {table}{complaint}");
        assert!(complaint.contains(named), "{named}: {complaint}");
    }
    std::fs::write(&case, b"not safetensors").unwrap();
    assert_eq!(parity(&["--vggt", case.to_str().unwrap()]).0, 2);
    assert_eq!(parity(&["--vggt", "/nowhere.safetensors"]).0, 2);
    assert_eq!(
        parity(&[vggt(VGGT[0]).to_str().unwrap()]).0,
        2,
        "neither form is chosen"
    );
}

/// Paths of a set's checkpoint and of one of its cases.
fn set(set: &str, case: &str) -> [PathBuf; 2] {
    [sets().join(set).join("checkpoint"), sets().join(set).join(case)]
}

fn of_checkpoint(checkpoint: &Path, case: &Path, more: &[&str]) -> (i32, String, String) {
    let mut arguments = vec!["--checkpoint", checkpoint.to_str().unwrap(), case.to_str().unwrap()];
    arguments.extend(more);
    parity(&arguments)
}

#[test]
fn a_checkpoint_is_judged_by_everything_a_case_expects() {
    for (name, case) in [
        ("grouped", "two_images.safetensors"),
        ("deep", "batch_with_text.safetensors"),
        ("every_layer", "three_images.safetensors"),
        ("multi_query", "text_only.safetensors"),
    ] {
        let [checkpoint, case] = set(name, case);
        let expected = {
            let bytes = std::fs::read(&case).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            file.names().iter().filter(|key| key.starts_with("expected.")).count()
        };
        let (code, table, complaint) = of_checkpoint(&checkpoint, &case, &[]);
        assert_eq!(code, 0, "{name}: {table}{complaint}");
        let judged = table.lines().filter(|line| line.starts_with("expected.")).count();
        assert_eq!(judged, expected, "{name}: {table}");
        let (code, table, complaint) = of_checkpoint(&checkpoint, &case, &["--compute", "bfloat16"]);
        assert_eq!(code, 0, "{name}: {table}{complaint}");
        assert!(table.contains("of cosine 0.999 at least"), "{table}");
    }
}

#[test]
fn another_checkpoint_another_text_or_another_image_fails() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("case.safetensors");
    let [checkpoint, case] = set("grouped", "two_images.safetensors");
    let verdict = |table: &str, tensor: &str| {
        let start = format!("expected.{tensor} ");
        let line = table.lines().find(|line| line.starts_with(&start)).unwrap();
        line.contains("FAILS")
    };
    let [other, _] = set("deep", "batch.safetensors");
    assert_ne!(of_checkpoint(&other, &case, &[]).0, 0);

    changed(&case, &copy, |_, notes| notes.get_mut("text").unwrap().push_str(" now"));
    let (code, table, _) = of_checkpoint(&checkpoint, &copy, &[]);
    assert_eq!(code, 1, "{table}");
    assert!(
        verdict(&table, "input_ids") && !verdict(&table, "pixel_values"),
        "{table}"
    );

    changed(&case, &copy, |tensors, _| {
        let image = tensors.get_mut("input.image.1").unwrap();
        image.data.iter_mut().for_each(|byte| *byte = !*byte);
    });
    let (code, table, _) = of_checkpoint(&checkpoint, &copy, &[]);
    assert_eq!(code, 1, "{table}");
    assert!(verdict(&table, "pixel_values") && verdict(&table, "layer18"), "{table}");
    assert!(
        !verdict(&table, "input_ids") && !verdict(&table, "position_ids"),
        "{table}"
    );
}

#[test]
fn tensors_of_a_single_prompt_need_no_axis_for_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("case.safetensors");
    let [checkpoint, case] = set("grouped", "one_image.safetensors");
    changed(&case, &copy, |tensors, _| {
        for key in [
            "input_ids",
            "attention_mask",
            "hidden_pre_norm",
            "hidden_post_norm",
            "logits",
        ] {
            let shape = &mut tensors.get_mut(&format!("expected.{key}")).unwrap().shape;
            assert_eq!(shape.remove(0), 1);
        }
        assert_eq!(tensors.get_mut("expected.position_ids").unwrap().shape.remove(1), 1);
    });
    let (code, table, complaint) = of_checkpoint(&checkpoint, &copy, &[]);
    assert_eq!(code, 0, "{table}{complaint}");
}

#[test]
fn a_case_of_a_checkpoint_that_cannot_be_judged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("case.safetensors");
    let [checkpoint, case] = set("deep", "batch.safetensors");
    type Change = fn(&mut HashMap<String, Stored>, &mut HashMap<String, String>);
    let changes: [(Change, &str); 8] = [
        (|_, notes| drop(notes.remove("text.0")), "text"),
        (
            |_, notes| drop(notes.insert("text".into(), "again".into())),
            "found both",
        ),
        (|_, notes| drop(notes.remove("images.0")), "images.0"),
        (|_, notes| drop(notes.insert("images.0".into(), "0".into())), "add up"),
        (|t, _| t.get_mut("input.image.0").unwrap().dtype = Dtype::I8, "U8"),
        (
            |_, notes| drop(notes.insert("layer18_block".into(), "99".into())),
            "layer18_block",
        ),
        (
            |t, _| {
                let image = t["input.image.0"].clone();
                t.insert("input.video".into(), image);
            },
            "input.video",
        ),
        (
            |t, _| {
                let logits = t["expected.logits"].clone();
                t.insert("expected.actions".into(), logits);
            },
            "expected.actions",
        ),
    ];
    for (change, named) in changes {
        changed(&case, &copy, change);
        let (code, table, complaint) = of_checkpoint(&checkpoint, &copy, &[]);
        assert_eq!(code, 2, "{named}: {table}{complaint}");
        assert!(complaint.contains(named), "{named}: {complaint}");
    }
    assert_eq!(of_checkpoint(folder.path(), &case, &[]).0, 2, "no checkpoint there");
}
