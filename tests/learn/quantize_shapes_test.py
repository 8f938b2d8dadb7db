# SPDX-License-Identifier: Apache-2.0
"""`tercet quantize` on models of random weights, whose shape the test chooses: that embedding and
head of few bits are measured as they run.

Environment: TERCET, the path of the program.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from pretrain_support import CommandCase, corpus_text, run

SYNTHESIZE = pathlib.Path(__file__).parents[2] / "scripts" / "make_synthetic_hf.py"


class QuantizeShapes(CommandCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-quantize-shapes-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(corpus_text(0, 120), encoding="utf-8")
        cls.must("tokenizer", "train", cls.text, "--vocab-size", 320, "--out", cls.folder / "tok")
        cls.source = cls.synthesize("source")

    @classmethod
    def synthesize(cls, name, *options, hidden=256):
        model = cls.folder / name
        subprocess.run([sys.executable, SYNTHESIZE, model, "--hidden", str(hidden), "--inner", "320",
                        "--layers", "2", "--heads", "4", "--kv-heads", "2", "--vocabulary", "320",
                        "--tokenizer", cls.folder / "tok", *options], check=True)
        return model

    def options(self, source, *options):
        return ["quantize", source, "--calib", self.text, "--ctx", 64, "--threads", 1,
                "--no-training", "--json", *options]

    def quantize(self, source, *options):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "out"
        measured = ("--eval-text", self.text, "--eval-ctx", 64, "--activations", "float")
        result = self.must(*self.options(source, "--flips", 1, *measured, *options, "--out", out))
        return json.loads(result.stdout.splitlines()[-1])

    def assert_refused(self, command, code, *words):
        result = run(*command)
        self.assertEqual(result.returncode, code, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)

    def mean_nll(self, model):
        result = self.must("perplexity", model, "--text", self.text, "--ctx", 64, "--json")
        return json.loads(result.stdout)["mean_nll"]

    def test_embedding_and_head_are_measured_as_they_run(self):
        seen = {}
        for options in ((), ("--head-type", "q8_0"), ("--head-type", "q6_k"),
                        ("--head-type", "q6_k", "--embedding-type", "q8_0")):
            with self.subTest(options=options):
                done = self.quantize(self.source, *options)
                measured = done["evaluation"]["mean_nll"]
                self.assertAlmostEqual(self.mean_nll(done["model"]), measured, delta=2e-4)
                for other in seen.values():
                    self.assertGreater(abs(other - measured), 1e-3)
                seen[options] = measured
                self.check_bits(done, options)

    def check_bits(self, done, options):
        head = options[1] if options else "f16"
        embedding = options[3] if len(options) > 2 else head
        file = done["file"]
        self.assertEqual((file["head_type"], file["embedding_type"]), (head, embedding))
        bits = {"f16": 16, "q8_0": 8.5, "q6_k": 6.5625}
        maps = 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 256 * 320)
        rest, norms = 320 * 256, 5 * 256
        whole = (maps * file["linear_bits_per_weight"] + rest * (bits[head] + bits[embedding]) +
                 norms * 32) / (maps + 2 * rest + norms)
        self.assertAlmostEqual(file["model_bits_per_weight"], whole, places=9)
        self.assertEqual(file["bytes"], pathlib.Path(done["model"]).stat().st_size)
        state = json.loads((pathlib.Path(done["out"]) / "quantize.json").read_text())
        self.assertEqual(state["file"], file)
        page = (pathlib.Path(done["out"]) / "report.html").read_text(encoding="utf-8")
        self.assertIn(f"{file['model_bits_per_weight']:.4f}", page)
        self.assertIn(f"head {head}", page)

    def plan(self, *options):
        return json.loads(self.must("quantize", *options, "--dry-run", "--json").stdout)

    def test_a_plan_needs_no_weights_and_no_text(self):
        large = self.folder / "large"
        subprocess.run([sys.executable, SYNTHESIZE, large, "--hidden", "8192", "--inner", "28672",
                        "--layers", "80", "--heads", "64", "--kv-heads", "8", "--vocabulary",
                        "32000", "--config-only"], check=True)
        machine = ("--plan-gflops", 1000, "--plan-bandwidth", 100, "--plan-disk", 1)
        plan = self.plan(large, "--max-memory", "23GB", "--no-training", *machine)
        self.assertTrue(plan["tokens_are_assumed"] and plan["without_weights"])
        self.assertEqual(plan["tokens"], 65536)
        self.assertLess(plan["peak_memory_bytes"], 23 * 2 ** 30)
        self.assertAlmostEqual(plan["seconds"], sum(plan["stage_seconds"].values()), places=3)
        # The shape can be named by the file alone; eight ranks take an eighth of the forward pass.
        ranks = self.plan(large / "config.json", "--max-memory", "80GB", "--no-training",
                          "--plan-ranks", 8, "--plan-network", 50, *machine)
        self.assertAlmostEqual(ranks["stage_seconds"]["forward"] * 8,
                               plan["stage_seconds"]["forward"], places=6)
        self.assertGreater(ranks["network_bytes"], 80 * 2 * 28672 ** 2)
        # Moments and forward passes are products in bf16, the solver's in f32.
        usual, faster = (
            self.plan(large, "--max-memory", "23GB", "--no-training", "--plan-gflops", 1000,
                      "--plan-bandwidth", 10 ** 6, "--plan-disk", 10 ** 6, *more)["stage_seconds"]
            for more in ((), ("--plan-bf16-gflops", 2000)))
        for stage, factor in (("forward", 2), ("moments", 2), ("solver", 1)):
            self.assertAlmostEqual(usual[stage] / faster[stage], factor, delta=0.01, msg=stage)
        self.assert_refused(["quantize", large, "--dry-run", "--max-memory", "8GB"], 2,
                            "mlp.down_proj", "--max-memory")
        self.assert_refused(["quantize", large, "--no-training", "--dry-run", "--calib-tokens", 0],
                            2, "--calib-tokens N")
        self.assert_refused(["quantize", self.source, "--calib", self.text, "--out",
                             self.folder / "never", "--plan-ranks", 2], 2, "--dry-run")
        self.assertFalse((self.folder / "never").exists())

    def test_a_plan_reads_text_where_there_is_some(self):
        read = self.plan(self.source, "--calib", self.text, "--ctx", 64)
        self.assertFalse(read["tokens_are_assumed"] or read["without_weights"])
        self.assertEqual(self.plan(self.source)["tokens"], 262144)
        self.assertEqual(self.plan(self.source, "--no-training")["tokens"], 65536)

    def test_types_that_do_not_fit_are_refused_before_any_work(self):
        narrow = self.synthesize("narrow", hidden=96)
        out = self.folder / "refused"
        base = self.options(narrow, "--out", out)
        self.assert_refused([*base, "--head-type", "q6_k"], 2, "multiple of 256", "use q8_0")
        self.assert_refused([*base, "--head-type", "q5_k"], 2, "q5_k", "q6_k")
        self.assert_refused([*base, "--head-type", "q8_0", "--gguf-type", "none"], 2, "GGUF")
        self.assert_refused([*base, "--head-type", "q8_0", "--method", "svid"], 2, "GGUF")
        tied = self.synthesize("tied", "--tied")
        base = self.options(tied, "--out", out)
        self.assert_refused([*base, "--embedding-type", "q8_0"], 2, "one matrix")
        self.assertFalse(out.exists())
        done = self.quantize(tied, "--head-type", "q6_k")
        self.assertEqual(done["file"]["embedding_type"], "q6_k")


if __name__ == "__main__":
    unittest.main()
