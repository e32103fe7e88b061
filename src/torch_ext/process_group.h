// A group of connected processes, shared by the sums on the CPU and those on GPUs.
#pragma once

#include "shim.h"

// libtorch has Gloo inside, but its wheels come without Gloo's headers.
#if __has_include(<gloo/context.h>)
#define HAS_GLOO 1
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>

struct Ranks {
  /// Store in which the processes exchange keys outside the sums.
  c10::intrusive_ptr<c10d::PrefixStore> store;
  std::chrono::milliseconds timeout;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};
#else
struct Ranks {};
#endif
