//! Paths of files that this package installs.

use std::path::{Path, PathBuf};

/// Path of the installed file `share/thinkvla/<relative>`: in the first prefix that has it, otherwise in the source tree.
pub fn file(relative: &str) -> PathBuf {
    let prefixes = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
    std::env::split_paths(&prefixes)
        .map(|prefix| prefix.join("share/thinkvla").join(relative))
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(relative))
}
