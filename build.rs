//! Tells the linker where libtorch, MuJoCo and the ROS libraries lie, so that the nodes find them without
//! LD_LIBRARY_PATH.

use std::env;

fn main() {
    // DT_RPATH, not DT_RUNPATH: rosidl opens type-support libraries by name from inside librcl, and only DT_RPATH of
    // the executable reaches that search.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    for (feature, variable) in [
        ("CARGO_FEATURE_TORCH", "DEP_TCH_LIBTORCH_LIB"),
        ("CARGO_FEATURE_SIM", "MUJOCO_DYNAMIC_LINK_DIR"),
    ] {
        println!("cargo:rerun-if-env-changed={variable}");
        if env::var_os(feature).is_none() {
            continue;
        }
        if let Ok(directory) = env::var(variable) {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{directory}");
        }
    }
    if env::var_os("CARGO_FEATURE_ROS").is_some() {
        ros_libraries();
    }
}

/// Installed nodes stand in `<prefix>/lib/thinkvla`, this package's type support one folder up and the private copies
/// of foreign messages in `private`. Other prefixes come from the sourced workspace.
fn ros_libraries() {
    for directory in ["$ORIGIN/..", "$ORIGIN/private"] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{directory}");
    }
    // The ROS crates search these too, but keep the list of the day they were built.
    println!("cargo:rerun-if-env-changed=AMENT_PREFIX_PATH");
    if let Some(prefixes) = env::var_os("AMENT_PREFIX_PATH") {
        for prefix in env::split_paths(&prefixes) {
            println!("cargo:rustc-link-search=native={}", prefix.join("lib").display());
        }
    }
}
