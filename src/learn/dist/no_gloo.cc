// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "learn/dist/backend.h"

namespace tercet::learn {

BackendPtr open_gloo(const BackendOptions&) {
  fail(ErrorCode::kUnsupported,
       "this build cannot train on several ranks: it was made without Gloo; install libgloo-dev "
       "(scripts/setup.sh does) and build again");
}

}  // namespace tercet::learn
