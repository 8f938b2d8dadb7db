// SPDX-License-Identifier: Apache-2.0
// A plain libtorch program: a transformer that learns text character by character. It trains once
// with torch::nn::Linear, and once more after tercet::swap_linear_layers() has made the same layers
// ternary. The four lines that mention tercet are all that it takes.
#include <tercet/bit_linear.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace {

constexpr int64_t kWidth = 96, kHeads = 4, kLayers = 2, kContext = 64, kBatch = 16;

struct BlockImpl : torch::nn::Module {
  BlockImpl() {
    norm1 = register_module("norm1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({kWidth})));
    norm2 = register_module("norm2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({kWidth})));
    qkv = register_module("qkv", torch::nn::Linear(kWidth, 3 * kWidth));
    proj = register_module("proj", torch::nn::Linear(kWidth, kWidth));
    up = register_module("up", torch::nn::Linear(kWidth, 4 * kWidth));
    down = register_module("down", torch::nn::Linear(4 * kWidth, kWidth));
  }

  torch::Tensor attention(const torch::Tensor& x) {
    const auto parts = qkv(x).view({x.size(0), x.size(1), 3, kHeads, -1}).permute({2, 0, 3, 1, 4});
    auto scores = torch::matmul(parts[0], parts[1].transpose(-2, -1)) /
                  std::sqrt(static_cast<double>(kWidth / kHeads));
    const auto future = torch::ones({x.size(1), x.size(1)}, torch::kBool).triu(1);
    scores = scores.masked_fill(future, -1e9).softmax(-1);
    return proj(torch::matmul(scores, parts[2]).transpose(1, 2).reshape(x.sizes()));
  }

  torch::Tensor forward(torch::Tensor x) {
    x = x + attention(norm1(x));
    return x + down(torch::gelu(up(norm2(x))));
  }

  torch::nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  torch::nn::Linear qkv{nullptr}, proj{nullptr}, up{nullptr}, down{nullptr};
};
TORCH_MODULE(Block);

struct CharModelImpl : torch::nn::Module {
  CharModelImpl() {
    letters = register_module("letters", torch::nn::Embedding(256, kWidth));
    places = register_module("places", torch::nn::Embedding(kContext, kWidth));
    blocks = register_module("blocks", torch::nn::Sequential());
    for (int64_t i = 0; i < kLayers; ++i) blocks->push_back(Block());
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({kWidth})));
    head = register_module("head", torch::nn::Linear(kWidth, 256));
  }

  torch::Tensor forward(const torch::Tensor& text) {
    const auto x = letters(text) + places(torch::arange(text.size(1)));
    return head(norm(blocks->forward(x)));
  }

  torch::nn::Embedding letters{nullptr}, places{nullptr};
  torch::nn::Sequential blocks{nullptr};
  torch::nn::LayerNorm norm{nullptr};
  torch::nn::Linear head{nullptr};
};
TORCH_MODULE(CharModel);

// A file's text, or without one a small language: the verb depends on the noun before it.
torch::Tensor read_text(const std::string& file) {
  std::string text;
  if (file.empty()) {
    const char* sayings[] = {"the dog barks", "the bird sings", "a fish swims", "the child laughs"};
    for (int i = 0; i < 4000; ++i) {
      text += "in house " + std::to_string(i % 13) + " " + sayings[(i * 7 + i / 3) % 4] + ".\n";
    }
  } else {
    std::ifstream stream(file);
    text.assign(std::istreambuf_iterator<char>(stream), {});
  }
  if (text.size() <= kContext + 1) {
    std::fprintf(stderr, "'%s' holds too little text\n", file.c_str());
    std::exit(1);
  }
  return torch::from_blob(text.data(), {static_cast<int64_t>(text.size())}, torch::kByte)
      .to(torch::kLong);
}

void train(CharModel& model, const torch::Tensor& text, int steps) {
  torch::optim::AdamW optimizer(model->parameters(), torch::optim::AdamWOptions(3e-3));
  for (int step = 1; step <= steps; ++step) {
    const auto starts = torch::randint(text.size(0) - kContext - 1, {kBatch, 1});
    const auto windows = text.index({starts + torch::arange(kContext + 1)});
    const auto logits = model(windows.narrow(1, 0, kContext));
    const auto loss = torch::nn::functional::cross_entropy(
        logits.flatten(0, 1), windows.narrow(1, 1, kContext).flatten());
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step == 1 || step % std::max(1, steps / 5) == 0) {
      std::printf("  step %4d  loss %.3f\n", step, loss.item<float>());
    }
  }
}

// What is kept of a trained ternary model: its layers packed at 1.6 bits per weight.
void save_packed(const CharModel& model, const std::string& file) {
  torch::serialize::OutputArchive archive;
  int64_t bytes = 0;
  for (const auto& item : tercet::packed_state(*model)) {
    archive.write(item.key(), item.value(), /*is_buffer=*/true);
    bytes += static_cast<int64_t>(item.value().nbytes());
  }
  archive.save_to(file);
  int64_t before = 0;
  for (const auto& parameter : model->parameters()) before += parameter.nbytes();
  std::printf("  packed into %s: %.0f kB of %.0f\n", file.c_str(), bytes / 1e3, before / 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  std::string file, packed = "char_transformer.pt";
  int steps = 200;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--text") file = argv[i + 1];
    if (std::string(argv[i]) == "--steps") steps = std::stoi(argv[i + 1]);
    if (std::string(argv[i]) == "--packed") packed = argv[i + 1];
  }
  const torch::Tensor text = read_text(file);
  for (const bool bit : {false, true}) {
    torch::manual_seed(1);
    CharModel model;
    if (bit) {
      // No norm stands before the layers that write to the residual stream: they get one inside.
      const auto writes = [](const std::string& name) {
        return name.find("proj") != name.npos || name.find("down") != name.npos;
      };
      auto names = tercet::swap_linear_layers(
          *model, tercet::BitLinearOptions().input_norm(tercet::InputNorm::kRms), writes);
      const auto rest = tercet::swap_linear_layers(
          *model, {}, [](const std::string& name) { return name != "head"; });
      std::printf("ternary: %zu layers swapped\n", names.size() + rest.size());
    } else {
      std::printf("full precision\n");
    }
    train(model, text, steps);
    if (bit) save_packed(model, packed);
  }
}
