// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace tercet::learn {

// Seconds since a run began that went to other things than the arithmetic of its steps.
struct RunTimes {
  double data = 0;        // waiting for batches; also part of the steps' time
  double report = 0;      // log, curves and what the caller does with a step's report
  double evaluation = 0;  // validation, samples, counts of weights
  double checkpoint = 0;
};

// Adds the time for which it lives to a sum of seconds.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum), start_(Clock::now()) {}
  ~Stopwatch() { sum_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& sum_;
  Clock::time_point start_;
};

}  // namespace tercet::learn
