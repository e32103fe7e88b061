//! The few calls that the compiler cannot check.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::File;

use memmap2::{Mmap, UncheckedAdvice};

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
}

const RTLD_NOW: c_int = 0x002;
const RTLD_GLOBAL: c_int = 0x100;

/// Loads a shared library for the life of the process; false where there is none.
pub(super) fn load_library(name: &CStr) -> bool {
    // SAFETY: the name is a terminated string, the flags are Linux's, and the library's initialisers are libtorch's
    // own, which expect to be run this way.
    let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) };
    !handle.is_null()
}

/// Maps a file for reading.
pub(super) fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read only. Whoever truncates a checkpoint while it is being loaded stops the process; a
    // checkpoint in use is not written to.
    unsafe { Mmap::map(file) }
}

/// Gives the memory behind a part of a map back to the system.
pub(super) fn release(map: &Mmap, start: usize, length: usize) {
    // SAFETY: the map is of a file, read only and never written to, so the pages come back as they were when they are
    // read again.
    // A refusal only costs memory.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, length) };
}
