// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/edited_lines.h"

#include <histedit.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>

#include "cli/common/signals.h"
#include "core/error.h"

namespace tercet::cli {
namespace {

constexpr int kHistoryLines = 1000;

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

class EditedLines final : public LineReader {
 public:
  EditedLines() {
    use_utf8();
    editor_ = el_init("tercet", stdin, stderr, stderr);
    history_ = history_init();
    if (editor_ == nullptr || history_ == nullptr) {
      fail(ErrorCode::kIo, "the terminal cannot be set up for editing; pipe the input in instead");
    }
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(editor_, EL_CLIENTDATA, this);
    el_set(editor_, EL_PROMPT, &EditedLines::prompt_of);
    el_set(editor_, EL_EDITOR, "emacs");
    el_set(editor_, EL_HIST, history, history_);
    // libedit's own reader swallows the first Ctrl-C.
    el_wset(editor_, EL_GETCFN, &EditedLines::read_character);
  }
  ~EditedLines() override {
    el_end(editor_);
    history_end(history_);
  }
  EditedLines(const EditedLines&) = delete;
  EditedLines& operator=(const EditedLines&) = delete;

  bool interactive() const override { return true; }

  ReadResult read_line(const std::string& prompt) override {
    prompt_ = prompt;
    int count = 0;
    // libedit prints the prompt before it leaves the terminal's line mode; a Ctrl-D typed between
    // the two would reach it as a NUL.
    el_set(editor_, EL_PREP_TERM, 1);
    const char* line = el_gets(editor_, &count);
    if (take_stop_request()) {
      std::fputs("\n", stderr);
      return {ReadResult::Kind::kInterrupted, ""};
    }
    if (line == nullptr || count <= 0) return {};
    std::string text(line, static_cast<size_t>(count));
    if (text.ends_with('\n')) text.pop_back();
    if (!text.empty()) {
      HistEvent event;
      history(history_, &event, H_ENTER, text.c_str());
    }
    return {ReadResult::Kind::kText, std::move(text)};
  }

 private:
  static EditedLines& self(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<EditedLines*>(data);
  }

  static char* prompt_of(EditLine* editor) { return self(editor).prompt_.data(); }

  // One character: 1, or 0 at the end of the input and -1 when interrupted.
  static int read_character(EditLine*, wchar_t* out) {
    std::mbstate_t state{};
    while (true) {
      char byte = 0;
      const ssize_t count = read_until_stopped(STDIN_FILENO, &byte, 1);
      if (count <= 0) return static_cast<int>(count);
      const size_t length = std::mbrtowc(out, &byte, 1, &state);
      if (length == static_cast<size_t>(-2)) continue;
      if (length == static_cast<size_t>(-1)) *out = L'\xFFFD';
      return 1;
    }
  }

  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
};

}  // namespace

std::unique_ptr<LineReader> make_edited_lines() { return std::make_unique<EditedLines>(); }

}  // namespace tercet::cli
