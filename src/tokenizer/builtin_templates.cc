// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/builtin_templates.h"

#include <algorithm>
#include <array>

namespace tercet {
namespace {

struct Named {
  std::string_view name;
  std::string_view source;
};

// The turns of each family, for files that lack a template. scripts/make_chat_golden.py reads them
// from here.
constexpr std::array kTemplates = {
    Named{"bitnet",
          R"jinja({{ bos_token }}
{%- for message in messages %}
    {{- message.role | capitalize + ': ' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'Assistant: ' }}
{%- endif %}
)jinja"},
    Named{"chatml",
          R"jinja({%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
)jinja"},
    Named{"falcon3",
          R"jinja({%- for message in messages %}
    {{- '<|' + message.role + '|>\n' + message.content }}
    {{- eos_token if message.role == 'assistant' }}
    {{- '\n' if add_generation_prompt or not loop.last }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %}
)jinja"},
    Named{"gemma",
          R"jinja({{ bos_token }}
{%- set state = namespace(prefix='') %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set state.prefix = state.prefix + message.content + '\n\n' %}
    {%- else %}
        {{- '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}
        {{- state.prefix + message.content | trim + '<end_of_turn>\n' }}
        {%- set state.prefix = '' %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %}
)jinja"},
    Named{"llama3",
          R"jinja({{ bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
    {{- message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
)jinja"},
    Named{"mistral",
          R"jinja({{ bos_token }}
{%- set state = namespace(prefix='') %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set state.prefix = state.prefix + message.content + '\n\n' %}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + message.content | trim + eos_token }}
    {%- else %}
        {{- '[INST] ' + state.prefix + message.content + ' [/INST]' }}
        {%- set state.prefix = '' %}
    {%- endif %}
{%- endfor %}
)jinja"},
};

}  // namespace

std::string_view find_builtin_template(std::string_view name) {
  const auto found = std::find_if(kTemplates.begin(), kTemplates.end(),
                                  [&](const Named& entry) { return entry.name == name; });
  return found == kTemplates.end() ? std::string_view() : found->source;
}

std::string builtin_template_names() {
  std::string names;
  for (const Named& entry : kTemplates) {
    if (!names.empty()) names += ", ";
    names += entry.name;
  }
  return names;
}

}  // namespace tercet
