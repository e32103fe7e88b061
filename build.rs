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
    let sources =
        ["adamw.cpp", "linear.cpp", "nccl.cpp", "process_group.cpp", "rows.cpp"].map(|name| directory.join(name));
    let headers = ["process_group.h", "shim.h"].map(|name| directory.join(name));
    for file in sources.iter().chain(&headers) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    let mut build = cc::Build::new();
    if let Some(folders) = nccl_headers(Path::new(&libraries)) {
        build.define("USE_C10D_NCCL", None);
        for folder in folders {
            build.flag(format!("-isystem{}", folder.display()));
        }
        println!("cargo:rustc-link-lib=torch_cuda");
    }
    build
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

/// Where the headers lie that NCCL's part of the shim needs: beside libtorch where wheels brought them, or in a CUDA
/// installation. None unless libtorch has its CUDA part and all of them are found.
#[cfg(feature = "torch")]
fn nccl_headers(libraries: &Path) -> Option<Vec<PathBuf>> {
    if !libraries.join("libtorch_cuda.so").exists() {
        return None;
    }
    let wheels = libraries.join("../../nvidia");
    let mut folders = Vec::new();
    if let Ok(found) = wheels.read_dir() {
        println!("cargo:rerun-if-changed={}", wheels.display());
        folders.extend(found.flatten().map(|wheel| wheel.path().join("include")));
    }
    folders.sort();
    for variable in ["NCCL_HOME", "CUDA_HOME"] {
        println!("cargo:rerun-if-env-changed={variable}");
        folders.extend(env::var_os(variable).map(|home| Path::new(&home).join("include")));
    }
    folders.push("/usr/local/cuda/include".into());
    folders.retain(|folder| folder.exists());
    let needed = [
        "nccl.h",
        "cuda_runtime_api.h",
        "crt/host_config.h",
        "nv/target",
        "cublasLt.h",
        "cublas_v2.h",
        "cusolverDn.h",
        "cusparse.h",
    ];
    let found = |header: &&str| folders.iter().any(|folder| folder.join(header).exists());
    needed.iter().all(found).then_some(folders)
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
