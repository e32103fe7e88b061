// Processes that add up tensors, over libtorch's c10d and Gloo.
#include "shim.h"

#include <cstdint>

// libtorch has Gloo inside, but its wheels come without Gloo's headers.
#if __has_include(<gloo/context.h>)
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <string>
#include <vector>
#define HAS_GLOO 1
#endif

extern "C" {

/// Where the processes meet; `ranks.rs` has the same.
struct Meeting {
  const char* host;
  const char* room;
  uint64_t timeout_ms;
  uint16_t port;
  uint8_t serves;
  int32_t rank, size;
};

#ifdef HAS_GLOO

struct Ranks {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

/// Waits for the others.
Message thinkvla_ranks_join(const Meeting* meeting, Ranks** ranks) {
  return guarded([&] {
    auto timeout = std::chrono::milliseconds(meeting->timeout_ms);
    c10d::TCPStoreOptions place;
    place.port = meeting->port;
    place.isServer = meeting->serves != 0;
    place.numWorkers = meeting->size;
    place.waitWorkers = false;
    place.timeout = timeout;
    auto house = c10::make_intrusive<c10d::TCPStore>(std::string(meeting->host), place);
    auto room = c10::make_intrusive<c10d::PrefixStore>(meeting->room, house);
    auto options = c10d::ProcessGroupGloo::Options::create_default(timeout);
    *ranks = new Ranks{
        c10::make_intrusive<c10d::ProcessGroupGloo>(room, meeting->rank, meeting->size, options)};
  });
}

/// Adds up a tensor of the CPU over all processes, in place.
Message thinkvla_ranks_sum(const Ranks* ranks, const at::Tensor* tensor) {
  return guarded([&] {
    std::vector<at::Tensor> one{*tensor};
    ranks->group->allreduce(one)->wait();
  });
}

void thinkvla_ranks_leave(Ranks* ranks) { delete ranks; }

#else

struct Ranks {};

Message thinkvla_ranks_join(const Meeting*, Ranks**) {
  return strdup("this program was built without Gloo's headers; install libgloo-dev and build it again");
}

Message thinkvla_ranks_sum(const Ranks*, const at::Tensor*) { return nullptr; }

void thinkvla_ranks_leave(Ranks*) {}

#endif
}
