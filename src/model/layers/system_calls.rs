//! Calls of the operating system that need `unsafe`: loading of a library, and files mapped into memory.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::File;

use memmap2::{Mmap, UncheckedAdvice};

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
}

const RTLD_NOW: c_int = 0x002;
const RTLD_GLOBAL: c_int = 0x100;

/// Loads a shared library for the lifetime of the process; returns false if it cannot be loaded.
pub(in crate::model) fn load_library(name: &CStr) -> bool {
    // SAFETY: the name is a terminated string, the flags are Linux's, and the library's initialisers are libtorch's
    // own, which expect to be run this way.
    let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) };
    !handle.is_null()
}

/// Maps a file for reading.
pub(in crate::model) fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read only. Truncating a checkpoint while it is being loaded would stop the process; a
    // checkpoint in use is not written to.
    unsafe { Mmap::map(file) }
}

/// Returns the memory of a part of a map to the system.
pub(in crate::model) fn release(map: &Mmap, start: usize, length: usize) {
    // SAFETY: the map is of a file, read only and never written to, so the pages are read again unchanged when they are
    // needed.
    // A refusal only costs memory.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, length) };
}
