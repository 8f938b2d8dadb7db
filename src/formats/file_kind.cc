// SPDX-License-Identifier: Apache-2.0
#include "formats/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <set>
#include <string_view>
#include <system_error>

#include "formats/printable.h"

namespace tercet {
namespace {

using namespace std::string_view_literals;  // NOLINT(google-build-using-namespace)

constexpr size_t kHeadBytes = 4096;
constexpr const char* kDownloadAgain = "the download has failed, fetch the file again";
constexpr const char* kPickleAdvice =
    "pickled files run code when they are opened and are never read; get or save the model as "
    "safetensors";

struct Magic {
  std::string_view bytes;
  FileKind kind;
  const char* what;
  const char* advice;
};

// Formats that are known by how they begin.
constexpr std::array kMagics = {
    Magic{"FUGG"sv, FileKind::kBigEndianGguf, "a big-endian GGUF file",
          "only little-endian files are read"},
    Magic{"lmgg"sv, FileKind::kOldGgml, "a GGML file, the format before GGUF",
          "get the model as GGUF or as an HF directory"},
    Magic{"fmgg"sv, FileKind::kOldGgml, "a GGMF file, a format before GGUF",
          "get the model as GGUF or as an HF directory"},
    Magic{"tjgg"sv, FileKind::kOldGgml, "a GGJT file, a format before GGUF",
          "get the model as GGUF or as an HF directory"},
    Magic{"\x1F\x8B"sv, FileKind::kArchive, "compressed by gzip", "unpack it first"},
    Magic{"\x28\xB5\x2F\xFD"sv, FileKind::kArchive, "compressed by zstd", "unpack it first"},
    Magic{"BZh"sv, FileKind::kArchive, "compressed by bzip2", "unpack it first"},
    Magic{"\xFD"
          "7zXZ\0"sv,
          FileKind::kArchive, "compressed by xz", "unpack it first"},
    Magic{"7z\xBC\xAF\x27\x1C"sv, FileKind::kArchive, "a 7z archive", "unpack it first"},
    Magic{"Rar!\x1A\x07"sv, FileKind::kArchive, "a RAR archive", "unpack it first"},
    Magic{"PK\x03\x04"sv, FileKind::kArchive, "a zip archive", "unpack it first"},
    Magic{"\x89HDF\r\n\x1A\n"sv, FileKind::kOtherWeights, "an HDF5 file (Keras, TensorFlow)",
          "get the model as safetensors"},
    Magic{"\x93NUMPY"sv, FileKind::kOtherWeights, "a NumPy array", "get the model as safetensors"},
};

// Pickles of protocol 2 to 5; a torch.save() archive is a zip file around one.
bool is_pickle(std::string_view head) {
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) return true;
  return head.starts_with("PK\x03\x04") && head.find("/data.pkl") != std::string_view::npos;
}

// Also when the file is cut.
bool is_safetensors(std::string_view head) {
  uint64_t header = 0;
  if (head.size() < sizeof(header) + 2 || head[8] != '{') return false;
  std::memcpy(&header, head.data(), sizeof(header));
  return header >= 2 && header <= 100'000'000 && (head[9] == '"' || head[9] == '}');
}

// The first field of the message: a piece, whose own first field is its text.
bool is_sentencepiece(std::string_view head) {
  return head.size() > 4 && head[0] == '\x0A' && head[1] > 2 && head[2] == '\x0A' &&
         head[3] <= head[1] - 2;
}

// No control characters, and letters of other scripts in the minority.
bool is_text(std::string_view head) {
  size_t foreign = 0;
  for (const char c : head) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') return false;
    foreign += byte >= 0x7F ? 1 : 0;
  }
  return foreign <= head.size() / 2;
}

bool starts_with_word(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

std::string first_line(std::string_view text) {
  return printable(text.substr(0, std::min<size_t>(text.find_first_of("\r\n"), 60)));
}

FileDescription describe_text(std::string_view head) {
  const size_t start = std::min(head.find_first_not_of(" \t\r\n"), head.size());
  const std::string_view text = head.substr(start);
  if (text.starts_with("version https://git-lfs.github.com/")) {
    return {FileKind::kGitLfsPointer, "a git-lfs pointer, not the file it stands for",
            "run `git lfs pull` in its directory, or download the file itself"};
  }
  if (starts_with_word(text, "<!doctype html") || starts_with_word(text, "<html")) {
    return {FileKind::kHtml, "an HTML page", kDownloadAgain};
  }
  if (starts_with_word(text, "<?xml")) {
    return {FileKind::kXml, "an XML document, such as a server sends instead of a file",
            kDownloadAgain};
  }
  if (text.starts_with('{') || text.starts_with('[')) {
    return {FileKind::kJson, "JSON text", "give the directory of the model"};
  }
  return {FileKind::kText, fmt::format("text that begins with '{}'", first_line(text)),
          kDownloadAgain};
}

}  // namespace

FileDescription describe_file(std::span<const uint8_t> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              std::min(bytes.size(), kHeadBytes));
  if (head.empty()) return {FileKind::kEmpty, "empty", kDownloadAgain};
  if (head.starts_with("GGUF")) return {FileKind::kGguf, "a GGUF file", ""};
  if (is_pickle(head)) return {FileKind::kPickle, "a pickle, as PyTorch saves it", kPickleAdvice};
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return {magic.kind, magic.what, magic.advice};
  }
  if (is_safetensors(head)) {
    return {FileKind::kSafetensors, "a safetensors file",
            "give its directory, which holds config.json too"};
  }
  if (is_sentencepiece(head)) {
    return {FileKind::kSentencePiece, "a SentencePiece tokenizer, not a model", ""};
  }
  if (std::all_of(head.begin(), head.end(), [](char c) { return c == '\0'; })) {
    return {FileKind::kZeros, "zeros where a header should be",
            "the download was not finished, fetch the file again"};
  }
  if (head.size() > 262 && head.substr(257, 5) == "ustar") {
    return {FileKind::kArchive, "a tar archive", "unpack it first"};
  }
  if (is_text(head)) return describe_text(head);
  return {FileKind::kUnknown, "of no kind that is known here", ""};
}

std::string explain(const FileDescription& description) {
  if (description.advice.empty()) return "it is " + description.what;
  return "it is " + description.what + "; " + description.advice;
}

std::string explain_directory(const std::filesystem::path& directory) {
  std::set<std::string> names;  // sorted, so that the same directory gives the same words
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    names.insert(entry.path().filename().string());
  }
  const auto with_extension = [&](std::string_view extension) {
    return std::find_if(names.begin(), names.end(),
                        [&](const std::string& name) { return name.ends_with(extension); });
  };
  if (names.empty()) return "it is empty";
  if (const auto name = with_extension(".gguf"); name != names.end()) {
    return fmt::format("it holds '{}'; give that file", printable(*name));
  }
  if (names.contains("adapter_config.json")) {
    return "it holds an adapter, not a model; merge it into its base model first";
  }
  if (names.contains("snapshots")) {
    return "it looks like a download cache; give the directory of a revision below its snapshots/";
  }
  if (names.contains("params.json")) {
    return "it holds a model in the form of its authors; get it as an HF directory";
  }
  for (const char* extension : {".bin", ".pt", ".pth", ".ckpt"}) {
    const auto name = with_extension(extension);
    if (name == names.end()) continue;
    return fmt::format("it holds '{}'; {}", printable(*name), kPickleAdvice);
  }
  if (with_extension(".safetensors") != names.end()) {
    return "it holds weights alone; put the model's config.json beside them";
  }
  return "it holds no weights either";
}

}  // namespace tercet
