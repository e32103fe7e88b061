// Sums of tensors over processes on their GPUs, through libtorch's c10d and NCCL.
#include "process_group.h"

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

/// An operation handed to NCCL. The call itself can block as long as the operation: it connects to the other processes
/// and waits for room in the GPU's queue. So a thread of its own makes it, and a process that has lost the others need
/// not wait for that thread.
struct Operation {
  std::atomic<bool> returned{false};
  std::exception_ptr failure;
  c10::intrusive_ptr<c10d::Work> work;
};

struct Gpu {
  c10::Device device;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group;
  std::shared_ptr<Operation> operation;
};

/// Version of NCCL that libtorch reports.
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

/// Opens the GPU of this index; does not wait for other processes.
Message thinkvla_nccl_open(const Ranks* ranks, int32_t index, Gpu** gpu) {
  return guarded([&] {
    TORCH_CHECK(
        version_of_header() == version_of_libtorch(),
        "expected this program to be built with the nccl.h of libtorch's NCCL, ",
        version_of_libtorch(),
        ", found it built with that of ",
        version_of_header(),
        "; set NCCL_HOME to the folder above the former's include, and build again");
    // Otherwise a watchdog thread of libtorch aborts the process after the timeout without a message of ours. With it
    // libtorch reports errors when the work is queried, which `thinkvla_nccl_over` does.
    c10::utils::set_env("TORCH_NCCL_BLOCKING_WAIT", "1", false);
    auto device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    // Allocations without a device of their own, such as pinned memory, would otherwise use the first GPU.
    c10::impl::VirtualGuardImpl(c10::kCUDA).setDevice(device);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = ranks->timeout;
    auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", ranks->store),
        ranks->group->getRank(),
        ranks->group->getSize(),
        options);
    group->setBoundDeviceId(device);
    *gpu = new Gpu{device, group, nullptr};
  });
}

/// Begins to connect to the other processes or, with a tensor, to sum it over all processes, in place.
Message thinkvla_nccl_begin(Gpu* gpu, const at::Tensor* tensor) {
  return guarded([&] {
    auto operation = std::make_shared<Operation>();
    // NCCL waits for the work on the tensor that is still queued on this stream.
    auto stream = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(gpu->device);
    auto run = [operation,
                 stream,
                 device = gpu->device,
                 group = gpu->group,
                 tensor = tensor ? *tensor : at::Tensor()]() mutable {
      try {
        c10::StreamGuard on(stream);
        if (tensor.defined()) {
          std::vector<at::Tensor> one{tensor};
          operation->work = group->allreduce(one);
        } else {
          group->eagerConnectSingleDevice(device);
        }
      } catch (...) {
        operation->failure = std::current_exception();
      }
      tensor.reset();
      group.reset(); // before `returned`: the last reference to the group has to be that of `thinkvla_nccl_leave`
      operation->returned = true;
    };
    std::thread(std::move(run)).detach();
    gpu->operation = operation;
  });
}

/// Reports, without waiting, whether the operation is complete; later work of this thread's stream runs after it.
Message thinkvla_nccl_over(const Gpu* gpu, uint8_t* over) {
  return guarded([&] {
    auto& operation = *gpu->operation;
    *over = operation.returned;
    if (!operation.returned) {
      return;
    }
    if (operation.failure) {
      std::rethrow_exception(operation.failure);
    }
    if (operation.work && (*over = operation.work->isCompleted())) {
      operation.work->wait(); // throws NCCL's error, if any; otherwise the current stream waits for NCCL's
      operation.work.reset();
    }
  });
}

/// Releases the GPU. NCCL's orderly shutdown waits for the other processes, which may have ended; as all sums are
/// complete, it is aborted instead. If the abort does not return, its thread is abandoned: the process is about to end.
void thinkvla_nccl_leave(Gpu* gpu) {
  try {
    auto gone = std::make_shared<std::promise<void>>();
    auto going = gone->get_future();
    std::thread([gone, group = std::move(gpu->group), operation = std::move(gpu->operation)]() mutable {
      try {
        group->abort();
      } catch (...) {
      }
      operation.reset();
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
