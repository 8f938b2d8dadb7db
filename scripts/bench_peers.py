#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times `tercet bench` and other programs in turn on one machine, a reading of the memory bandwidth
before and after every run, and writes all runs and their medians as JSON. Each run also says how
many cores other processes kept busy meanwhile: one with much of that is worth nothing.

Whoever shares a machine gets another machine every minute, so only runs that alternate can be
compared, and generation only as a part of the bandwidth that there was beside it.

usage:
  bench_peers.py --tercet build/release/bin/tercet --model trit5=/tmp/2b4t.gguf \\
      --peer 'ik_llama IQ2_BN_R4=789000000=llama-bench -m M.gguf -t {threads} -p {prompt} -n {generate} -r 1 -o json' \\
      --threads 1,2 --repetitions 5 --out result.json

A peer is NAME=BYTES=COMMAND: what to call it, the bytes of weights that it reads for a token (0 if
not known), and a command that prints llama-bench's JSON, or an object with the numbers
pp_tokens_per_s and tg_tokens_per_s. {threads}, {prompt} and {generate} are filled in.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time


def output_of(command, timeout):
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if result.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {result.returncode}:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout)


def machine_reading(tercet, threads):
    """Bytes per second that so many threads read from memory now."""
    report = output_of([tercet, "bench", "--machine", "-t", str(threads), "--json"], 120)
    return report["results"][0]["memory_gb_per_s"] * 1e9


def speeds_of_peer(report):
    if isinstance(report, dict):
        return report["pp_tokens_per_s"], report["tg_tokens_per_s"]
    prompt = generate = None
    for test in report:  # llama-bench: one entry for each of -p and -n
        if test["n_prompt"] > 0 and test["n_gen"] == 0:
            prompt = test["avg_ts"]
        elif test["n_gen"] > 0 and test["n_prompt"] == 0:
            generate = test["avg_ts"]
    return prompt, generate


class Tercet:
    def __init__(self, text, tercet):
        self.name, self.model = text.split("=", 1)
        self.tercet = tercet
        self.bytes = 0

    def run(self, threads, arguments):
        command = [self.tercet, "bench", self.model, "-p", str(arguments.prompt), "-n",
                   str(arguments.generate), "-t", str(threads), "-r", "1", "--json"]
        report = output_of(command, arguments.timeout)
        self.bytes = report["weight_bytes_per_token"]
        line = report["results"][0]
        return (line.get("pp_tokens_per_s", {}).get("median"),
                line.get("tg_tokens_per_s", {}).get("median"))


class Peer:
    def __init__(self, text):
        self.name, count, self.command = text.split("=", 2)
        self.bytes = int(count)

    def run(self, threads, arguments):
        command = self.command.format(threads=threads, prompt=arguments.prompt,
                                      generate=arguments.generate)
        return speeds_of_peer(output_of(shlex.split(command), arguments.timeout))


def busy_seconds():
    """Processor time that this machine has spent on all processes, and on our finished children."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    children = os.times()
    return ((sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"),
            children.children_user + children.children_system)


def measure(program, threads, arguments):
    before = machine_reading(arguments.tercet, threads)
    all_before, ours_before = busy_seconds()
    start = time.monotonic()
    prompt, generate = program.run(threads, arguments)
    seconds = time.monotonic() - start
    all_after, ours_after = busy_seconds()
    after = machine_reading(arguments.tercet, threads)
    memory = (before + after) / 2
    others = (all_after - all_before) - (ours_after - ours_before)
    sample = {"memory_gb_per_s": memory / 1e9, "cores_busy_with_others": max(0.0, others / seconds)}
    if prompt:
        sample["pp_tokens_per_s"] = prompt
    if generate:
        sample["tg_tokens_per_s"] = generate
        if program.bytes:
            sample["bandwidth_share"] = generate * program.bytes / memory
    return sample


def spread(samples, field):
    values = [sample[field] for sample in samples if field in sample]
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(samples):
    fields = ("pp_tokens_per_s", "tg_tokens_per_s", "memory_gb_per_s", "bandwidth_share")
    return {field: spread(samples, field) for field in fields if spread(samples, field)}


def table(results):
    def cell(entry, field, scale=1.0, digits=1):
        values = entry.get(field)
        if not values:
            return "-"
        low, high = scale * values["min"], scale * values["max"]
        return f"{scale * values['median']:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

    print("| program | threads | prompt tokens/s | generated tokens/s | memory GB/s | % of it |")
    print("|---|---|---|---|---|---|")
    for entry in results:
        print(f"| {entry['name']} | {entry['threads']} | {cell(entry, 'pp_tokens_per_s')} | "
              f"{cell(entry, 'tg_tokens_per_s')} | {cell(entry, 'memory_gb_per_s')} | "
              f"{cell(entry, 'bandwidth_share', 100, 0)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tercet", required=True)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=BYTES=COMMAND")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--timeout", type=int, default=600, help="seconds for one run")
    parser.add_argument("--out", help="the JSON file to write")
    arguments = parser.parse_args()
    programs = [Tercet(text, arguments.tercet) for text in arguments.model]
    programs += [Peer(text) for text in arguments.peer]
    if not programs:
        parser.error("nothing to time; give --model or --peer")

    cases = [(program, int(threads)) for threads in arguments.threads.split(",")
             for program in programs]
    samples = {case: [] for case in cases}
    for repetition in range(arguments.repetitions):
        # Every other round backwards, so that no program always follows the same one.
        for case in cases if repetition % 2 == 0 else reversed(cases):
            program, threads = case
            sample = measure(program, threads, arguments)
            samples[case].append(sample)
            print(f"{repetition + 1}/{arguments.repetitions} {program.name}, {threads} threads: "
                  + ", ".join(f"{key} {value:.4g}" for key, value in sample.items()),
                  file=sys.stderr)
    results = [{"name": program.name, "threads": threads, "weight_bytes_per_token": program.bytes,
                **summary(samples[program, threads]), "samples": samples[program, threads]}
               for program, threads in cases]
    table(results)
    if arguments.out:
        machine = output_of([arguments.tercet, "bench", "--machine", "--json"], 120)
        document = {"command": shlex.join(sys.argv),
                    "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
                    "version": machine["version"],
                    "machine": {"cpu": machine["cpu"], "isa": machine["isa"],
                                "cores": machine["physical_cores"],
                                "system": platform.platform()},
                    "prompt_tokens": arguments.prompt, "generated_tokens": arguments.generate,
                    "repetitions": arguments.repetitions, "results": results}
        temporary = arguments.out + ".part"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
        os.replace(temporary, arguments.out)


if __name__ == "__main__":
    main()
