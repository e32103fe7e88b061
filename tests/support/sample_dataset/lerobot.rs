//! Runs a script of tests/lerobot with LeRobot, if it is installed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Output of the script. Without LeRobot it returns `None` and prints the command that provides it; on CI it must be
/// installed.
///
/// THINKVLA_LEROBOT_PYTHON names the Python interpreter with LeRobot; `tools/test.sh` sets it.
pub fn run(script: &str, arguments: &[&OsStr]) -> Option<String> {
    let Some(python) = std::env::var_os("THINKVLA_LEROBOT_PYTHON").filter(|python| !python.is_empty()) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "LeRobot is missing: tools/setup/lerobot_env.sh provides it, or says what it needs"
        );
        eprintln!(
            "SKIPPED {script}: without LeRobot nothing is known of what it makes of our datasets; this runs it:\n  \
             THINKVLA_LEROBOT_PYTHON=$(tools/setup/lerobot_env.sh) cargo test"
        );
        return None;
    };
    let cache = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lerobot");
    let output = Command::new(python)
        .arg(folder.join(script))
        .args(arguments)
        // LeRobot caches what it reads, and contacts its hub unless it is told to be offline.
        .env("HF_HOME", cache.path())
        .env("HF_HUB_OFFLINE", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("PYTHONPATH")
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{script}: {}\n{out}\n{err}", output.status);
    Some(out.into_owned())
}
