// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "learn/dist/backend.h"

namespace tercet::learn {

BackendPtr open_nccl(const BackendOptions&) {
  fail(ErrorCode::kUnsupported,
       "this build cannot train on several GPUs: it was made without NCCL; build against a CUDA "
       "libtorch, with NCCL's headers (nccl.h) installed");
}

}  // namespace tercet::learn
