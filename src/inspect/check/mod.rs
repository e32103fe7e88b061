//! Describes a checkpoint before it is run, and finds the reasons for which it must not be run.

mod dataset;
mod estimate;
mod statistics;
mod values;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::camera::patches::Grid;
use crate::camera::smart_resize::{Size, smart_resize};
use crate::contract::Contract;

use crate::model::checkpoint::weights::CheckpointPart;
use crate::model::checkpoint::{CheckpointOptions, Manifest};
use crate::model::config::Config;
use crate::model::error::ModelError;
use crate::model::generate::conversation::Conversation;
use crate::model::thinkvla::prompt::{PromptTask, Prompter};
use crate::model::thinkvla::state::StateInput;

/// An instruction of typical length.
const INSTRUCTION: &str = "pick up the red cube and put it into the box";
/// Picture size for checkpoints whose robot is not known (px).
const PICTURE: Size = Size {
    height: 480,
    width: 640,
};

/// Settings of a check.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointCheck<'a> {
    /// What the user adds to the checkpoint's files.
    pub options: &'a CheckpointOptions,
    /// Directory of a data set whose contract and statistics are compared.
    pub dataset: Option<&'a Path>,
    /// Dimensions of the action that are meant to be constant.
    pub constant: &'a [String],
}

/// Result of a check.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CheckReport {
    /// Properties of the checkpoint, by name.
    pub facts: Vec<(String, String)>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Reasons for which the checkpoint must not be run, one line each.
    pub failures: Vec<String>,
    /// Lines of the coverage report, if the files could be compared with the network.
    pub coverage: Option<String>,
}

impl CheckReport {
    fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn fail(&mut self, failure: impl ToString) {
        let lines: Vec<_> = failure.to_string().lines().map(str::to_owned).collect();
        self.failures.push(lines.join("; "));
    }

    /// Returns the value, or records the error as a failure.
    fn take<T, E: ToString>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|e| self.fail(e)).ok()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .facts
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        for (name, value) in &self.facts {
            writeln!(f, "{name:width$}  {value}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for failure in &self.failures {
            writeln!(f, "must not be run: {failure}")?;
        }
        match self.failures.len() {
            0 => write!(f, "nothing speaks against it"),
            1 => write!(f, "1 reason not to run it"),
            more => write!(f, "{more} reasons not to run it"),
        }
    }
}

impl CheckpointCheck<'_> {
    /// Checks the checkpoint in `path`. Its network is not built; its values are all read once.
    pub fn run(&self, path: &Path) -> CheckReport {
        let mut report = CheckReport::default();
        let Some(manifest) = report.take(Manifest::read(path, self.options)) else {
            return report;
        };
        report.fact("layout", manifest.format.to_string());
        if let Some(name) = &manifest.name {
            report.fact("weights", name.clone());
        }
        manifest.notes.iter().for_each(|note| report.note(note.as_str()));
        let coverage = report.take(manifest.coverage(CheckpointPart::Everything));
        if let Some(coverage) = coverage {
            report.coverage = Some(coverage.to_string());
            coverage.problems.iter().for_each(|problem| report.fail(problem));
        }
        match &manifest.thinkvla {
            Some(_) => self.acts(&manifest, &mut report),
            None => asks(&manifest, &mut report),
        }
        values::check(&manifest, &mut report);
        report
    }

    fn acts(&self, manifest: &Manifest, report: &mut CheckReport) {
        let Some(config) = report.take(manifest.config()) else {
            return;
        };
        describe(&config, report);
        statistics::check(&manifest.actions, self.constant, report);
        let Some(contract) = report.take(manifest.contract()) else {
            return;
        };
        describe_contract(contract, &config, report);
        if let Some(dataset) = self.dataset {
            dataset::check(contract, dataset, report);
        }
        let resize = contract.data.resize;
        let size = Size {
            height: resize.height,
            width: resize.width,
        };
        let Some(grid) = grid(manifest, size, report) else {
            return;
        };
        let grids = vec![grid; contract.robot.cameras.len()];
        let prompt = prompt(manifest, &config, contract, &grids);
        let Some(tokens) = report.take(prompt) else {
            return;
        };
        report.fact("prompt", format!("{tokens} tokens for {INSTRUCTION:?}"));
        let work = estimate::Work {
            grids,
            tokens: tokens as u64,
            chunk: contract
                .model
                .as_ref()
                .map(|model| model.chunk_len as f64 / contract.data.fps),
        };
        estimate::check(manifest, &work, report);
    }
}

/// Checks a backbone without an action part, which can answer questions.
fn asks(manifest: &Manifest, report: &mut CheckReport) {
    report.fact("action part", "none: it can be asked and converted, and cannot act");
    let tokenizer = Arc::new(manifest.tokenizer.clone());
    let conversation = Conversation::new(&manifest.home, tokenizer, &manifest.qwen3_vl);
    let Some(grid) = grid(manifest, PICTURE, report) else {
        return;
    };
    let question = conversation.and_then(|conversation| conversation.ask(INSTRUCTION, &[grid]));
    let Some(question) = report.take(question) else {
        return;
    };
    let found = question.image_tokens.len() as i64;
    let merge = manifest.qwen3_vl.vision_config.spatial_merge_size;
    let expected = grid.patches() as i64 / (merge * merge);
    if found != expected {
        report.fail(format!(
            "tokenizer.json: expected the image's {expected} tokens to have the id {} that config.json gives in \
             image_token_id, found {found} of it; take both files from the same checkpoint",
            manifest.qwen3_vl.image_token_id
        ));
    }
    let work = estimate::Work {
        grids: vec![grid],
        tokens: question.ids.len() as u64,
        chunk: None,
    };
    estimate::check(manifest, &work, report);
}

fn describe(config: &Config, report: &mut CheckReport) {
    let ours = &config.thinkvla;
    let geometry = match &ours.geometry {
        Some(geometry) => format!("geometry from vision block {}", geometry.tap_block),
        None => "no geometry".into(),
    };
    let reasoning = match ours.anchors().len() {
        0 => "no reasoning anchor".into(),
        1 => "one reasoning anchor".into(),
        more => format!("{more} reasoning anchors"),
    };
    report.fact(
        "action part",
        format!("{geometry}, {reasoning}, prompt {:?}", ours.prompt),
    );
}

fn describe_contract(contract: &Contract, config: &Config, report: &mut CheckReport) {
    let (robot, data) = (&contract.robot, &contract.data);
    let cameras: Vec<_> = robot
        .cameras
        .iter()
        .map(|camera| {
            format!(
                "{} {}x{} at {} Hz",
                camera.name, camera.width, camera.height, camera.rate_hz
            )
        })
        .collect();
    report.fact(
        "robot",
        format!("{}, cameras in order: {}", robot.arm, cameras.join(", ")),
    );
    report.fact(
        "actions",
        format!(
            "{:?}, steps {:?}, reference {:?}, gripper opens {} m",
            data.action_space, data.composition, data.reference, robot.gripper_stroke_m
        ),
    );
    let steps = config.thinkvla.chunk_len;
    let seconds = steps as f64 / data.fps;
    report.fact("horizon", format!("{steps} steps at {} Hz, {seconds:.2} s", data.fps));
    for camera in robot.cameras.iter().filter(|camera| camera.rate_hz < data.fps) {
        report.note(format!(
            "camera {} gives {} images a second, fewer than the {} steps of an action sequence",
            camera.name, camera.rate_hz, data.fps
        ));
    }
}

/// Returns the patch grid of an image of this size.
fn grid(manifest: &Manifest, size: Size, report: &mut CheckReport) -> Option<Grid> {
    let vision = &manifest.qwen3_vl.vision_config;
    let rule = manifest.bounds.rule(vision);
    let fed = report.take(smart_resize(size, rule.size_rule()))?;
    let grid = Grid {
        t: 1,
        h: fed.height / rule.patch.max(1),
        w: fed.width / rule.patch.max(1),
    };
    let merge = rule.merge.max(1);
    report.fact(
        "images",
        format!(
            "{}x{}, fed as {}x{}: {}x{} patches, {}x{} = {} tokens",
            size.width,
            size.height,
            fed.width,
            fed.height,
            grid.w,
            grid.h,
            grid.w / merge,
            grid.h / merge,
            (grid.w / merge) * (grid.h / merge),
        ),
    );
    Some(grid)
}

/// Returns the number of tokens of a prompt, or an error where tokenizer and configuration disagree about ids.
fn prompt(manifest: &Manifest, config: &Config, contract: &Contract, grids: &[Grid]) -> Result<usize, ModelError> {
    let prompter = Prompter::new(manifest.tokenizer.clone(), config)?;
    let means: Vec<f64> = contract.data.state.iter().map(|of| of.mean).collect();
    let state = StateInput::new(config.thinkvla.proprio, &means, &contract.data.state)?;
    let task = PromptTask {
        instruction: INSTRUCTION,
        state: state.text.as_ref(),
    };
    Ok(prompter.student(task, grids)?.ids.len())
}
