//! Tells the linker where libtorch and MuJoCo lie, so that the nodes run without LD_LIBRARY_PATH.

fn main() {
    // DT_RPATH, not DT_RUNPATH: rosidl opens type-support libraries by name from inside librcl, and only DT_RPATH of
    // the executable reaches that search.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    for (feature, variable) in [
        ("CARGO_FEATURE_TORCH", "DEP_TCH_LIBTORCH_LIB"),
        ("CARGO_FEATURE_SIM", "MUJOCO_DYNAMIC_LINK_DIR"),
    ] {
        println!("cargo:rerun-if-env-changed={variable}");
        if std::env::var_os(feature).is_none() {
            continue;
        }
        if let Ok(directory) = std::env::var(variable) {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{directory}");
        }
    }
}
