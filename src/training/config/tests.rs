use super::*;

fn load(files: &[(&str, &str)]) -> Result<TrainingConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    TrainingConfig::load(&folder.path().join(files[0].0)).map_err(|e| e.to_string())
}

#[test]
fn the_shipped_file_states_every_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/train/base.yaml");
    let shipped = TrainingConfig::load(&path).unwrap();
    shipped.validate(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let stated: Value = serde_saphyr::from_str(&text).unwrap();
    let usual = serde_json::to_value(TrainingConfig::default()).unwrap();
    let own = ["checkpoint", "out", "data"];
    for (key, value) in usual.as_object().unwrap() {
        assert!(stated.get(key).is_some(), "{key} is not in the file");
        if !own.contains(&key.as_str()) {
            let stated = serde_json::to_value(&shipped).unwrap();
            assert_eq!(&stated[key], value, "{key}");
        }
    }
}

#[test]
fn a_file_says_only_what_differs_from_its_base() {
    let base = "steps: 7\nmethod: {reasoning_weight: 0.25, text_weight: 0.5}\nselection: {train: lora, rank: 4, \
                alpha: 8, modules: [q_proj]}\n";
    let over = "base: base.yaml\nmethod: {text_weight: 0}\nselection: {train: everything}\n";
    let config = load(&[("over.yaml", over), ("base.yaml", base)]).unwrap();
    assert_eq!((config.steps, config.seed), (7, 42));
    assert_eq!((config.method.reasoning_weight, config.method.text_weight), (0.25, 0.0));
    assert_eq!(config.selection, Selection::Everything);
}

#[test]
fn a_field_that_does_not_exist_is_named_with_its_line() {
    let error = load(&[("a.yaml", "steps: 7\nmethod:\n  weight_of_nothing: 1\n")]).unwrap_err();
    assert!(error.contains("weight_of_nothing") && error.contains('3'), "{error}");
}

#[test]
fn a_file_that_is_its_own_base_is_refused() {
    assert!(load(&[("a.yaml", "base: a.yaml\n")]).unwrap_err().contains("base"));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let path = Path::new("x.yaml");
    let error = TrainingConfig::default().validate(path).unwrap_err().to_string();
    assert!(error.contains("checkpoint: expected a directory"), "{error}");
}
