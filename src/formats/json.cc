// SPDX-License-Identifier: Apache-2.0
#include "formats/json.h"

#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "formats/printable.h"

namespace tercet {
namespace {

// Deeper values could be parsed, but copying and printing them recurses.
constexpr size_t kMaxDepth = 64;
// A value takes some tens of bytes of memory and as few as two of text.
constexpr size_t kMaxValues = size_t{3} << 20;

// Builds the document from parser events, so that depth and duplicate keys are checked before
// anything deep or ambiguous exists.
class DocumentBuilder final : public nlohmann::json_sax<Json> {
 public:
  DocumentBuilder(const std::string& origin, const JsonTables& tables)
      : origin_(origin), tables_(tables) {}
  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (in_table()) {
      entry_key_ = std::move(name);
      return true;
    }
    auto& members = containers_.back()->get_ref<Json::object_t&>();
    const auto [position, inserted] = members.emplace(name, nullptr);
    if (!inserted) {
      fail(ErrorCode::kBadInput, "{}: the key \"{}\" appears twice in one object", origin_,
           printable(name));
    }
    slot_ = &position->second;
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    const char* reason = error.id == 406 ? "a number is out of range" : "not valid JSON";
    fail(ErrorCode::kBadInput, "{}: {} at byte {}", origin_, reason, position);
  }

 private:
  // Stores `value` where the events say it belongs; the place stays valid until its container ends,
  // because a container does not grow while one of its elements is open.
  Json* store(Json value) {
    if (++values_ > kMaxValues) {
      fail(ErrorCode::kBadInput, "{}: more than {} values", origin_, kMaxValues);
    }
    if (in_table()) {
      entry_ = std::move(value);
      return &entry_;
    }
    if (containers_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& container = *containers_.back();
    if (container.is_array()) {
      container.push_back(std::move(value));
      return &container.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool put(Json value) {
    store(std::move(value));
    hand_over();
    return true;
  }

  bool open(Json container) {
    if (containers_.size() == kMaxDepth) {
      fail(ErrorCode::kBadInput, "{}: nested more than {} deep", origin_, kMaxDepth);
    }
    containers_.push_back(store(std::move(container)));
    path_ends_.push_back(path_.size());
    if (table_ != nullptr) return true;
    if (containers_.size() > 1) path_ += path_.empty() ? key_ : "." + key_;
    key_.clear();
    const auto table = tables_.find(path_);
    if (table != tables_.end()) {
      table_ = &table->second;
      table_depth_ = containers_.size();
      values_before_entry_ = values_;
    }
    return true;
  }

  bool close() {
    if (in_table()) table_ = nullptr;
    containers_.pop_back();
    path_.resize(path_ends_.back());
    path_ends_.pop_back();
    key_.clear();
    hand_over();
    return true;
  }

  // Whether the innermost open container is a table.
  bool in_table() const { return table_ != nullptr && containers_.size() == table_depth_; }

  // After a value: an entry of the open table is complete when no container is open inside it.
  void hand_over() {
    if (!in_table()) return;
    (*table_)(entry_key_, entry_);
    entry_key_.clear();
    entry_ = nullptr;
    values_ = values_before_entry_;
  }

  const std::string& origin_;
  const JsonTables& tables_;
  size_t values_ = 0;
  std::string path_;  // of the innermost open container
  std::vector<size_t> path_ends_;
  std::string key_;  // of the member that follows
  const JsonTableEntry* table_ = nullptr;
  size_t table_depth_ = 0;
  size_t values_before_entry_ = 0;
  std::string entry_key_;
  Json entry_;
  Json root_;
  std::vector<Json*> containers_;
  Json* slot_ = nullptr;  // of the member whose key was read last
};

}  // namespace

Json parse_json(std::string_view text, const std::string& origin, size_t max_bytes,
                const JsonTables& tables) {
  if (text.size() > max_bytes) {
    fail(ErrorCode::kBadInput, "{}: {} bytes of JSON, more than the {} allowed here", origin,
         text.size(), max_bytes);
  }
  DocumentBuilder builder(origin, tables);
  if (!Json::sax_parse(text, &builder)) fail(ErrorCode::kBadInput, "{}: not valid JSON", origin);
  return builder.take();
}

Json read_json_file(const std::filesystem::path& path, size_t max_bytes) {
  return parse_json(read_text_file(path, max_bytes), path.string(), max_bytes);
}

}  // namespace tercet
