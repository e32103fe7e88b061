//! `thinkvla train`: trains a checkpoint on recorded datasets.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use thinkvla::child_process;
use thinkvla::training::config::TrainingConfig;
use thinkvla::training::run::stages;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration; config/train/base.yaml states and explains every field
    config: PathBuf,
    /// End after this many steps in all; the schedule stays the same
    #[arg(long)]
    max_steps: Option<u64>,
    /// Directory of checkpoints and metrics, instead of the configuration's
    #[arg(long)]
    out: Option<PathBuf>,
    /// Continue from the last checkpoint in that directory, if there is one
    #[arg(long)]
    resume: bool,
}

/// Base of exit codes: a shell reports 128 plus the number of the signal that ended a program.
const SIGNALLED: u8 = 128;

/// Runs the verb. Interrupted once (SIGINT, SIGTERM, or SIGHUP without nohup) it ends its step, saves, and has the exit
/// code of the signal, 130, 143 or 129; twice by the same signal, it ends at once.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let signalled = listen()?;
    let mut config = TrainingConfig::load(&arguments.config)?;
    if let Some(out) = &arguments.out {
        config.out.clone_from(out);
    }
    let stop = || signalled.load(Ordering::SeqCst) != 0;
    let outcome = stages::train(config, &arguments.config, arguments.resume, arguments.max_steps, &stop)?;
    let held_out = outcome
        .held_out
        .map_or(String::new(), |e| format!(", held-out action error {e:.4}"));
    let text = match (outcome.text.before, outcome.text.now) {
        (Some(before), Some(now)) => format!(", held-out text loss {now:.4} ({before:.4} before training)"),
        _ => String::new(),
    };
    tracing::info!(
        "step {}: {}{held_out}{text}; {:.1} % of the time waited for data",
        outcome.step,
        outcome.checkpoint.display(),
        100.0 * outcome.data_wait
    );
    if outcome.targets_made > 0 {
        tracing::info!(
            "{} geometry targets were made, the others were there",
            outcome.targets_made
        );
    }
    if !outcome.interrupted {
        return Ok(ExitCode::SUCCESS);
    }
    let out = arguments
        .out
        .map_or(String::new(), |out| format!(" --out {}", out.display()));
    tracing::warn!(
        "interrupted after step {} of {}; go on with: thinkvla train {}{out} --resume",
        outcome.step,
        outcome.end,
        arguments.config.display()
    );
    let signal = match signalled.load(Ordering::SeqCst) {
        // Another process received the signal, and all end together.
        0 => u8::try_from(SIGINT),
        signal => u8::try_from(signal),
    };
    Ok(ExitCode::from(SIGNALLED + signal?))
}

/// Registers the signal handlers. The value is the number of the signal that asks for an end, 0 until it comes.
fn listen() -> std::io::Result<Arc<AtomicUsize>> {
    let signalled = Arc::new(AtomicUsize::new(0));
    let hangup = (!child_process::outlives_terminal()).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        // Each by itself: torchrun passes an interrupt on as SIGTERM to processes that have had it from the terminal.
        let again = Arc::new(AtomicBool::new(false));
        // In this order: the first signal finds `again` unset, and sets it.
        flag::register_conditional_shutdown(signal, i32::from(SIGNALLED) + signal, Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
        flag::register_usize(
            signal,
            Arc::clone(&signalled),
            usize::try_from(signal).unwrap_or_default(),
        )?;
    }
    child_process::end_with_parent()?;
    Ok(signalled)
}
