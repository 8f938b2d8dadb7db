// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/pre_types.h"

#include <algorithm>
#include <array>

#include "tokenizer/word_scanner.h"

namespace tercet {
namespace {

using Patterns = std::string_view[];

// The patterns as the models' own tokenizer.json files state them.
constexpr Patterns kGpt2 = {kGpt2Pattern};
constexpr Patterns kDigitsThenGpt2 = {kEachDigit, kGpt2Pattern};
constexpr Patterns kLlama3 = {kLlama3Pattern};
constexpr Patterns kQwen2 = {kQwen2Pattern};
constexpr Patterns kQwen35 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kTekken = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr Patterns kGpt4o = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::string_view kCjkAndHangul =
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr Patterns kDeepseekLlm = {
    R"([\r\n])",
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF})"
    R"(\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D})"
    R"(\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5})"
    R"(\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B})"
    R"(\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D})"
    R"(\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D})"
    R"(\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC})"
    R"(\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115})"
    R"(\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134})"
    R"(\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3})"
    R"(\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787})"
    R"(\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943}]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    kCjkAndHangul,
    kEachDigit};
constexpr Patterns kDeepseekCoder = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kCjkAndHangul,
                                     kEachDigit};
constexpr Patterns kDeepseekV3 = {
    R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

constexpr PreType plain(std::string_view name, std::span<const std::string_view> patterns) {
  return {name, patterns, false, false, false};
}
constexpr PreType with_nfc(std::string_view name, std::span<const std::string_view> patterns) {
  return {name, patterns, true, false, false};
}
// Whole words first, and BOS in front of prompts.
constexpr PreType like_llama3(std::string_view name, std::span<const std::string_view> patterns) {
  return {name, patterns, false, true, true};
}

constexpr std::array kPreTypes = {
    plain("gpt-2", kGpt2),
    plain("phi-2", kGpt2),
    plain("olmo", kGpt2),
    plain("smollm", kDigitsThenGpt2),
    plain("starcoder", kDigitsThenGpt2),
    plain("refact", kDigitsThenGpt2),
    like_llama3("llama-bpe", kLlama3),
    like_llama3("llama3", kLlama3),
    like_llama3("llama-v3", kLlama3),
    like_llama3("falcon3", kLlama3),
    like_llama3("falcon-h1", kLlama3),
    like_llama3("pixtral", kLlama3),
    like_llama3("lfm2", kLlama3),
    plain("dbrx", kLlama3),
    plain("smaug-bpe", kLlama3),
    with_nfc("qwen2", kQwen2),
    plain("stablelm2", kQwen2),
    plain("deepseek-r1-qwen", kQwen2),
    with_nfc("qwen35", kQwen35),
    like_llama3("tekken", kTekken),
    plain("gpt-4o", kGpt4o),
    plain("deepseek-llm", kDeepseekLlm),
    plain("deepseek-coder", kDeepseekCoder),
    plain("deepseek-v3", kDeepseekV3),
};

}  // namespace

std::span<const PreType> pre_types() { return kPreTypes; }

const PreType* find_pre_type(std::string_view name) {
  const auto* const found = std::find_if(kPreTypes.begin(), kPreTypes.end(),
                                         [&](const PreType& type) { return type.name == name; });
  return found == kPreTypes.end() ? nullptr : found;
}

}  // namespace tercet
