# SPDX-License-Identifier: Apache-2.0
"""The twin experiment and the scaling study by the command line: what they measure against direct
computations, that a killed study goes on, and that bad input is refused.

Environment: TERCET, the path of the program.
"""

import html.parser
import json
import math
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

from pretrain_support import CommandCase, RECIPE, TERCET, checkpoints, corpus_text, run

STEPS = 24
# Checkpoints at 18 and 24, measurements every 6 steps: flips can be counted again.
SETTINGS = {**RECIPE, "steps": STEPS, "warmup_steps": 2, "checkpoint_every": 6, "eval_every": 12,
            "eval_tokens": 64, "sample_every": 0, "stats_every": 6, "learning_rate": 0.003}


def tensors(file):
    """The f32 tensors of a safetensors file."""
    data = file.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    out = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            out[name] = (entry["shape"], memoryview(data)[8 + size + begin:8 + size + end].cast("f"))
    return out


def linear_maps(directory):
    """Name -> (codes of b1.58, weights in units of their scale)."""
    maps = {}
    for name, (shape, values) in tensors(directory / "model.safetensors").items():
        if len(shape) == 2 and name.startswith("model.layers."):
            gamma = sum(map(abs, values)) / len(values)
            scaled = [value / gamma for value in values]
            maps[name] = ([(v > 0.5) - (v < -0.5) for v in scaled], scaled)
    return maps


class Balanced(html.parser.HTMLParser):
    """Collects open elements and everything that would be loaded from elsewhere."""
    VOID = {"meta", "rect", "line", "polyline", "polygon", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.faults = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.faults += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        if tag not in self.VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(f"/{tag}")


class Study(CommandCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-study-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        corpus = cls.folder / "corpus.txt"
        corpus.write_text(corpus_text(), encoding="utf-8")
        cls.data = cls.folder / "data"
        cls.must("tokenizer", "train", corpus, "--vocab-size", 320, "--out", cls.folder / "tok")
        cls.must("data", "build", corpus, "--tokenizer", cls.folder / "tok",
                 "--validation-fraction", 0.1, "--out", cls.data)
        cls.config = cls.folder / "common.json"
        cls.config.write_text(json.dumps(SETTINGS))
        cls.twin = ("twin", "--data", cls.data, "--config", cls.config, "--set",
                    "b1.58.learning_rate=0.01")
        cls.reference = cls.folder / "reference"
        cls.shown = cls.must(*cls.twin, "--parallel", 2, "--out", cls.reference).stdout

    def new(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "out"

    def events(self, member, kind):
        lines = map(json.loads, (member / "log.jsonl").read_text().splitlines())
        return [line for line in lines if line["event"] == kind]

    def assert_error(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        lines = [line for line in result.stderr.splitlines() if "error:" in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), lines[0])

    def test_results_of_all_members(self):
        twin = json.loads((self.reference / "twin.json").read_text())
        self.assertEqual([m["family"] for m in twin["members"]], ["llama", "b1.58", "b1"])
        llama, b158, b1 = twin["members"]
        for member in twin["members"]:
            training = json.loads((self.reference / member["family"] / "training.json").read_text())
            for field in ("parameters", "tokens", "validation_loss", "perplexity", "step_ms",
                          "seconds", "peak_rss_bytes"):
                self.assertEqual(member[field], training[field], field)
            self.assertEqual(member["tokens"], STEPS * 8 * 32)
            self.assertEqual(sum(member["latent_histogram"]["counts"]),
                             member["linear_parameters"])
        for member in (b158, b1):
            self.assertAlmostEqual(member["perplexity_gap_percent"],
                                   100 * (member["perplexity"] / llama["perplexity"] - 1), 6)
        self.assertNotIn("perplexity_gap_percent", llama)
        self.assertEqual((llama["recipe"]["learning_rate"], b158["recipe"]["learning_rate"]),
                         (0.003, 0.01))
        self.assertEqual(llama["linear_bits_per_weight"], 16)
        self.assertEqual(b1["codes"]["zero"], 0)
        self.assertAlmostEqual(sum(b158["codes"].values()), 1)
        for field in ("command", "version", "date", "machine", "text", "seed"):
            self.assertIn(field, twin)
        self.assertIn("--parallel 2", twin["command"])
        for row in ("| llama ", "| b1.58 ", "| b1 "):
            self.assertIn(row, self.shown)

    def test_bits_per_weight_are_those_of_the_packed_file(self):
        twin = json.loads((self.reference / "twin.json").read_text())
        for member, options in ((twin["members"][1], ("--type", "trit5")), (twin["members"][2], ())):
            packed = self.new().with_suffix(".gguf")
            self.must("convert", self.reference / member["family"], packed, *options)
            inspected = json.loads(self.must("inspect", packed, "--json").stdout)
            self.assertAlmostEqual(member["linear_bits_per_weight"],
                                   inspected["model"]["linear_bits_per_weight"], 9)

    def test_statistics_agree_with_the_weights(self):
        run_directory = self.reference / "b1.58"
        stats = self.events(run_directory, "stats")
        self.assertEqual([e["step"] for e in stats], list(range(0, STEPS + 1, 6)))
        before = linear_maps(run_directory / "checkpoints" / f"step-{STEPS - 6:08}")
        after = linear_maps(run_directory)
        codes = [code for name in after for code in after[name][0]]
        last = stats[-1]
        for code, field in ((-1, "minus"), (0, "zero"), (1, "plus")):
            self.assertAlmostEqual(last[field], codes.count(code) / len(codes), 4)
        for kind in ("q_proj", "down_proj"):
            names = [name for name in after if kind in name]
            pairs = [pair for name in names for pair in zip(before[name][0], after[name][0])]
            flips = sum(a != b for a, b in pairs) / len(pairs) / 6
            self.assertAlmostEqual(last["kinds"][kind]["flips_per_step"], flips, 5)
            self.assertGreater(flips, 0)
        histogram = [0] * 82
        for name in after:
            for value in after[name][1]:
                histogram[min(max(math.floor((value + 4) * 10) + 1, 0), 81)] += 1
        moved = sum(abs(a - b) for a, b in zip(histogram, last["histogram"]["counts"]))
        self.assertLess(moved, 1e-3 * len(codes))  # f32 or not, at the edges of bins

    def test_pictures_are_well_formed(self):
        names = {path.name for path in self.reference.glob("*.svg")}
        self.assertEqual(names, {"loss.svg", "flips.svg", "shares.svg", "latents.svg",
                                 "flips-b1.58.svg", "flips-b1.svg"})
        for name in names:
            root = xml.etree.ElementTree.parse(self.reference / name).getroot()
            self.assertTrue(root.tag.endswith("svg"))
            self.assertGreater(len(root.findall(".//{*}polyline")), 1, name)
        page = Balanced()
        page.feed((self.reference / "index.html").read_text())
        self.assertEqual((page.open, page.faults), ([], []))

    def start(self, *arguments):
        return subprocess.Popen([TERCET, *map(str, arguments)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def wait_for_checkpoint(self, member, process):
        self.wait_until(lambda: checkpoints(member), [process])

    def test_killed_and_interrupted_studies_go_on(self):
        out = self.new()
        process = self.start(*self.twin, "--families", "llama,b1.58", "--out", out)
        self.wait_for_checkpoint(out / "llama", process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn("--resume", stderr)
        process = self.start("twin", "--out", out, "--resume")
        self.wait_for_checkpoint(out / "b1.58", process)
        llama = (out / "llama" / "training.json").stat().st_mtime_ns
        process.kill()
        process.communicate()
        # What it left running saves first; this waits for it.
        result = self.must("twin", "--out", out, "--resume", "--json")
        self.assertEqual((out / "llama" / "training.json").stat().st_mtime_ns, llama)
        twin = json.loads(result.stdout)
        reference = json.loads((self.reference / "twin.json").read_text())
        for one, other in zip(twin["members"], reference["members"]):
            for field in ("family", "validation_loss", "latent_histogram"):
                self.assertEqual(one[field], other[field])
        self.assertEqual(self.events(out / "b1.58", "stats"),
                         self.events(self.reference / "b1.58", "stats"))
        self.assertEqual(list(out.glob("*.progress.jsonl")) + list(out.glob("*.errors")), [])
        # Finished: nothing is trained again.
        self.must("twin", "--out", out, "--resume")
        self.assertEqual((out / "llama" / "training.json").stat().st_mtime_ns, llama)

    def test_the_error_of_a_member_is_the_study_s(self):
        damaged = self.folder / "damaged"
        shutil.copytree(self.data, damaged)
        shard = damaged / "train-00000.bin"
        data = bytearray(shard.read_bytes())
        data[1000] ^= 1
        shard.write_bytes(data)
        result = run("twin", "--data", damaged, "--config", self.config, "--out", self.new())
        self.assert_error(result, 3, "llama: ", shard)

    def test_bad_input(self):
        """The plans' own refusals are in twin_plan_test.cc and scaling_report_test.cc."""
        full = self.new()
        full.mkdir()
        (full / "letter.txt").write_text("dear")
        broken = self.new()
        broken.mkdir()
        (broken / "study.json").write_text('{"kind": "twin", "members": []}')
        cases = [
            (("twin", "--data", self.data), 2, "tokens or steps"),
            (("twin", "--config", self.config, "--data", self.folder / "none"), 4, "none"),
            ((*self.twin, "--families", "llama,gpt"), 2, "gpt"),
            ((*self.twin, "--out", self.reference), 2, "--resume"),
            ((*self.twin, "--out", full), 2, full),
            (("twin", "--resume"), 2, "no study"),
            (("twin", "--resume", "--out", self.reference, "--seed", 3), 2, "--resume"),
            (("twin", "--resume", "--out", broken), 3, "study.json"),
            (("scaling", "--resume", "--out", self.reference), 2, "tercet twin"),
            (("scaling", "--data", self.data), 2, "--presets"),
            (("scaling", "--runs", self.reference, "--steps", 3), 2, "--runs"),
        ]
        for arguments, code, word in cases:
            with self.subTest(arguments=arguments):
                if "--out" not in arguments:
                    arguments = (*arguments, "--out", self.new())
                self.assert_error(run(*arguments), code, word)

    def test_a_launcher_is_refused(self):
        launched = {**os.environ, "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": "1"}
        result = run(*self.twin, "--out", self.new(), env=launched)
        self.assert_error(result, 2, "torchrun")

    def test_recipe_files_of_single_families(self):
        own = self.folder / "b1.json"
        own.write_text(json.dumps({**SETTINGS, "family": "b1", "learning_rate": 0.02, "steps": 1,
                                   "warmup_steps": 0, "data": "/nowhere"}))
        out = self.new()
        result = self.must("twin", "--config", own, "--data", self.data, "--out", out, "--json")
        members = json.loads(result.stdout)["members"]
        self.assertEqual([m["family"] for m in members], ["b1"])
        self.assertEqual(members[0]["recipe"]["learning_rate"], 0.02)

    def test_a_scaling_study_trains_its_sizes(self):
        out = self.new()
        result = self.must("scaling", "--data", self.data, "--presets", "1m", "--families", "b1.58",
                           "--tokens-per-parameter", 0.001, "--batch-size", 2, "--sequence-length",
                           32, "--eval-tokens", 64, "--sample-every", 0, "--threads", 1, "--out",
                           out, "--json")
        scaling = json.loads(result.stdout)
        member = scaling["sizes"][0]["members"][0]
        per_step = 2 * 32
        self.assertEqual(member["tokens"],
                         math.ceil(0.001 * member["parameters"] / per_step) * per_step)
        self.assertIn("three sizes", scaling["laws"][0]["note"])
        self.assertTrue((out / "1m" / "twin.json").exists())
        before = (out / "1m" / "b1.58" / "training.json").stat().st_mtime_ns
        shown = self.must("scaling", "--out", out, "--resume").stdout
        self.assertIn("| 1m ", shown)
        self.assertEqual((out / "1m" / "b1.58" / "training.json").stat().st_mtime_ns, before)

    def test_finished_runs_are_a_scaling_study(self):
        out = self.new()
        scaling = json.loads(self.must("scaling", "--runs", self.reference / "llama",
                                       self.reference / "b1.58", "--out", out, "--json").stdout)
        twin = json.loads((self.reference / "twin.json").read_text())
        self.assertEqual(len(scaling["sizes"]), 1)
        for member, other in zip(scaling["sizes"][0]["members"], twin["members"]):
            for field in ("family", "validation_loss", "non_embedding_parameters"):
                self.assertEqual(member[field], other[field])
        self.assertAlmostEqual(scaling["sizes"][0]["members"][1]["perplexity_gap_percent"],
                               twin["members"][1]["perplexity_gap_percent"])
        for name in ("scaling.svg", "gap.svg", "energy.svg"):
            xml.etree.ElementTree.parse(out / name)


if __name__ == "__main__":
    unittest.main()
