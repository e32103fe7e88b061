// What the Rust side calls. A function gives back null, or an error message that `thinkvla_free` takes back; nothing is
// thrown across.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <cstring>
#include <exception>

using Message = char*;

/// Runs `body`; what it throws becomes the message.
template <typename Body>
Message guarded(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("libtorch threw something that is no exception");
  }
}
