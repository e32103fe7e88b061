// Sums of tensors that stay on their GPUs, over libtorch's c10d and NCCL.
#include "ranks.h"

#include <cstdint>

// build.rs defines it where it finds libtorch's CUDA part, NCCL's header and CUDA's.
#if defined(USE_C10D_NCCL) && defined(HAS_GLOO)
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/env.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>
#define HAS_NCCL 1
#endif

extern "C" {

#ifdef HAS_NCCL

/// What NCCL has been told to do. Telling it can take as long as doing it: it meets the others, and waits for room in the
/// GPU's queue. So a thread of its own does it, and whoever has lost the others need not wait for that thread.
struct Errand {
  std::atomic<bool> told{false};
  std::exception_ptr failure;
  c10::intrusive_ptr<c10d::Work> work;
};

struct Gpu {
  c10::Device device;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group;
  std::shared_ptr<Errand> errand;
};

/// What libtorch was built with, as it says itself.
static std::string version_of_libtorch() {
  auto version = torch::cuda::nccl::version();
  auto part = [&](int shift) { return std::to_string((version >> shift) & 0xffff); };
  return part(32) + '.' + part(16) + '.' + part(0);
}

static std::string version_of_header() {
  return std::to_string(NCCL_MAJOR) + '.' + std::to_string(NCCL_MINOR) + '.' +
         std::to_string(NCCL_PATCH);
}

uint8_t thinkvla_nccl_built() { return 1; }

/// Takes the GPU of this number; does not wait for the others.
Message thinkvla_nccl_open(const Ranks* ranks, int32_t index, Gpu** gpu) {
  return guarded([&] {
    TORCH_CHECK(
        version_of_header() == version_of_libtorch(),
        "expected this program to be built with the nccl.h of libtorch's NCCL, ",
        version_of_libtorch(),
        ", found it built with that of ",
        version_of_header(),
        "; set NCCL_HOME to the folder above the former's include, and build again");
    // Otherwise a thread of libtorch's watches NCCL and, after the timeout, aborts the process without a word of ours.
    // With it libtorch leaves errors to whoever asks after the work, which `thinkvla_nccl_over` does.
    c10::utils::set_env("TORCH_NCCL_BLOCKING_WAIT", "1", false);
    auto device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    // What has no device of its own, such as pinned memory, would settle on the first GPU.
    c10::impl::VirtualGuardImpl(c10::kCUDA).setDevice(device);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = ranks->timeout;
    auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", ranks->room),
        ranks->group->getRank(),
        ranks->group->getSize(),
        options);
    group->setBoundDeviceId(device);
    *gpu = new Gpu{device, group, nullptr};
  });
}

/// Begins to meet the others or, with a tensor, to add it up over all processes, in place.
Message thinkvla_nccl_begin(Gpu* gpu, const at::Tensor* tensor) {
  return guarded([&] {
    auto errand = std::make_shared<Errand>();
    // NCCL waits for what this stream has still to do to the tensor.
    auto stream = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(gpu->device);
    auto tell = [errand,
                 stream,
                 device = gpu->device,
                 group = gpu->group,
                 tensor = tensor ? *tensor : at::Tensor()]() mutable {
      try {
        c10::StreamGuard on(stream);
        if (tensor.defined()) {
          std::vector<at::Tensor> one{tensor};
          errand->work = group->allreduce(one);
        } else {
          group->eagerConnectSingleDevice(device);
        }
      } catch (...) {
        errand->failure = std::current_exception();
      }
      tensor.reset();
      group.reset(); // before `told`: the last to let go of the group has to be `thinkvla_nccl_leave`
      errand->told = true;
    };
    std::thread(std::move(tell)).detach();
    gpu->errand = errand;
  });
}

/// Whether what was begun is over, without waiting; then whatever this thread's stream does next comes after it.
Message thinkvla_nccl_over(const Gpu* gpu, uint8_t* over) {
  return guarded([&] {
    auto& errand = *gpu->errand;
    *over = errand.told;
    if (!errand.told) {
      return;
    }
    if (errand.failure) {
      std::rethrow_exception(errand.failure);
    }
    if (errand.work && (*over = errand.work->isCompleted())) {
      errand.work->wait(); // throws what NCCL said; otherwise the current stream waits for NCCL's
      errand.work.reset();
    }
  });
}

/// Lets go of the GPU. NCCL's orderly way waits for the others, who may be gone, and all sums are over; so it is told to
/// abort. Should it not come back from that, it is left where it is: the process is about to end.
void thinkvla_nccl_leave(Gpu* gpu) {
  try {
    auto gone = std::make_shared<std::promise<void>>();
    auto going = gone->get_future();
    std::thread([gone, group = std::move(gpu->group), errand = std::move(gpu->errand)]() mutable {
      try {
        group->abort();
      } catch (...) {
      }
      errand.reset();
      group.reset();
      gone->set_value();
    }).detach();
    going.wait_for(std::chrono::seconds(10));
  } catch (...) {
  }
  delete gpu;
}

#else

struct Gpu {};

uint8_t thinkvla_nccl_built() { return 0; }

Message thinkvla_nccl_open(const Ranks*, int32_t, Gpu**) {
  return strdup("this program was built without NCCL");
}

Message thinkvla_nccl_begin(Gpu*, const at::Tensor*) { return nullptr; }

Message thinkvla_nccl_over(const Gpu*, uint8_t*) { return nullptr; }

void thinkvla_nccl_leave(Gpu*) {}

#endif
}
