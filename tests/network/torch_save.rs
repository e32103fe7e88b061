//! Tests of weights of `torch.save`: they are read correctly, and nothing else of such a file is accepted.

use std::path::Path;

use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};
use thinkvla::model::checkpoint::convert::Conversion;
use thinkvla::model::checkpoint::weights::{Naming, WeightFiles};
use thinkvla::model::checkpoint::{CheckpointOptions, Format, Manifest, torch_archive};
use thinkvla::model::init::variant::CheckpointVariant;

mod writer;

use crate::case::sets;
use crate::formats::{copy, read, require_same_tensors};
use crate::support::contract_of;
use writer::{Pickle, Saved, archive, index, save, zip};

fn few_tensors() -> Vec<Saved> {
    let tensor = |name: &str, storage, shape: &[usize], size: usize| Saved {
        name: name.into(),
        storage,
        shape: shape.into(),
        bytes: (0..shape.iter().product::<usize>() * size).map(|at| at as u8).collect(),
    };
    vec![
        tensor("a.weight", "BFloat16Storage", &[3, 200], 2),
        tensor("a.bias", "FloatStorage", &[3], 4),
        tensor("step", "LongStorage", &[], 8),
    ]
}

#[track_caller]
fn refused(file: &[u8], expected: &str) {
    let error = torch_archive::tensors(file).unwrap_err().to_string();
    assert!(error.contains(expected), "expected {expected:?} in {error:?}");
}

#[test]
fn every_value_is_found_where_it_was_put() {
    let file = save(&few_tensors());
    let found = torch_archive::tensors(&file).unwrap();
    assert_eq!(found.len(), 3);
    for (saved, dtype) in few_tensors().iter().zip([Dtype::BF16, Dtype::F32, Dtype::I64]) {
        let info = &found[&saved.name];
        assert_eq!((info.dtype, &info.shape), (dtype, &saved.shape));
        assert_eq!(
            file[info.data_offsets.0..info.data_offsets.1],
            saved.bytes,
            "{}",
            saved.name
        );
    }
}

#[test]
fn a_tensor_may_be_a_part_of_what_others_lie_in() {
    let mut pickle = Pickle::new();
    pickle.code(b"}").text("rows");
    pickle.global("torch._utils", "_rebuild_tensor_v2").code(b"((");
    pickle
        .text("storage")
        .global("torch", "FloatStorage")
        .text("0")
        .text("cuda:0");
    pickle
        .number(6)
        .code(b"tQ")
        .number(2)
        .numbers(&[2, 2])
        .numbers(&[2, 1])
        .code(&[0x89]);
    pickle.empty_dict().code(b"tRs.");
    let file = archive(&pickle.0, &[&[7; 24]]);
    let (start, end) = torch_archive::tensors(&file).unwrap()["rows"].data_offsets;
    assert!(end - start == 16 && file[start - 8..end] == [7; 24] && file[start - 9] != 7);
}

#[test]
fn names_of_anything_else_than_tensors_are_refused_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let traces = folder.path().join("ran");
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "load"),
        ("torch", "EvilStorage"),
    ] {
        let mut pickle = Pickle::new();
        let command = format!("touch {}", traces.display());
        pickle.global(module, name).text(&command).code(&[0x85, b'R', b'.']);
        refused(&archive(&pickle.0, &[]), &format!("found {module}.{name}"));
    }
    // By a name on the stack, by the oldest instructions, by a class, by an extension, lists and floats.
    for code in [
        &b"\x93"[..],
        b"i",
        b"o",
        b"\x81",
        b"\x82\x01",
        b"]",
        b"G",
        b"P",
        b"\x95",
        b"\x8c",
    ] {
        let mut pickle = Pickle::new();
        pickle.code(code);
        refused(&archive(&pickle.0, &[]), "expected an instruction of a state dict");
    }
    assert!(!traces.exists());
}

#[test]
fn more_objects_than_the_bytes_can_describe_are_refused() {
    let protocol = [0x80, 2];
    for many in [&b"}"[..], b"(", b"K\x01", b"N"] {
        let pickle = [&protocol[..], &many.repeat(5000)].concat();
        refused(&archive(&pickle, &[]), "more than its bytes can describe");
    }
}

#[test]
fn whatever_does_not_fit_is_said() {
    let whole = save(&few_tensors());
    refused(&whole[..whole.len() - 9], "found a damaged one");
    refused(b"PK\x03\x04", "found a damaged one");
    let packed = |at: &[u8], offset: usize, value: u8| {
        let mut file = whole.clone();
        let place = file.windows(at.len()).position(|window| window == at).unwrap();
        file[place + offset] = value;
        file
    };
    refused(&packed(b"PK\x01\x02", 10, 8), "found a compressed one");
    refused(&packed(b"PK\x01\x02", 8, 1), "not encrypted");
    let index = index(&few_tensors());
    let values = few_tensors().into_iter().map(|tensor| tensor.bytes).collect::<Vec<_>>();
    let short: Vec<&[u8]> = vec![&values[0][..10], &values[1], &values[2]];
    refused(
        &archive(&index, &short),
        "a.weight: expected 600 values of 2 bytes in data/0, found 10 bytes",
    );
    refused(&archive(&index, &short[..0]), "expected its values in data/");
    refused(&archive(&index[..index.len() - 4], &[]), "cut off");
    refused(&zip(&[("archive/data/0", &[][..])]), "expected data.pkl");
    refused(
        &zip(&[("a/data.pkl", &index[..]), ("b/data.pkl", &index[..])]),
        "expected one data.pkl",
    );
    refused(&zip(&[("a/data.pkl", &index[..]), ("a/data.pkl", &index[..])]), "twice");
    refused(
        &zip(&[("a/data.pkl", &index[..]), ("a/byteorder", &b"big"[..])]),
        "expected little",
    );
    let of = |strides: &[usize], values: usize| {
        let mut pickle = Pickle::new();
        pickle.code(b"}").text("w");
        pickle.tensor(("FloatStorage", "0", values), (&[2, 3], strides));
        pickle.code(b"s.");
        archive(&pickle.0, &[&vec![0; 4 * values]])
    };
    refused(&of(&[1, 2], 6), "save it contiguous");
    refused(&of(&[3, 1], 5), "w: expected [2, 3] from 0 on in the 5 values");
    let mut nested = Pickle::new();
    nested.code(b"}").text("model").code(b"}s.");
    refused(&archive(&nested.0, &[]), "found \"model\", which is no tensor");
    let mut list = Pickle::new();
    list.number(7).code(b".");
    refused(&archive(&list.0, &[]), "expected a state dict");
    let mut deep = Pickle::new();
    deep.code(b")").code(&[0x85; 100_000]).code(b".");
    refused(&archive(&deep.0, &[]), "found deeper ones");
}

/// Tensors of a safetensors file.
fn of_file(path: &Path) -> Vec<Saved> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    let saved = tensors.map(|(name, view)| Saved {
        name,
        storage: match view.dtype() {
            Dtype::BF16 => "BFloat16Storage",
            Dtype::F32 => "FloatStorage",
            other => panic!("unexpected {other:?}"),
        },
        shape: view.shape().into(),
        bytes: view.data().into(),
    });
    saved.collect()
}

#[test]
fn a_run_with_pickled_weights_is_the_same_run() {
    let directory = copy(&sets().join("starvla"));
    let run = directory.path().join("run");
    let safe = run.join("checkpoints/steps_1000_model.safetensors");
    let pickled = run.join("checkpoints/steps_1000_pytorch_model.pt");
    std::fs::write(&pickled, save(&of_file(&safe))).unwrap();
    // Of two files of one step the other one is taken, and of several steps the last.
    assert!(
        read(&run)
            .unwrap()
            .files
            .path()
            .ends_with("steps_1000_model.safetensors")
    );
    let later = run.join("checkpoints/steps_2000_pytorch_model.pt");
    std::fs::copy(&pickled, &later).unwrap();
    assert_eq!(read(&run).unwrap().files.path(), later);
    let options = CheckpointOptions {
        robot: Some(contract_of(&crate::support::tiny(), &CheckpointVariant::default())),
        ..CheckpointOptions::default()
    };
    let convert = |from: &Path, name: &str| {
        let to = directory.path().join(name);
        let conversion = Conversion {
            to: Format::Thinkvla,
            options: &options,
            variant: &CheckpointVariant::default(),
            seed: 0,
        };
        conversion.run(from, &to).unwrap();
        Manifest::read(&to, &options).unwrap().files.hash()
    };
    assert_eq!(convert(&pickled, "a"), convert(&safe, "b"));
}

#[test]
fn a_hugging_face_directory_may_have_pickled_weights() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let safe = directory.path().join("model.safetensors");
    let pickled = directory.path().join("pytorch_model.bin");
    std::fs::write(&pickled, save(&of_file(&safe))).unwrap();
    let before = read(directory.path()).unwrap();
    std::fs::remove_file(&safe).unwrap();
    let after = read(directory.path()).unwrap();
    assert_eq!(after.files.path(), pickled);
    require_same_tensors(&before, &after);
}

#[test]
fn pickled_weights_may_lie_in_several_files() {
    for wrapper in ["", "module."] {
        let directory = copy(&sets().join("deep/checkpoint"));
        let at = |name: &str| directory.path().join(name);
        let before = read(directory.path()).unwrap();
        let mut tensors = of_file(&at("model.safetensors"));
        for tensor in &mut tensors {
            tensor.name = format!("{wrapper}{}", tensor.name);
        }
        let others = tensors.split_off(tensors.len() / 2);
        let mut listed = serde_json::Map::new();
        for (name, tensors) in [("pytorch_model-1.bin", &tensors), ("pytorch_model-2.bin", &others)] {
            std::fs::write(at(name), save(tensors)).unwrap();
            listed.extend(tensors.iter().map(|tensor| (tensor.name.clone(), name.into())));
        }
        let index = serde_json::json!({"metadata": {}, "weight_map": listed});
        std::fs::write(at("pytorch_model.bin.index.json"), index.to_string()).unwrap();
        std::fs::remove_file(at("model.safetensors")).unwrap();
        let after = read(directory.path()).unwrap();
        assert_eq!(after.files.path(), at("pytorch_model-1.bin"));
        require_same_tensors(&before, &after);
        std::fs::remove_file(at("pytorch_model-2.bin")).unwrap();
        let error = read(directory.path()).unwrap_err();
        assert!(error.contains("pytorch_model-2.bin"), "{error}");
    }
}

#[test]
fn the_prefixes_of_a_network_that_was_saved_within_a_wrapper_are_left_out() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let safe = directory.path().join("model.safetensors");
    let before = read(directory.path()).unwrap();
    let mut tensors = of_file(&safe);
    for tensor in &mut tensors {
        tensor.name = format!("module._orig_mod.{}", tensor.name);
    }
    std::fs::write(directory.path().join("pytorch_model.bin"), save(&tensors)).unwrap();
    std::fs::remove_file(&safe).unwrap();
    require_same_tensors(&before, &read(directory.path()).unwrap());
    // Names that differ are not touched.
    tensors[0].name = tensors[0].name.replace("module.", "");
    std::fs::write(directory.path().join("pytorch_model.bin"), save(&tensors)).unwrap();
    let some = read(directory.path()).unwrap();
    assert!(some.files.keys().any(|key| key.starts_with("module.")));
}

#[test]
fn weights_in_float16_are_noted() {
    let directory = copy(&sets().join("deep/checkpoint"));
    let safe = directory.path().join("model.safetensors");
    assert!(read(directory.path()).unwrap().notes.is_empty());
    let mut tensors = of_file(&safe);
    tensors.iter_mut().for_each(|tensor| tensor.storage = "HalfStorage");
    std::fs::write(directory.path().join("pytorch_model.bin"), save(&tensors)).unwrap();
    std::fs::remove_file(&safe).unwrap();
    let notes = read(directory.path()).unwrap().notes.concat();
    assert!(
        notes.contains("the weights are in float16, and the backbone computes in bfloat16"),
        "{notes}"
    );
}

#[test]
fn a_pickle_that_is_not_plain_is_refused_with_the_way_to_convert_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps_10_pytorch_model.pt");
    let mut pickle = Pickle::new();
    pickle.global("os", "system").text("true").code(&[0x85, b'R', b'.']);
    for bytes in [archive(&pickle.0, &[]), pickle.0] {
        std::fs::write(&path, bytes).unwrap();
        let files = WeightFiles::of_files(std::slice::from_ref(&path), Naming::StarVla);
        let error = files.unwrap_err().to_string();
        for expected in [
            "never read",
            "weights_only=True",
            "\"state_dict\"",
            "steps_10_model.safetensors",
        ] {
            assert!(error.contains(expected), "{error}");
        }
    }
}

/// Asserts that every tensor that is read lies inside the file.
fn sound(file: &[u8]) {
    if let Ok(tensors) = torch_archive::tensors(file) {
        for info in tensors.values() {
            let (start, end) = info.data_offsets;
            let values: usize = info.shape.iter().product();
            assert!(start <= end && end <= file.len());
            assert_eq!(end - start, values * info.dtype.bitsize() / 8);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_are_refused_or_sound(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut file = save(&few_tensors());
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if cut {
            file.truncate(end.index(file.len()));
        }
        sound(&file);
    }

    #[test]
    fn damaged_indices_are_refused_or_sound(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut index = index(&few_tensors());
        for (place, byte, inserted) in changes {
            let place = place.index(index.len());
            match inserted {
                true => index.insert(place, byte),
                false => index[place] = byte,
            }
        }
        let values = few_tensors();
        let values: Vec<_> = values.iter().map(|tensor| &tensor.bytes[..]).collect();
        sound(&archive(&index, &values));
    }

    #[test]
    fn any_instructions_are_refused_or_sound(
        codes in prop::collection::vec(prop::sample::select(&b"\x80\x02.(NKMJXq\x00hj}))tRsubcQ\x85\x86\x87\x88\x89\x8a\x01\x04"[..]), 0..200),
    ) {
        sound(&archive(&codes, &[&[0; 8]]));
    }
}
