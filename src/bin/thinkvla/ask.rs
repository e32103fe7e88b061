//! `thinkvla ask`: answers a question about images.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use thinkvla::camera::file;
use thinkvla::camera::preprocess::Preprocessor;
use thinkvla::camera::rgb::RgbImage;
use thinkvla::model::config::Precision;
use thinkvla::model::generate::chat::Chat;
use thinkvla::model::generate::generation::{AnswerOptions, End, GenerationStep};
use thinkvla::model::generate::sampling::Sampling;
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::model::policy::PolicyOptions;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Images (PNG or JPEG) in the order they are shown, if any, and the question last
    #[arg(required = true, value_names = ["IMAGE… QUESTION"])]
    inputs: Vec<String>,
    /// Checkpoint directory: ours, or a Hugging Face Qwen3-VL
    #[arg(long)]
    checkpoint: PathBuf,
    /// Longest answer
    #[arg(long, default_value_t = 128)]
    max_tokens: usize,
    /// 0 takes the likeliest token at every step; above 0 tokens are drawn, with more variety for higher values
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Draw only from this many of the likeliest tokens
    #[arg(long)]
    top_k: Option<usize>,
    /// Draw from the likeliest tokens that together reach this probability
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// More than 1 makes tokens that have occurred less likely
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Largest image fed to the network [pixels], where the checkpoint allows more
    #[arg(long)]
    max_pixels: Option<u64>,
    /// Type the network computes in; the default is the checkpoint's
    #[arg(long)]
    compute: Option<Compute>,
    /// Device: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// CPU threads of one operation; the default is libtorch's choice
    #[arg(long)]
    threads: Option<u16>,
}

/// Types by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Compute {
    /// 32 bits
    Float32,
    /// 16 bits, faster
    Bfloat16,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some((question, images)) = arguments.inputs.split_last() else {
        bail!("expected a question, found none");
    };
    let options = PolicyOptions {
        device: arguments.device,
        compute: arguments.compute.map(|compute| match compute {
            Compute::Float32 => Precision::Float32,
            Compute::Bfloat16 => Precision::Bfloat16,
        }),
        threads: arguments.threads,
    };
    let pictures: Vec<RgbImage> = images
        .iter()
        .map(|path| load(Path::new(path)))
        .collect::<Result<_, _>>()?;
    let chat = Chat::load(&arguments.checkpoint, options)?;
    let mut rule = chat.patch_rule();
    if let Some(pixels) = arguments.max_pixels {
        rule.max_pixels = rule.max_pixels.min(pixels);
        rule.min_pixels = rule.min_pixels.min(rule.max_pixels);
    }
    let mut preprocessor = Preprocessor::of_pictures(rule)?;
    for (picture, path) in pictures.iter().zip(images) {
        preprocessor.push_rgb(picture).with_context(|| path.clone())?;
    }
    let start = Instant::now();
    let answer = AnswerOptions {
        sampling: Sampling {
            repetition_penalty: arguments.repetition_penalty,
            temperature: arguments.temperature,
            top_k: arguments.top_k,
            top_p: arguments.top_p,
            seed: arguments.seed,
        },
        max_tokens: arguments.max_tokens,
        ..AnswerOptions::default()
    };
    let mut answer = chat.ask(question, preprocessor.input(), answer)?;
    let mut first = None;
    let mut out = std::io::stdout().lock();
    while let Some(step) = chat.next_step(&mut answer)? {
        if let GenerationStep::Token(token) = step {
            first.get_or_insert_with(|| start.elapsed());
            // Nobody reads the output any more: stop.
            if write!(out, "{}", token.text).and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
        }
    }
    let _ = writeln!(out);
    let (tokens, seconds) = (answer.chosen().len(), start.elapsed().as_secs_f64());
    let first = first.unwrap_or_default().as_secs_f64();
    tracing::info!("{tokens} tokens in {seconds:.1} s, the first after {first:.1} s");
    if answer.end() == Some(End::Length) {
        tracing::info!("cut short at --max-tokens {}", arguments.max_tokens);
    }
    Ok(())
}

fn load(path: &Path) -> anyhow::Result<RgbImage> {
    let mut picture = RgbImage::default();
    file::load(path, &mut picture).context("the question goes last")?;
    Ok(picture)
}
