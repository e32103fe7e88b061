//! Files of this package where ROS installs them.

use std::path::{Path, PathBuf};

/// The installed file `share/thinkvla/<relative>`: of the first prefix that has it; of a bare checkout otherwise.
pub fn file(relative: &str) -> PathBuf {
    let prefixes = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    std::env::split_paths(&prefixes)
        .map(|prefix| prefix.join("share/thinkvla").join(relative))
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(relative))
}
