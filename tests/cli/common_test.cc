// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cli/common/learning_half.h"
#include "cli/common/memory_verdict.h"
#include "cli/common/numbers.h"
#include "cli/common/program.h"
#include "cli/common/signals.h"
#include "cli/common/terminal_text.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

TEST(Numbers, BytesHaveThreeFiguresAndBinaryUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(uint64_t{25} << 30), "25.0 GiB");
  EXPECT_EQ(format_bytes(~uint64_t{0}), "16777216 TiB");
}

TEST(MemoryVerdict, SaysWhatFitsAndWhatWould) {
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  // 1 GiB of weights, 64 KiB a token; 64 MiB of scratch.
  const auto judge = [](int64_t context, uint64_t available) {
    return judge_memory(
        {.weights = kGiB, .per_token = 65536, .context = context, .available = available});
  };
  const MemoryVerdict fits = judge(2048, 2 * kGiB);
  EXPECT_TRUE(fits.fits);
  EXPECT_EQ(fits.needed, kGiB + (128u << 20) + (64u << 20));
  EXPECT_EQ(fits.fitting_context, 2048);
  EXPECT_EQ(fits.sentence,
            "fits: 1.00 GiB for weights and 128 MiB for keys and values at a context of 2048, 2.00 "
            "GiB are available");
  // 960 MiB are left for keys and values: 15360 tokens.
  const MemoryVerdict shorter = judge(131072, 2 * kGiB);
  EXPECT_FALSE(shorter.fits);
  EXPECT_EQ(shorter.fitting_context, 15360);
  EXPECT_TRUE(shorter.sentence.ends_with("try --ctx 15360")) << shorter.sentence;
  EXPECT_TRUE(judge(15360, 2 * kGiB).fits);
  EXPECT_FALSE(judge(15361, 2 * kGiB).fits);
  const MemoryVerdict never = judge(0, kGiB);
  EXPECT_FALSE(never.fits);
  EXPECT_EQ(never.fitting_context, 0);
  EXPECT_NE(never.sentence.find("fewer bits"), std::string::npos);
  // Sizes that overflow are too large; an unknown amount of memory is enough.
  EXPECT_FALSE(judge(INT64_MAX, ~uint64_t{0} - 1).fits);
  EXPECT_TRUE(judge(INT64_MAX, 0).fits);
}

TEST(Numbers, CountsHaveDecimalUnits) {
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1.00 K");
  EXPECT_EQ(format_count(3'450'000), "3.45 M");
  EXPECT_EQ(format_count(2'412'820'480), "2.41 B");
}

TEST(Numbers, SecondsReadAsPeopleSayThem) {
  EXPECT_EQ(format_seconds(0.0421), "42 ms");
  EXPECT_EQ(format_seconds(12.34), "12.3 s");
  EXPECT_EQ(format_seconds(245), "4:05");
  EXPECT_EQ(format_seconds(3723), "1:02:03");
  EXPECT_EQ(format_seconds(-1), "unknown");
  EXPECT_EQ(format_seconds(1e300), "unknown");
}

TEST(Guarded, TurnsEveryExceptionIntoTheExitCodeOfTheContract) {
  const auto status = [](const std::function<void()>& body) { return guarded("test", body); };
  EXPECT_EQ(status([] {}), 0);
  EXPECT_EQ(status([] { fail(ErrorCode::kUsage, "x"); }), 2);
  EXPECT_EQ(status([] { fail(ErrorCode::kBadInput, "x"); }), 3);
  EXPECT_EQ(status([] { fail(ErrorCode::kUnsupported, "x"); }), 3);
  EXPECT_EQ(status([] { fail(ErrorCode::kIo, "x"); }), 4);
  EXPECT_EQ(status([] { fail(ErrorCode::kInternal, "x"); }), 5);
  EXPECT_EQ(status([] { fail(ErrorCode::kInterrupted, "x"); }), 130);
  EXPECT_EQ(status([] { throw std::bad_alloc(); }), 5);
  EXPECT_EQ(status([] { throw std::runtime_error("x"); }), 5);
}

TEST(SimilarCommands, FindsSlipsAndBeginnings) {
  CLI::App app("", "tercet");
  for (const char* name : {"run", "perplexity", "pretrain", "inspect", "convert"}) {
    app.add_subcommand(name, "");
  }
  using Names = std::vector<std::string>;
  EXPECT_EQ(similar_commands(app, "rnu"), Names{"run"});
  EXPECT_EQ(similar_commands(app, "perplexty"), Names{"perplexity"});
  EXPECT_EQ(similar_commands(app, "inspekt"), Names{"inspect"});
  EXPECT_EQ(similar_commands(app, "per"), Names{"perplexity"});
  EXPECT_EQ(similar_commands(app, "frobnicate"), Names{});
}

TEST(RunAndCapture, GivesOutputAndStatus) {
  const ChildResult done = run_and_capture("/bin/sh", {"-c", "echo hello; exit 3"});
  EXPECT_EQ(done.output, "hello\n");
  EXPECT_EQ(done.exit_status, 3);
  EXPECT_EQ(run_and_capture("/bin/sh", {"-c", "kill -9 $$"}).exit_status, 128 + SIGKILL);
  EXPECT_THROW(run_and_capture("/nonexistent/program", {}), Error);
}

// Last, since the flag stays set.
TEST(Signals, TheFirstOneOnlySetsTheFlag) {
  install_signal_handlers();
  EXPECT_NO_THROW(throw_if_stopped());
  std::raise(SIGINT);
  EXPECT_TRUE(stop_requested());
  try {
    throw_if_stopped();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  EXPECT_EXIT(std::raise(SIGINT), ::testing::KilledBySignal(SIGINT), "");
}

TEST(Signals, EndAReadThatWasNotYetBegun) {
  install_signal_handlers();
  survive_interrupts();
  std::array<int, 2> empty{};
  ASSERT_EQ(::pipe(empty.data()), 0);
  char byte = 0;
  std::raise(SIGINT);
  EXPECT_EQ(read_until_stopped(empty[0], &byte, 1), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_TRUE(take_stop_request());
  // The request is taken: the next read waits for its byte.
  ASSERT_EQ(::write(empty[1], "x", 1), 1);
  EXPECT_EQ(read_until_stopped(empty[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  // Another thread handles the signal while this one waits.
  std::thread other([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::pthread_kill(::pthread_self(), SIGINT);
  });
  EXPECT_EQ(read_until_stopped(empty[0], &byte, 1), -1);
  other.join();
  EXPECT_TRUE(take_stop_request());
  ::close(empty[1]);
  EXPECT_EQ(read_until_stopped(empty[0], &byte, 1), 0);
  ::close(empty[0]);
}

TEST(TerminalText, ControlCharactersAreShownInsteadOfObeyed) {
  EXPECT_EQ(terminal_text("a\tb\nc d\xC3\xA9\xE6\xBC\xA2"), "a\tb\nc d\xC3\xA9\xE6\xBC\xA2");
  EXPECT_EQ(terminal_text("\x1b[31m"), "\xE2\x90\x9B[31m");
  EXPECT_EQ(terminal_text("a\rb\x07\x7f"),
            "a\xE2\x90\x8D"
            "b\xE2\x90\x87\xE2\x90\xA1");
  // U+009B begins a command as ESC [ does; U+00A0 does not.
  EXPECT_EQ(terminal_text("\xC2\x9B"
                          "1m\xC2\xA0"),
            "\xEF\xBF\xBD"
            "1m\xC2\xA0");
  EXPECT_EQ(terminal_text(std::string_view("\0x", 2)), "\xE2\x90\x80x");
}

}  // namespace
}  // namespace tercet::cli
