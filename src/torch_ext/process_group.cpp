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
  const char* key_prefix;
  uint64_t timeout_ms;
  uint16_t port;
  uint8_t serves;
  int32_t rank, size;
};

#ifdef HAS_GLOO

/// Joins the group; waits for the other processes.
Message thinkvla_ranks_join(const Rendezvous* rendezvous, Ranks** ranks) {
  return guarded([&] {
    auto timeout = std::chrono::milliseconds(rendezvous->timeout_ms);
    c10d::TCPStoreOptions store_options;
    store_options.port = rendezvous->port;
    store_options.isServer = rendezvous->serves != 0;
    store_options.numWorkers = rendezvous->size;
    store_options.waitWorkers = false;
    store_options.timeout = timeout;
    auto tcp_store = c10::make_intrusive<c10d::TCPStore>(std::string(rendezvous->host), store_options);
    auto store = c10::make_intrusive<c10d::PrefixStore>(rendezvous->key_prefix, tcp_store);
    auto options = c10d::ProcessGroupGloo::Options::create_default(timeout);
    auto group =
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, rendezvous->rank, rendezvous->size, options);
    *ranks = new Ranks{store, timeout, group};
  });
}

/// Sums a tensor on the CPU over all processes, in store_options.
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
