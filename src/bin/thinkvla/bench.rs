//! `thinkvla bench`: how fast the network runs here, beside what this machine needs for its matrix products alone.

use std::io::BufRead;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use thinkvla::eval::machine::{Machine, peak_memory_gb};
use thinkvla::inspect::speed::pass_products::{PassStage, of_one_pass};
use thinkvla::inspect::speed::roofline::{Timed, bandwidth, floor_ms, measure};
use thinkvla::inspect::speed::workload::{PassTimes, Workload, WorkloadOptions};
use thinkvla::model::config::Precision;
use thinkvla::model::init::presets::Preset;
use thinkvla::model::layers::device::{DeviceChoice, set_threads};
use thinkvla::stats::percentile;

use super::print_line;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Size of the network
    #[arg(long, default_value = "2b")]
    size: SizeName,
    /// Type of the backbone; the default is the size's own
    #[arg(long)]
    compute: Option<ComputeName>,
    /// CPU threads
    #[arg(long, default_value_t = 2)]
    threads: u16,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Images
    #[arg(long, default_value_t = 2)]
    images: usize,
    /// Side of an image as the network sees it [px]; the default is 256, or 128 for the small size
    #[arg(long)]
    side: Option<u32>,
    /// Tokens of the prompt, images included
    #[arg(long, default_value_t = 256)]
    tokens: usize,
    /// Passes to time
    #[arg(long, default_value_t = 20)]
    passes: usize,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Run one pass for each line read and answer with its times in JSON, to alternate with another program; the
    /// table follows the last line
    #[arg(long, hide = true)]
    alternate: bool,
}

/// Sizes by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SizeName {
    /// At most 12 million parameters
    Small,
    /// The size of Qwen3-VL-2B
    #[value(name = "2b", alias = "qwen3-vl-2b")]
    Qwen3Vl2b,
}

/// Types by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ComputeName {
    /// bfloat16
    Bf16,
    /// float32
    Fp32,
}

/// Times of all passes of one part [ms].
struct Part {
    name: &'static str,
    ms: Vec<f64>,
    floor_ms: Option<f64>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    set_threads(arguments.threads);
    let size = match arguments.size {
        SizeName::Small => Preset::Small,
        SizeName::Qwen3Vl2b => Preset::Qwen3Vl2b,
    };
    let config = size.config_without_tokenizer()?;
    let options = WorkloadOptions {
        compute: match arguments.compute {
            Some(ComputeName::Bf16) => Precision::Bfloat16,
            Some(ComputeName::Fp32) => Precision::Float32,
            None => config.thinkvla.compute,
        },
        device: arguments.device.resolve()?,
        images: arguments.images,
        side: arguments.side.unwrap_or(if size == Preset::Small { 128 } else { 256 }),
        tokens: arguments.tokens,
    };
    let mut workload = Workload::new(config, options)?;
    tracing::info!("network made, peak memory {:.2} GB", peak_memory_gb());
    for _ in 0..2 {
        workload.pass()?; // warm-up: libtorch initialises itself
    }
    let passes = match arguments.alternate {
        true => alternate(&mut workload)?,
        false => (0..arguments.passes.max(1))
            .map(|_| workload.pass())
            .collect::<Result<_, _>>()?,
    };
    let peak = peak_memory_gb();
    let work = of_one_pass(workload.config(), workload.load());
    let products = measure(&work, options.compute.kind(), options.device)?;
    let parts = parts(&passes, &products);
    let read = bandwidth(options.device)?;
    match arguments.json || arguments.alternate {
        true => print_line(&as_json(&parts, &products, read, peak).to_string()),
        false => print(&parts, &products, read, peak),
    }
    Ok(())
}

fn alternate(workload: &mut Workload) -> anyhow::Result<Vec<PassTimes>> {
    print_line("ready");
    let mut passes = Vec::new();
    for line in std::io::stdin().lock().lines() {
        if line? == "end" {
            break;
        }
        let pass = workload.pass()?;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        print_line(
            &json!({"vision_ms": ms(pass.vision), "language_ms": ms(pass.language), "head_ms": ms(pass.head)})
                .to_string(),
        );
        passes.push(pass);
    }
    Ok(passes)
}

fn parts(passes: &[PassTimes], products: &[Timed]) -> Vec<Part> {
    let part = |name, time: fn(&PassTimes) -> Duration, stages: &[PassStage]| Part {
        name,
        ms: passes.iter().map(|p| time(p).as_secs_f64() * 1e3).collect(),
        floor_ms: (!stages.is_empty()).then(|| stages.iter().map(|stage| floor_ms(products, *stage)).sum()),
    };
    vec![
        part("preprocessing", |p| p.preprocessing, &[]),
        part("vision", |p| p.vision, &[PassStage::Vision]),
        part("language", |p| p.language, &[PassStage::Language]),
        part(
            "vision + language",
            |p| p.vision + p.language,
            &[PassStage::Vision, PassStage::Language],
        ),
        part("head", |p| p.head, &[PassStage::Head]),
        part(
            "all",
            |p| p.preprocessing + p.vision + p.language + p.head,
            &[PassStage::Vision, PassStage::Language, PassStage::Head],
        ),
    ]
}

impl Part {
    fn at(&self, p: f64) -> f64 {
        percentile(&self.ms, p).unwrap_or(f64::NAN)
    }
}

fn print(parts: &[Part], products: &[Timed], read: f64, peak: f64) {
    print_line(&format!("{}\n", Machine::current()));
    print_line("| rows x columns x inner | times | GFLOP/s | ms in all |\n|---|---|---|---|");
    for timed in products {
        let p = timed.work.product;
        let number = if p.number > 1 {
            format!("{} of ", p.number)
        } else {
            String::new()
        };
        print_line(&format!(
            "| {number}{} x {} x {} | {} | {:.0} | {:.2} |",
            p.rows,
            p.columns,
            p.inner,
            timed.work.times,
            timed.gflops(),
            timed.total_ms()
        ));
    }
    print_line(&format!("\nmemory is read at {read:.1} GB/s\n"));
    print_line("| part | floor [ms] | p50 [ms] | p95 [ms] | p50 / floor |\n|---|---|---|---|---|");
    for part in parts {
        let (p50, p95) = (part.at(50.0), part.at(95.0));
        let (floor, ratio) = match part.floor_ms {
            Some(floor) => (format!("{floor:.2}"), format!("{:.2}", p50 / floor)),
            None => ("–".into(), "–".into()),
        };
        print_line(&format!("| {} | {floor} | {p50:.2} | {p95:.2} | {ratio} |", part.name));
    }
    print_line(&format!("\npeak memory {peak:.2} GB"));
}

fn as_json(parts: &[Part], products: &[Timed], read: f64, peak: f64) -> Value {
    let products: Vec<Value> = products
        .iter()
        .map(|t| {
            let p = t.work.product;
            json!({"number": p.number, "rows": p.rows, "columns": p.columns, "inner": p.inner,
                   "times": t.work.times, "gflops": t.gflops(), "ms": t.ms})
        })
        .collect();
    let parts: serde_json::Map<String, Value> = parts
        .iter()
        .map(|p| {
            let figures = json!({"floor_ms": p.floor_ms, "p50_ms": p.at(50.0), "p95_ms": p.at(95.0), "ms": p.ms});
            (p.name.to_owned(), figures)
        })
        .collect();
    json!({"machine": Machine::current(), "read_gb_s": read, "peak_gb": peak, "parts": parts, "products": products})
}
