//! Begins a run, or resumes it from a checkpoint.

use std::path::Path;
use std::sync::Arc;

use crate::contract::{Contract, Model};
use crate::model::checkpoint::{CheckpointOptions, Manifest, Placement};
use crate::model::config::{Config, Proprio};
use crate::model::init::presets::UNTRAINED;
use crate::model::init::variant::chosen;
use crate::model::layers::device::set_threads;
use crate::model::thinkvla::prompt::Prompter;
use crate::training::checkpoint::{CheckpointDir, HeldOutText};
use crate::training::config::TrainingConfig;
use crate::training::config::settings::Distill;
use crate::training::data::mixture::Mixture;
use crate::training::data::preflight;
use crate::training::data::vision_cache::VisionCache;
use crate::training::data::vla_batches::{Teachers, VlaBatches, VlaSources};
use crate::training::distributed::ProcessGroup;
use crate::training::error::RunError;
use crate::training::geometry;
use crate::training::metrics::MetricsFile;
use crate::training::objective::Objective;
use crate::training::optimiser::Optimiser;
use crate::training::privileged_text::PrivilegedText;
use crate::training::rescale::rescale;
use crate::training::schedule::Schedule;
use crate::training::vlm_stream::VlmStream;

use super::TrainingRun;

/// Chooses the device of this process.
fn placement(config: &TrainingConfig, file: &Path, ranks: &mut ProcessGroup) -> Result<Placement, RunError> {
    let device = config
        .device()
        .map_err(|e| RunError::config(file, e.to_string()))?
        .resolve()?;
    Ok(Placement {
        device: ranks.assign_device(device)?,
        compute: config.compute,
    })
}

impl TrainingRun {
    /// Opens everything that the configuration names; `file` is the configuration, for messages.
    ///
    /// # Errors
    /// When the configuration cannot work, the data does not fit the checkpoint, or `out` holds another run.
    pub fn open(config: TrainingConfig, file: &Path, resume: bool) -> Result<Self, RunError> {
        config.validate(file)?;
        if let Some(threads) = config.threads {
            set_threads(threads);
        }
        let mut ranks = ProcessGroup::of_environment()?;
        let placement = placement(&config, file, &mut ranks)?;
        let checkpoint_dir = checkpoint_dir(&config, ranks.leads())?;
        let last = last_step(&checkpoint_dir, &config, resume)?;
        let source = Source::read(&config, file, placement)?;
        let batch_source = Arc::new(source.batch_source()?);
        let contract = source.contract(&batch_source);
        let words = source.words(ranks.size())?;
        let (objective, vlm_stream) = source.objective(&contract)?;
        if ranks.leads() {
            preflight::require_pictures(&batch_source, config.seed)?;
            vlm_stream.as_ref().map_or(Ok(()), VlmStream::require_answers)?;
        }
        let manifest = source.manifest;
        let optimiser = Optimiser::new(objective.parameters(), config.optimiser.clone())?;
        if ranks.leads() {
            let steps = config.steps.saturating_sub(last.unwrap_or(0));
            let still = steps.div_ceil(config.checkpoints.every_steps.max(1));
            checkpoint_dir.require_room(&objective, &optimiser, still)?;
        }
        let mut run = Self {
            schedule: Schedule::new(&config.schedule, &config.optimiser.learning_rates, config.steps),
            batch_source,
            began_with: manifest.files.hash(),
            tokenizer: manifest.tokenizer,
            metrics: ranks
                .leads()
                .then(|| MetricsFile::open(&config.out, last.unwrap_or(0)))
                .transpose()?,
            ranks,
            step: 0,
            held_out: None,
            words,
            text: HeldOutText::default(),
            vlm_stream,
            config,
            objective,
            optimiser,
            contract,
            checkpoint_dir,
        };
        if let Some(last) = last {
            run.restore_run(last)?;
        }
        // The only slow preparation comes last: nothing after it refuses the run.
        if run.config.data.keep_vision {
            run.keep_vision()?;
        }
        Ok(run)
    }

    /// Computes the outputs of the vision blocks for every row and keeps them in memory.
    fn keep_vision(&self) -> Result<(), RunError> {
        let kept = VisionCache::of(&self.batch_source, &self.objective, self.config.data.workers)?;
        tracing::info!(
            "kept what the vision blocks make of every row: {:.0} MB",
            kept.bytes() as f64 / 1e6
        );
        self.batch_source.keep(kept);
        Ok(())
    }

    /// Resumes from a checkpoint of this run.
    fn restore_run(&mut self, step: u64) -> Result<(), RunError> {
        let notes = self.checkpoint_dir.notes(step)?;
        let path = self.checkpoint_dir.path(step);
        if notes.began_with != self.began_with {
            let message = format!(
                "expected a run that began with the weights {}, found one of {}; name the same checkpoint",
                self.began_with, notes.began_with
            );
            return Err(RunError::file("resume", &path)(message));
        }
        let (was, is) = (
            notes.ranks * notes.config.data.accumulate,
            self.ranks.size() * self.config.data.accumulate,
        );
        if was != is {
            let message = format!(
                "expected processes times data.accumulate to be {was}, as when the run began, found {} times {}",
                self.ranks.size(),
                self.config.data.accumulate
            );
            return Err(RunError::file("resume", &path)(message));
        }
        if let Some(field) = differs(&notes.config, &self.config) {
            let message = format!("{field} is not what it was; resume with the configuration that began the run");
            return Err(RunError::file("resume", &path)(message));
        }
        self.checkpoint_dir
            .restore(step, &self.objective, &mut self.optimiser)?;
        (self.step, self.held_out, self.text) = (notes.step, notes.held_out, notes.text);
        if let Some(words) = &mut self.words {
            words.restore(notes.words);
        }
        Ok(())
    }
}

/// Opens the directory of a run. The other processes only read: the directory belongs to the run, and one process
/// writes.
fn checkpoint_dir(config: &TrainingConfig, leads: bool) -> Result<CheckpointDir, RunError> {
    if leads {
        CheckpointDir::open(&config.out, config.checkpoints.keep)
    } else {
        Ok(CheckpointDir::at(&config.out))
    }
}

/// Returns the step of the last checkpoint; there must be none for a run that is not resumed.
fn last_step(found: &CheckpointDir, config: &TrainingConfig, resume: bool) -> Result<Option<u64>, RunError> {
    let last = found.steps()?.last().copied();
    if last.is_some() && !resume {
        let message = "expected a directory without checkpoints; go on with --resume, or name another with --out";
        return Err(RunError::file("begin in", &config.out)(message));
    }
    Ok(last)
}

/// Checkpoint and configuration that a run is opened from.
struct Source<'a> {
    config: &'a TrainingConfig,
    /// File of the configuration, for messages.
    file: &'a Path,
    placement: Placement,
    manifest: Manifest,
    /// Network that is trained: the checkpoint's, with the fields that the configuration sets.
    network: Config,
}

impl<'a> Source<'a> {
    fn read(config: &'a TrainingConfig, file: &'a Path, placement: Placement) -> Result<Self, RunError> {
        let manifest = Manifest::read(&config.checkpoint, &CheckpointOptions::default())?;
        let network = chosen(manifest.config()?, &config.choices())?;
        Ok(Self {
            config,
            file,
            placement,
            manifest,
            network,
        })
    }

    /// Opens the demonstrations and the teachers.
    fn batch_source(&self) -> Result<VlaBatches, RunError> {
        let (config, network) = (self.config, &self.network);
        let mut mixture = Mixture::open(&config.data.datasets, self.manifest.contract()?)?;
        if network.thinkvla.proprio == Proprio::Projected && knows_actions(&self.manifest) {
            mixture.keep_state_statistics(&self.manifest.contract()?.data.state);
        }
        let samplers = mixture.samplers(config.seed, config.validation.share)?;
        let prompter = Prompter::new(self.manifest.tokenizer.clone(), network)?;
        let aligned = network.thinkvla.geometry.as_ref();
        let aligned = aligned.filter(|_| config.method.geometry_weight != 0.0);
        let geometry = aligned.map(|of| geometry::open(&config.geometry, of.width, self.placement, self.file));
        let teachers = Teachers {
            geometry: geometry.transpose()?,
            reasoning: match config.method.distill {
                Distill::None | Distill::Privileged => false,
                Distill::Anchor => network.thinkvla.reasoning.as_ref().is_some_and(|of| of.adapter),
            },
        };
        let sources = VlaSources {
            mixture,
            samplers,
            prompter,
            teachers,
            settings: config.data.clone(),
            seed: config.seed,
        };
        VlaBatches::new(sources, network)
    }

    /// Returns the contract of the trained checkpoint.
    fn contract(&self, batch_source: &VlaBatches) -> Contract {
        Contract {
            model: Some(Model {
                chunk_len: self.network.thinkvla.chunk_len as usize,
                weights: self.config.name.clone(),
            }),
            ..batch_source.mixture().contract().clone()
        }
    }

    /// Opens the privileged information, if a run of so many processes uses it.
    fn words(&self, processes: usize) -> Result<Option<PrivilegedText>, RunError> {
        let config = self.config;
        match config.method.distill {
            Distill::Privileged if processes > 1 => {
                let message = format!(
                    "method.distill: expected none or anchor with {processes} processes, since each would ask about other \
                     scenes, found privileged"
                );
                Err(RunError::config(self.file, message))
            }
            Distill::Privileged => {
                let tokenizer = &self.manifest.tokenizer;
                PrivilegedText::new(&config.checkpoint, tokenizer, &self.network, &config.method).map(Some)
            }
            Distill::None | Distill::Anchor => Ok(None),
        }
    }

    /// Loads the network for data of this contract, and opens the stream of answers.
    fn objective(&self, contract: &Contract) -> Result<(Objective, Option<VlmStream>), RunError> {
        let (config, manifest) = (self.config, &self.manifest);
        let (network, parameters) =
            manifest.trainable(&self.network, self.placement, &config.selection, config.seed)?;
        let vlm_stream = VlmStream::open(config, manifest, &self.network)?;
        let trained_with = &manifest.contract()?.data.statistics;
        if knows_actions(manifest) && rescale(&parameters, trained_with, &contract.data.statistics)? {
            tracing::info!("the action head was rescaled to the statistics of the data: it says the same actions");
        }
        let objective = Objective::new(network, parameters, self.network.clone(), config.method.clone())?;
        if let Some(vlm_stream) = &vlm_stream {
            vlm_stream.check(&objective, self.file)?;
        }
        Ok((objective, vlm_stream))
    }
}

/// Returns whether a checkpoint's action head is trained, so that other statistics would change its actions.
fn knows_actions(manifest: &Manifest) -> bool {
    let weights = manifest.contract().ok().and_then(|contract| contract.model.as_ref());
    weights.is_some_and(|model| model.weights != UNTRAINED)
}

/// Returns the first setting that affects what is learned and differs.
fn differs(was: &TrainingConfig, is: &TrainingConfig) -> Option<&'static str> {
    let parts = [
        ("steps", was.steps == is.steps),
        ("seed", was.seed == is.seed),
        ("compute", was.compute == is.compute),
        ("network", was.network == is.network),
        ("selection", was.selection == is.selection),
        ("method", was.method == is.method),
        ("geometry.vggt", was.geometry.vggt == is.geometry.vggt),
        ("geometry.points", was.geometry.points == is.geometry.points),
        ("geometry.classes", was.geometry.classes == is.geometry.classes),
        (
            "geometry.class_weights",
            was.geometry.class_weights == is.geometry.class_weights,
        ),
        ("geometry.compute", was.geometry.compute == is.geometry.compute),
        ("geometry.rule", was.geometry.rule == is.geometry.rule),
        ("optimiser", was.optimiser == is.optimiser),
        ("schedule", was.schedule == is.schedule),
        ("data.datasets", was.data.datasets == is.data.datasets),
        ("data.batch", was.data.batch == is.data.batch),
        ("data.learn_padding", was.data.learn_padding == is.data.learn_padding),
        ("data.drop_geometry", was.data.drop_geometry == is.data.drop_geometry),
        ("data.drop_reasoning", was.data.drop_reasoning == is.data.drop_reasoning),
        ("data.augment", was.data.augment == is.data.augment),
        ("data.keep_vision", was.data.keep_vision == is.data.keep_vision),
        ("text", was.text.learned() == is.text.learned()),
        ("validation.share", was.validation.share == is.validation.share),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
}
