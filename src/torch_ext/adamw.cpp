// libtorch's fused AdamW, and the norm of many tensors.
#include "shim.h"

#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/stack.h>

#include <vector>

namespace {

std::vector<at::Tensor> listed(const at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> list;
  list.reserve(count);
  for (size_t i = 0; i < count; ++i) list.push_back(*tensors[i]);
  return list;
}

}  // namespace

extern "C" {

/// Hyperparameters of a step; the same layout as in `adamw.rs`.
struct AdamWRule {
  double learning_rate, beta1, beta2, weight_decay, eps;
};

/// One step of `count` tensors of one type and device, in place.
Message thinkvla_adamw(const at::Tensor* const* weights, const at::Tensor* const* gradients,
                       const at::Tensor* const* means, const at::Tensor* const* squares,
                       const at::Tensor* const* steps, size_t count, const AdamWRule* rule) {
  return guarded([&] {
    at::_fused_adamw_(listed(weights, count), listed(gradients, count), listed(means, count), listed(squares, count),
                      {}, listed(steps, count), rule->learning_rate, rule->beta1, rule->beta2, rule->weight_decay,
                      rule->eps, /*amsgrad=*/false, /*maximize=*/false);
  });
}

/// Removes a tensor's gradient, as before the first backward pass.
Message thinkvla_clear_gradient(const at::Tensor* tensor) {
  return guarded([&] { tensor->mutable_grad() = at::Tensor(); });
}

/// Sets a tensor's gradient.
Message thinkvla_set_gradient(const at::Tensor* tensor, const at::Tensor* gradient) {
  return guarded([&] { tensor->mutable_grad() = *gradient; });
}

/// Euclidean norm of all values of `count` tensors together, as a tensor on their device.
Message thinkvla_norm(const at::Tensor* const* tensors, size_t count, at::Tensor** norm) {
  return guarded([&] {
    auto norms = at::_foreach_norm(listed(tensors, count), 2);
    *norm = new at::Tensor(at::stack(norms).norm());
  });
}
}
