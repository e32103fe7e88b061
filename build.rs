//! Tells the linker where libtorch, MuJoCo and the ROS libraries lie, so that the nodes find them without
//! LD_LIBRARY_PATH.

use std::env;
#[cfg(feature = "torch")]
use std::path::{Path, PathBuf};

fn main() {
    // DT_RPATH, not DT_RUNPATH: rosidl opens type-support libraries by name from inside librcl, and only DT_RPATH of
    // the executable reaches that search.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    println!("cargo:rerun-if-changed=build.rs");
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
    #[cfg(feature = "torch")]
    torch_shim();
    if env::var_os("CARGO_FEATURE_ROS").is_some() {
        ros_libraries();
    }
}

/// Compiles what `src/torch_ext` calls, against the libtorch that torch-sys found and with its ABI.
#[cfg(feature = "torch")]
fn torch_shim() {
    let Some(libraries) = env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return; // torch-sys is built for its documentation only
    };
    let include = env::var_os("LIBTORCH_INCLUDE")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(&libraries).join(".."))
        .join("include");
    for variable in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    let directory = Path::new("src/torch_ext");
    println!("cargo:rerun-if-changed={}", directory.join("shim.h").display());
    let sources = ["adamw.cpp", "linear.cpp", "ranks.cpp", "rows.cpp"].map(|name| directory.join(name));
    for source in &sources {
        println!("cargo:rerun-if-changed={}", source.display());
    }
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3) // also in debug builds: tests run the network
        .flag("-fopenmp") // libtorch's own thread pool
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .define("USE_C10D_GLOO", None)
        .flag(format!("-isystem{}", include.display()))
        .flag(format!("-isystem{}", include.join("torch/csrc/api/include").display()))
        .files(&sources)
        .compile("thinkvla_torch_ext");
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
