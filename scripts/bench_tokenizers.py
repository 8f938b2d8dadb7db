#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of `tercet tokenize` beside that of the Rust `tokenizers` package, on one core.

usage: bench_tokenizers.py TERCET TOKENIZER.json... --text FILE [--bytes N] [--rounds R]

Both encode the same text as one string and line by line, warm, in turns; loading and process start
do not count. Prints one JSON document with the ratio of the medians of each. Needs the `tokenizers`
package.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer, __version__ as tokenizers_version  # noqa: E402


def time_reference(tokenizer, parts):
    """Seconds of one round, and how many tokens it gave."""
    start = time.perf_counter()
    tokens = sum(len(tokenizer.encode(part, add_special_tokens=False).ids) for part in parts)
    return time.perf_counter() - start, tokens


def time_ours(tercet, path, file, lines):
    """Seconds of one round of one process, its first one apart, and how many tokens it gave."""
    command = [tercet, "tokenize", path, "-f", file, "--time", "1"] + (["--lines"] if lines else [])
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return report["seconds"]["median"], report["tokens"], report["load_seconds"]


def measure(tercet, path, text, file, lines, rounds):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    parts = text.split("\n") if lines else [text]
    if lines and not parts[-1]:
        parts.pop()
    time_reference(tokenizer, parts)
    ours, theirs, loads = [], [], []
    for _ in range(rounds):
        seconds, our_tokens, load = time_ours(tercet, path, file, lines)
        ours.append(seconds)
        loads.append(load)
        seconds, tokens = time_reference(tokenizer, parts)
        theirs.append(seconds)
        if tokens != our_tokens:
            sys.exit("%s: %d tokens, the reference has %d" % (path, our_tokens, tokens))
    megabytes = len(text.encode()) / 1e6
    return {"tokenizer": str(path), "texts": "lines" if lines else "one string", "tokens": tokens,
            "load_seconds": statistics.median(loads),
            "megabytes_per_s": megabytes / statistics.median(ours),
            "reference_megabytes_per_s": megabytes / statistics.median(theirs),
            "seconds": sorted(ours), "reference_seconds": sorted(theirs),
            "ratio": statistics.median(theirs) / statistics.median(ours)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tercet")
    parser.add_argument("tokenizers", nargs="+", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True, action="append",
                        help="a file or a folder of files; may be given again")
    parser.add_argument("--bytes", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    files = [file for path in arguments.text
             for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    text = ""
    for file in files:
        text += file.read_bytes().decode("utf-8", errors="replace").replace("\r", "")
        if len(text) >= arguments.bytes:
            break
    text = text[:arguments.bytes]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        results = [measure(arguments.tercet, path, text, file.name, lines, arguments.rounds)
                   for path in arguments.tokenizers for lines in (False, True)]
    version = subprocess.run([arguments.tercet, "--version"], stdout=subprocess.PIPE, check=True)
    print(json.dumps({"command": " ".join(sys.argv), "version": version.stdout.decode().strip(),
                      "date": datetime.date.today().isoformat(),
                      "machine": {"cpu": cpu_name(), "cores": os.cpu_count(),
                                  "memory_bytes": os.sysconf("SC_PAGE_SIZE") *
                                  os.sysconf("SC_PHYS_PAGES"),
                                  "load_average": os.getloadavg()[0]},
                      "reference": "tokenizers " + tokenizers_version,
                      "text": {"name": str(arguments.text[0]), "bytes": len(text.encode())},
                      "rounds": arguments.rounds, "results": results}, indent=2))


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown"


if __name__ == "__main__":
    main()
