//! Fuzzes the JSON descriptions of a dataset: any content is refused or can be queried.
#![no_main]

mod common;

use std::sync::OnceLock;

use common::Tiny;
use libfuzzer_sys::fuzz_target;
use thinkvla::dataset::info::{INFO, Info, MODALITY, STATS};
use thinkvla::dataset::modality::Modality;
use thinkvla::dataset::{Dataset, episode_stats};

static TINY: OnceLock<Tiny> = OnceLock::new();

fuzz_target!(
    init: {
        TINY.get_or_init(|| Tiny::new("dataset_info", &[INFO, MODALITY, STATS]));
    },
    |data: &[u8]| {
        let Some(tiny) = TINY.get() else { return };
        for name in [INFO, MODALITY, STATS] {
            tiny.put(name, data);
        }
        tiny.measure(data, |root| {
            if let Ok(info) = Info::load(root) {
                for (_, feature) in info.features.iter() {
                    feature.value_names();
                    feature.size();
                }
                drop(Dataset::open(root));
            }
            if let Ok(modality) = Modality::load(root) {
                modality.end("action", &mut [1.0; 7]);
            }
            if let Ok(statistics) = episode_stats::load(root) {
                let mut all = episode_stats::FeatureStats::new();
                episode_stats::merge(&mut all, &statistics);
                episode_stats::merge(&mut all, &statistics);
            }
        });
    }
);
