// oneDNN's linear maps with prepacked weights and with what follows them fused in.
#include "shim.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

namespace {

using at::Tensor;
using Scalars = c10::List<std::optional<at::Scalar>>;
using Pack = Tensor(const Tensor&, std::optional<int64_t>);
using Unary = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view, Scalars,
                     std::optional<std::string_view>);
using Binary = Tensor(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view);

template <typename Signature>
c10::TypedOperatorHandle<Signature> find(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

std::optional<Tensor> optional(const Tensor* tensor) {
  return tensor ? std::optional<Tensor>(*tensor) : std::nullopt;
}

}  // namespace

extern "C" {

void thinkvla_free(Message message) { std::free(message); }

/// Whether this libtorch was built with oneDNN.
bool thinkvla_linear_available() {
  return c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""}).has_value();
}

Message thinkvla_linear_pack(const Tensor* weight, int64_t rows, Tensor** packed) {
  return guarded([&] {
    static const auto pack = find<Pack>("mkldnn::_reorder_linear_weight", "");
    *packed = new Tensor(pack.call(*weight, rows));
  });
}

/// `follow` and `algorithm` name what is applied to the product, as oneDNN's operators of libtorch name it.
Message thinkvla_linear(const Tensor* x, const Tensor* packed, const Tensor* bias, const char* follow,
                        const char* algorithm, Tensor** y) {
  return guarded([&] {
    static const auto linear = find<Unary>("mkldnn::_linear_pointwise", "");
    *y = new Tensor(linear.call(*x, *packed, optional(bias), follow, Scalars(), algorithm));
  });
}

/// `follow` says how `other`, of the product's shape, is combined with it.
Message thinkvla_linear_with(const Tensor* x, const Tensor* packed, const Tensor* bias, const char* follow,
                             const Tensor* other, Tensor** y) {
  return guarded([&] {
    static const auto linear = find<Binary>("mkldnn::_linear_pointwise", "binary");
    *y = new Tensor(linear.call(*x, *other, *packed, optional(bias), follow));
  });
}
}
