// SPDX-License-Identifier: Apache-2.0
#include "learn/bit_linear/swapped_weight.h"

#include <ATen/ATen.h>
#include <ATen/core/stack.h>
#include <torch/library.h>

#include <utility>

#include "core/error.h"
#include "learn/bit_linear/product.h"

namespace tercet {
namespace {

// Out-of-tree devices use PrivateUse1; nothing is known to use this one.
constexpr c10::DispatchKey kKey = c10::DispatchKey::PrivateUse3;

[[noreturn]] void refuse(const std::string& operation) {
  fail(ErrorCode::kUnsupported,
       "the member `weight` of a Linear that swap_linear_layers() changed was used in {}; it can "
       "only be multiplied, by Linear::forward(): take the parameter from named_parameters()",
       operation);
}

class SwappedWeightImpl : public c10::TensorImpl {
 public:
  SwappedWeightImpl(SwappedWeight weight, bool transposed)
      : c10::TensorImpl(c10::DispatchKeySet(kKey), weight.latent.dtype(), weight.latent.device()),
        weight_(std::move(weight)),
        transposed_(transposed) {
    // Nothing but the key: gradients are those of the latent weights, and libtorch's own
    // book-keeping of views must not see this tensor.
    key_set_ = c10::DispatchKeySet(kKey);
    const int64_t rows = weight_.latent.size(0);
    const int64_t cols = weight_.latent.size(1);
    set_sizes_contiguous(transposed ? std::vector<int64_t>{cols, rows}
                                    : std::vector<int64_t>{rows, cols});
  }

  const SwappedWeight& weight() const { return weight_; }
  bool transposed() const { return transposed_; }

  // The copies that detach() and data() make would be tensors with this key, but without weights.
  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(const c10::VariableVersion&,
                                                              bool) const override {
    refuse("detach()");
  }
  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(c10::VariableVersion&&,
                                                              bool) const override {
    refuse("detach()");
  }

 private:
  SwappedWeight weight_;
  bool transposed_;
};

const SwappedWeightImpl* impl_of(const at::Tensor& tensor) {
  return dynamic_cast<const SwappedWeightImpl*>(tensor.unsafeGetTensorImpl());
}

at::Tensor make(const SwappedWeight& weight, bool transposed) {
  return at::Tensor(c10::make_intrusive<SwappedWeightImpl>(weight, transposed));
}

// The right factor of x W^T.
const SwappedWeight& transposed_weight(const at::Tensor& tensor, const char* operation) {
  const SwappedWeightImpl* impl = impl_of(tensor);
  if (impl == nullptr || !impl->transposed()) refuse(operation);
  return impl->weight();
}

at::Tensor transpose(const at::Tensor& weight) {
  const SwappedWeightImpl* impl = impl_of(weight);
  return make(impl->weight(), !impl->transposed());
}

at::Tensor multiply(const at::Tensor& x, const at::Tensor& matrix) {
  const SwappedWeight& weight = transposed_weight(matrix, "aten::matmul");
  return bit_product(x, weight.latent, {}, weight.options);
}

at::Tensor multiply_and_add(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& matrix,
                            const at::Scalar& beta, const at::Scalar& alpha) {
  const SwappedWeight& weight = transposed_weight(matrix, "aten::addmm");
  if (beta.toDouble() != 1 || alpha.toDouble() != 1) refuse("aten::addmm with factors");
  return bit_product(x, weight.latent, bias, weight.options);
}

// to(type), as autocast does with what is multiplied: the type is the business of bit_product().
void converted(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  torch::jit::drop(*stack, op.schema().arguments().size() - 1);
}

void refuse_operator(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack*) {
  refuse(op.schema().name());
}

void register_operators(torch::Library& library) {
  library.impl("t", transpose);
  library.impl("matmul", multiply);
  library.impl("addmm", multiply_and_add);
  // libtorch has a kernel of its own for all devices, which would not name the cause.
  library.impl("clone", torch::CppFunction::makeFromBoxedFunction<&refuse_operator>());
  library.impl("to.dtype", torch::CppFunction::makeFromBoxedFunction<&converted>());
}

// With and without gradients being recorded for the other factor.
TORCH_LIBRARY_IMPL(aten, AutogradPrivateUse3, library) { register_operators(library); }
TORCH_LIBRARY_IMPL(aten, PrivateUse3, library) { register_operators(library); }
TORCH_LIBRARY_IMPL(_, AutogradPrivateUse3, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&refuse_operator>());
}
TORCH_LIBRARY_IMPL(_, PrivateUse3, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&refuse_operator>());
}

}  // namespace

at::Tensor swapped_weight(const at::Tensor& latent, const BitLinearOptions& options) {
  return make({latent, options}, /*transposed=*/false);
}

const SwappedWeight* swapped_weight_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  const SwappedWeightImpl* impl = impl_of(tensor);
  return impl == nullptr ? nullptr : &impl->weight();
}

}  // namespace tercet
