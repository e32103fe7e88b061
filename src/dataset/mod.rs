//! LeRobot datasets: recording them, so that a saved episode is never lost, and reading them, whoever wrote them.
//!
//! ```text
//! meta/info.json                               what the dataset is; written last, so it counts what is whole
//! meta/stats.json  meta/tasks.parquet          of all episodes
//! meta/episodes/chunk-000/file-000.parquet     one row an episode
//! meta/modality.json  contract.yaml            how values are grouped; robot and data of the contract
//! meta/thinkvla/episode-000000.json            what the recorder noted about an episode
//! data/chunk-000/file-000.parquet              rows: numbers, and pictures as PNG or JPEG
//! .open/episode                                the episode being recorded
//! .lock                                        who writes here, while somebody does
//! ```

pub mod column_mapping;
pub mod decoded_images;
pub mod edit;
pub mod encode;
pub mod encoded_images;
pub mod episode_stats;
pub mod episodes;
pub mod error;
pub mod feature;
mod folder;
pub mod frame;
pub mod info;
pub mod instruction;
mod jsonl;
pub mod mcap;
pub mod modality;
pub mod names;
mod numbers;
pub mod open_episode;
pub mod parquet;
pub mod reader;
pub mod repair;
pub mod schema;
pub mod statistics;
pub mod storage;
pub mod tasks;
mod times;
pub mod verify;
pub mod video;
pub mod writer;

pub use error::DatasetError;
pub use reader::{At, Dataset};
pub use writer::DatasetWriter;
