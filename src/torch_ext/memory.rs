//! Tuning of glibc's allocator, from which libtorch takes its memory, for large blocks.

use std::ffi::c_int;

unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
    fn malloc_trim(pad: usize) -> c_int;
}

/// Parameter numbers of glibc's `mallopt`.
const M_TRIM_THRESHOLD: c_int = -1;
const M_MMAP_THRESHOLD: c_int = -3;

/// Threshold (bytes) above which blocks have pages of their own while weights are loaded; weights are far larger.
const WHILE_LOADING: c_int = 1 << 20;
/// Threshold (bytes) afterwards, the largest that glibc allows: activations are smaller and stay in the heap, whose
/// pages are touched once and kept.
const WHILE_RUNNING: c_int = 32 << 20;
const TRIM_THRESHOLD_BYTES: c_int = 256 << 20;

/// Guard that returns the memory of freed weights to the system at once while it exists. Without it, weights that were
/// packed leave holes in the heap, and a network of 2 billion parameters takes a third more memory.
#[derive(Debug)]
pub struct ReturnedAtOnce(());

impl ReturnedAtOnce {
    /// Sets the thresholds for loading; dropping the guard sets those for running.
    pub fn begin() -> Self {
        set(M_MMAP_THRESHOLD, WHILE_LOADING);
        Self(())
    }
}

impl Drop for ReturnedAtOnce {
    fn drop(&mut self) {
        // SAFETY: takes a plain number and may be called at any time.
        unsafe { malloc_trim(0) };
        set(M_MMAP_THRESHOLD, WHILE_RUNNING);
        set(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
    }
}

/// Sets a parameter of the allocator. A refusal is no error: memory is then treated as before.
fn set(parameter: c_int, value: c_int) {
    // SAFETY: takes two plain numbers and may be called at any time.
    unsafe { mallopt(parameter, value) };
}
