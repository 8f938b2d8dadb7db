#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the #include lines of src/ and cli/ against the allowed dependencies.

usage: check_layers.py [ROOT]        exit 1 and one line per forbidden include
       check_layers.py --diagram     print the layers, as docs/architecture.md shows them
       check_layers.py --self-test   prove that forbidden includes are found
"""

import pathlib
import re
import sys
import tempfile

# Which modules a module's files may include directly. The same table stands in words in
# docs/architecture.md and, as link dependencies, in the modules' CMakeLists.txt.
ALLOWED = {
    "core": [],
    "version": [],
    "machine": ["core"],
    "plot": ["core"],
    "packing": ["core"],
    "kernels": ["core", "packing"],
    "formats": ["core"],
    "tokenizer": ["core", "formats"],
    "model": ["core", "packing", "kernels", "formats", "tokenizer"],
    "runtime": ["core", "kernels", "tokenizer", "model"],
    "eval": ["core", "formats", "tokenizer", "model", "runtime"],
    "serve": ["core", "formats", "tokenizer", "model", "runtime"],
    "learn/data": ["core", "formats", "tokenizer"],
    "learn/nn": ["core", "packing", "kernels", "formats", "tokenizer"],
    "learn/bit_linear": ["core", "packing", "learn/nn"],
    "learn/dist": ["core"],
    "learn/pretrain": ["core", "version", "packing", "kernels", "formats", "tokenizer",
                       "learn/data", "learn/nn", "learn/dist"],
    "learn/study": ["core", "packing", "formats", "plot", "learn/data", "learn/pretrain"],
    "learn/distill": ["core", "packing", "kernels", "formats", "tokenizer",
                      "learn/data", "learn/nn", "learn/dist", "learn/pretrain"],
    "learn/ptq": ["core", "packing", "kernels", "formats", "plot", "tokenizer",
                  "learn/data", "learn/nn", "learn/dist"],
    "cli/common": ["core", "version", "formats"],
    "cli": ["core", "version", "machine", "packing", "kernels", "formats", "tokenizer", "model", "runtime",
            "eval", "serve", "learn/data", "cli/common"],
    "cli/learn": ["core", "version", "packing", "kernels", "formats", "tokenizer", "learn/data",
                  "learn/nn", "learn/dist", "learn/pretrain", "learn/distill", "learn/ptq",
                  "learn/study", "plot",
                  "cli/common"],
}

# Modules that may include libtorch's headers.
TORCH = {"learn/nn", "learn/bit_linear", "learn/dist", "learn/pretrain", "learn/distill",
         "learn/ptq", "cli/learn"}
TORCH_HEADER = re.compile(r"^(torch|ATen|c10|caffe2)/")

# Written into the build directory at every build.
GENERATED = {"tercet_revision.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

def module_of(path):
    """The module that owns `path` (relative to src/, or cli/...): the longest name that fits."""
    parts = path.split("/")[:-1]
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        if name in ALLOWED:
            return name
    return None


def includes(file):
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == '"', match.group(2)


def check_include(owner, quoted, target):
    """What is wrong with `owner` including `target`, or None."""
    if TORCH_HEADER.match(target):
        if owner not in TORCH:
            return f"'{owner}' may not include libtorch ({target})"
        return None
    if not quoted or target in GENERATED:
        return None
    module = module_of(target)
    if module is None:
        return f'"{target}" names no module: include as "module/file.h"'
    if module != owner and module not in ALLOWED[owner]:
        return f"'{owner}' may not include '{module}' ({target})"
    return None


def check(root):
    """Returns (faults, number of files read)."""
    faults, count = [], 0
    for top in ("src", "cli"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cc") or not file.is_file():
                continue
            count += 1
            shown = file.relative_to(root).as_posix()
            owner = module_of(shown.removeprefix("src/"))
            if owner is None:
                faults.append(f"{shown}:1: belongs to no module of scripts/check_layers.py")
                continue
            for number, quoted, target in includes(file):
                fault = check_include(owner, quoted, target)
                if fault:
                    faults.append(f"{shown}:{number}: {fault}")
    return faults, count


def check_table():
    """The table itself must be a DAG over known names."""
    done = set()

    def visit(name, path):
        if name in path:
            raise SystemExit(f"check_layers: the table has a cycle: {' -> '.join(path + [name])}")
        if name not in done:
            for used in ALLOWED[name]:
                visit(used, path + [name])
            done.add(name)

    for name in ALLOWED:
        visit(name, [])


def everything_under(module):
    """All modules that `module` may use, directly or through others."""
    return set(ALLOWED[module]).union(*(everything_under(used) for used in ALLOWED[module]))


def height(module):
    return 1 + max((height(used) for used in ALLOWED[module]), default=0)


def diagram():
    """The modules by height, each with what it stands on; what follows from that is left out."""
    lines = []
    for level in range(max(map(height, ALLOWED)), 0, -1):
        for module in (name for name in ALLOWED if height(name) == level):
            used = ALLOWED[module]
            implied = set().union(*(everything_under(other) for other in used)) if used else set()
            stands_on = ", ".join(name for name in used if name not in implied)
            mark = " (libtorch)" if module in TORCH else ""
            line = f"{level}  {module + mark:<27} {'-> ' + stands_on if stands_on else ''}"
            lines.append(line.rstrip())
    return "\n".join(lines)


def self_test():
    # (file, its include line, the words the fault must have; None = allowed)
    cases = [
        ("src/core/a.h", '#include "packing/ternary.h"', "'core' may not include 'packing'"),
        ("src/formats/a.cc", '  #  include "tokenizer/tokenizer.h"', "may not include 'tokenizer'"),
        ("src/runtime/a.cc", "#include <torch/torch.h>", "may not include libtorch"),
        ("src/learn/data/a.cc", "#include <ATen/ATen.h>", "may not include libtorch"),
        ("src/learn/nn/a.cc", '#include "model/model.h"', "may not include 'model'"),
        ("src/model/a.cc", '#include "cli/common/app.h"', "may not include 'cli/common'"),
        ("src/core/b.cc", '#include "nowhere/a.h"', "names no module"),
        ("src/stray/a.cc", "", "belongs to no module"),
        ("cli/run.cc", '#include "learn/nn/layers.h"', "may not include 'learn/nn'"),
        ("src/learn/nn/b.cc", "#include <torch/torch.h>", None),
        ("src/kernels/isa/avx2/a.cc", '#include "kernels/generic/dot.h"', None),
        ("cli/run.cc", '#include "runtime/engine.h"', None),
        ("src/core/c.cc", '// #include "packing/ternary.h"', None),
    ]
    for path, line, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(f"#pragma once\n{line}\n", encoding="utf-8")
            faults, _ = check(pathlib.Path(folder))
        found = "\n".join(faults)
        if (expected is None and faults) or (expected is not None and expected not in found):
            print(f"self-test: {path}: {line!r}: expected {expected!r}, found {found!r}")
            return 1
    print(f"check_layers: self-test passed, {len(cases)} cases")
    return 0


def main(arguments):
    check_table()
    if arguments == ["--self-test"]:
        return self_test()
    if arguments == ["--diagram"]:
        print(diagram())
        return 0
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).parent.parent
    faults, count = check(root.resolve())
    for fault in faults:
        print(fault)
    if count == 0:
        print(f"check_layers: no sources under {root}")
        return 1
    print(f"check_layers: {count} files, {len(faults)} forbidden includes")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
