// Sums of tensors over processes, through libtorch's c10d and Gloo.
#include "process_group.h"

#include <cstdint>

#ifdef HAS_GLOO
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <string>
#include <vector>
#endif

extern "C" {

/// Rendezvous of the processes; the same layout as in `process_group.rs`.
struct Rendezvous {
  const char* host;
  const char* room;
  uint64_t timeout_ms;
  uint16_t port;
  uint8_t serves;
  int32_t rank, size;
};

#ifdef HAS_GLOO

/// Joins the group; waits for the other processes.
Message thinkvla_ranks_join(const Rendezvous* meeting, Ranks** ranks) {
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
    auto group =
        c10::make_intrusive<c10d::ProcessGroupGloo>(room, meeting->rank, meeting->size, options);
    *ranks = new Ranks{room, timeout, group};
  });
}

/// Sums a tensor on the CPU over all processes, in place.
Message thinkvla_ranks_sum(const Ranks* ranks, const at::Tensor* tensor) {
  return guarded([&] {
    std::vector<at::Tensor> one{*tensor};
    ranks->group->allreduce(one)->wait();
  });
}

void thinkvla_ranks_leave(Ranks* ranks) { delete ranks; }

#else

Message thinkvla_ranks_join(const Rendezvous*, Ranks**) {
  return strdup("this program was built without Gloo's headers; install libgloo-dev and build it again");
}

Message thinkvla_ranks_sum(const Ranks*, const at::Tensor*) { return nullptr; }

void thinkvla_ranks_leave(Ranks*) {}

#endif
}
