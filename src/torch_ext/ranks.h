// Processes that have met, as the sums on the CPU and those on GPUs see them.
#pragma once

#include "shim.h"

// libtorch has Gloo inside, but its wheels come without Gloo's headers.
#if __has_include(<gloo/context.h>)
#define HAS_GLOO 1
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>

struct Ranks {
  /// What they tell one another outside the sums.
  c10::intrusive_ptr<c10d::PrefixStore> room;
  std::chrono::milliseconds timeout;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};
#else
struct Ranks {};
#endif
