# SPDX-License-Identifier: Apache-2.0
"""A full-precision model made ternary by the command line: that the files compute what was
measured, and that mistakes are named.

Environment: TERCET, the path of the program.
"""

import json
import shutil
import struct
import subprocess
import unittest

from pretrain_support import TERCET, run
from quantize_support import QuantizeCase

# A last pass that changes next to nothing.
UNMOVED = ("--tune-steps", 1, "--tune-tokens", 64, "--tune-rate", 1e-6)


class Quantize(QuantizeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = cls.contents(cls.source)
        cls.reference = cls.folder / "reference"
        cls.summary = cls.quantize("--out", cls.reference)

    def perplexity(self, model):
        result = self.must("perplexity", model, "--text", self.heldout, "--ctx", 64, "--json")
        return json.loads(result.stdout)["mean_nll"]

    def test_it_beats_rounding_and_the_report_is_complete(self):
        plain = self.quantize("--method", "absmean", "--group-size", "tensor", "--out", self.new())
        evaluation = self.summary["evaluation"]
        self.assertLess(evaluation["mean_nll"], plain["evaluation"]["mean_nll"])
        self.assertGreater(evaluation["kl_divergence_mean"], 0)
        self.assertEqual(len(self.summary["layers"]), 2 * 7)
        for layer in self.summary["layers"]:
            self.assertAlmostEqual(sum(layer["shares"]), 1, places=6)
            errors = {s["stage"]: s["relative_error"] for s in layer["stages"]}
            self.assertLessEqual(errors["flips"], errors["threshold"])
            self.assertEqual(len(layer["weights_over_scale"]), 60)
        self.assertEqual(self.contents(self.source), self.before)
        page = (self.reference / "report.html").read_text(encoding="utf-8")
        self.assertEqual(page.count("<svg xmlns"), 3)
        self.assertNotIn("src=", page)
        for layer in self.summary["layers"]:
            self.assertIn(layer["name"], page)
        self.assertIn(f"{evaluation['mean_nll']:.4f}", page)
        state = json.loads((self.reference / "quantize.json").read_text())
        self.assertEqual(state["status"], "complete")
        self.assertEqual(state["evaluation"], evaluation)

    def test_directory_and_gguf_file_compute_what_was_measured(self):
        measured = self.summary["evaluation"]["mean_nll"]
        for model in (self.reference, self.reference / "model.gguf"):
            self.assertAlmostEqual(self.perplexity(model), measured, delta=2e-3)
        plain = self.quantize("--activations", "float", "--out", self.new())
        measured = plain["evaluation"]["mean_nll"]
        self.assertNotEqual(measured, self.summary["evaluation"]["mean_nll"])
        for model in (plain["out"], plain["model"]):
            self.assertAlmostEqual(self.perplexity(model), measured, delta=2e-3)
        info = json.loads(self.must("inspect", plain["model"], "--json").stdout)
        self.assertIn("trit5", json.dumps(info))

    def test_every_method_and_group_size(self):
        for method in ("twn", "gptq", "pt2-llm", "arb", "svid"):
            with self.subTest(method=method):
                options = [] if method == "svid" else ["--group-size", 40]
                summary = self.quantize("--method", method, *options, "--out", self.new())
                self.assertLess(summary["evaluation"]["mean_nll"], 9)
                self.perplexity(summary["model"])
        for size in ("tensor", "16"):
            with self.subTest(size=size):
                summary = self.quantize("--group-size", size, "--out", self.new())
                # Headers and padding of matrices as small as these; scales in f32 would take 1 more.
                self.assertLess(summary["gguf"]["linear_bits_per_weight"],
                                summary["bits_per_weight"] + 0.6)
                self.assertAlmostEqual(self.perplexity(summary["model"]),
                                       summary["evaluation"]["mean_nll"], delta=2e-3)

    def test_training_goes_further(self):
        for loss, sweeps in (("predictions", 1), ("output", 0)):
            with self.subTest(loss=loss):
                summary = self.quantize("--block-steps", 20, "--block-tokens", 128, "--block-loss",
                                        loss, "--sweeps", sweeps, "--tune-steps", 60,
                                        "--tune-tokens", 256, "--out", self.new())
                evaluation = summary["evaluation"]
                self.assertLess(evaluation["mean_nll"], self.summary["evaluation"]["mean_nll"])
                self.assertLess(summary["tuning"]["last_kl"], summary["tuning"]["first_kl"])
                self.assertAlmostEqual(self.perplexity(summary["model"]), evaluation["mean_nll"],
                                       delta=2e-3)

    def test_errors_are_measured_again_behind_what_changes_blocks_later(self):
        options = ("--block-loss", "output", "--block-steps", 20, "--block-tokens", 128)
        tuned = self.quantize(*options, *UNMOVED, "--out", self.new())
        swept = self.quantize(*options, "--sweeps", 1, "--tune-steps", 0, "--out", self.new())
        both = self.quantize(*options, "--sweeps", 1, *UNMOVED, "--out", self.new())
        for summary, last in ((tuned, "last pass"), (swept, "sweeps"), (both, "last pass")):
            for layer in summary["layers"]:
                stages = [stage["stage"] for stage in layer["stages"]]
                self.assertEqual(stages[-2:], ["training", last], layer["name"])
                self.assertEqual(stages.count(last), 1)
        self.assert_same_errors(tuned)
        for one, other in zip(swept["layers"], both["layers"], strict=True):
            self.assertAlmostEqual(one["stages"][-1]["relative_error"],
                                   other["stages"][-1]["relative_error"], delta=1e-4)
            self.assertNotAlmostEqual(one["stages"][-1]["relative_error"],
                                      one["stages"][-2]["relative_error"], delta=1e-4)

    def assert_same_errors(self, summary):
        for layer in summary["layers"]:
            before, after = (stage["relative_error"] for stage in layer["stages"][-2:])
            self.assertAlmostEqual(after, before, delta=1e-3 * before, msg=layer["name"])

    def test_errors_are_measured_on_what_training_started_from(self):
        # More text than that, of two kinds, so that another choice of windows would give others.
        words = self.heldout.read_text(encoding="utf-8").split(" ")
        mixed = self.folder / "mixed.txt"
        parts = [" ".join(words if i % 3 else sorted(words)) for i in range(40)]
        mixed.write_text("\n<|endoftext|>\n".join(parts), encoding="utf-8")
        for options in ((), ("--equalize", 0.5), ("--ranks", 3)):
            with self.subTest(options=options):
                out = self.new()
                self.must("quantize", self.source, "--calib", mixed, "--calib-tokens", 60000,
                          "--ctx", 64, "--threads", 1, "--block-loss", "output", "--block-steps",
                          20, "--block-tokens", 128, *UNMOVED, "--out", out, *options)
                summary = json.loads((out / "quantize.json").read_text())
                self.assertGreater(summary["plan"]["tokens"], 50000)
                self.assert_same_errors(summary)

    def test_the_default_trains(self):
        base = ["quantize", self.source, "--calib", self.calib, "--ctx", 64, "--dry-run", "--json"]
        small = json.loads(self.must(*base).stdout)["training"]
        self.assertEqual(small["block_loss"], "predictions")
        self.assertGreater(small["sweeps"], 0)
        self.assertGreater(small["tune_steps"], 0)
        none = json.loads(self.must(*base, "--no-training").stdout)["training"]
        self.assertEqual((none["block_steps"], none["tune_steps"]), (0, 0))

    @staticmethod
    def tensors(folder):
        out = {}
        for file in sorted(folder.glob("*.safetensors")):
            content = file.read_bytes()
            size = struct.unpack("<Q", content[:8])[0]
            for name, entry in json.loads(content[8:8 + size]).items():
                if name != "__metadata__":
                    begin, end = entry["data_offsets"]
                    out[name] = content[8 + size + begin:8 + size + end]
        return out

    def test_equalized_norms_are_written_where_all_their_maps_are_chosen(self):
        source = self.tensors(self.source)
        first, second = (f"model.layers.0.{name}.weight"
                         for name in ("input_layernorm", "post_attention_layernorm"))
        out = self.new()
        equalized = self.quantize("--equalize", 0.5, "--out", out)
        written = self.tensors(out)
        self.assertNotEqual(written[first], source[first])
        self.assertNotEqual(written[second], source[second])
        self.assertLess(equalized["evaluation"]["mean_nll"],
                        self.summary["evaluation"]["mean_nll"] + 0.5)
        out = self.new()
        self.quantize("--equalize", 0.5, "--only", "gate_proj|self_attn", "--out", out)
        written = self.tensors(out)
        self.assertNotEqual(written[first], source[first])
        for name in (second, "model.layers.0.mlp.up_proj.weight"):
            self.assertEqual(written[name], source[name])

    def test_part_of_the_maps(self):
        summary = self.quantize("--only", "mlp", "--out", self.new())
        self.assertEqual(len(summary["layers"]), 2 * 3)
        self.assertAlmostEqual(self.perplexity(summary["model"]),
                               summary["evaluation"]["mean_nll"], delta=2e-3)

    def test_a_dry_run_writes_nothing(self):
        result = self.must("quantize", self.source, "--calib", self.calib, "--ctx", 64,
                           "--dry-run", "--json")
        plan = json.loads(result.stdout)
        self.assertGreater(plan["tokens"], 500)
        self.assertGreater(plan["peak_memory_bytes"], plan["block_bytes"] - 1)
        self.assertGreater(plan["seconds"], 0)
        self.assertEqual(self.contents(self.source), self.before)

    def test_mistakes_are_refused_by_name(self):
        source, out = self.source, self.new()
        base = ["quantize", source, "--calib", self.calib, "--ctx", 64, "--out", out]
        self.assert_error(run("quantize", source, "--out", out), 2, "--calib")
        self.assert_error(run(*base[:4]), 2, "--out")
        self.assert_error(run(*base, "--method", "rtn"), 2, "rtn", "absmean")
        self.assert_error(run(*base, "--group-size", "5"), 2, "5")
        self.assert_error(run(*base, "--only", "nothing_like_it"), 2, "nothing_like_it")
        self.assert_error(run(*base, "--only", "("), 2, "regular expression")
        self.assert_error(run(*base, "--no-training", "--cross-term", "2"), 2, "--cross-term")
        self.assert_error(run(*base, "--equalize", "2"), 2, "--equalize")
        self.assert_error(run(*base, "--equalize", "nan"), 2, "--equalize")
        self.assert_error(run(*base, "--token-weights", "first"), 2, "token weights")
        self.assert_error(run(*base, "--method", "twn", "--token-weights", "equal"), 2,
                          "--token-weights")
        self.assert_error(run(*base, "--max-memory", "100KB"), 2, "--max-memory")
        self.assert_error(run(*base, "--resume"), 2, "no run to resume")
        self.assert_error(run(*base, "--no-training", "--block-steps", 3), 2, "--no-training")
        self.assert_error(run("quantize", source, "--method", "twn", "--flips", 3, "--out", out), 2,
                          "twn")
        self.assert_error(run("quantize", source, "--calib", self.calib, "--out", source), 2,
                          "source")
        self.assert_error(run("quantize", self.reference, "--calib", self.calib, "--out", out), 3,
                          "made by tercet quantize")
        self.assert_error(run("quantize", self.reference / "model.gguf", "--out", out), 2,
                          "tercet convert")
        plain = self.new() / "dense"
        self.must("convert", self.reference / "model.gguf", f"{plain}/", "--type", "f32")
        self.assert_error(run("quantize", plain, "--calib", self.calib, "--out", out), 3,
                          "ternary or binary already", "model.layers.0.")
        for method in ("pt2-llm", "arb"):
            self.assert_error(run(*base, "--method", method, "--group-size", "tensor", "--dry-run"),
                              2, method, "--group-size tensor")
            self.assert_error(run(*base, "--method", method, "--gguf-type", "tq1_0"), 2,
                              "--gguf-type", method)
        self.assert_error(run(*base[:-1], source / "inside"), 2, "source")
        inside = subprocess.run([TERCET, "quantize", ".", "--calib", self.calib, "--out", "inside"],
                                cwd=source, capture_output=True, text=True, check=False)
        self.assert_error(inside, 2, "source")
        self.assert_error(run(*base, "--ctx", -5), 2, "--ctx")
        # What only the end needs is looked at first.
        self.assert_error(run(*base, "--eval-text", self.folder / "nowhere.txt"), 4, "nowhere.txt")
        self.assert_error(run(*base, "--gguf-type", "tq2_0"), 2, "tq2_0", "256", "48", "trit5")
        self.assert_error(run(*base, "--gguf-type", "i2_s"), 2, "i2_s", "--group-size tensor")
        self.assert_error(run(*base, "--gguf-type", "tq1_0", "--group-size", 16), 2, "tq1_0", "16")
        self.assertFalse(out.exists())
        short = self.folder / "short.txt"
        short.write_text("In", encoding="utf-8")
        self.assert_error(run("quantize", source, "--calib", short, "--out", out), 3, "too short")
        self.assertEqual(self.contents(self.source), self.before)

    def test_options_without_effect_are_refused(self):
        base = ["quantize", self.source, "--calib", self.calib, "--ctx", 64, "--out", self.new()]
        for option, value in (("--flips", 3), ("--cross-term", 0.5), ("--held-out", 0.1),
                              ("--feedback", None), ("--shrinkage", "auto")):
            given = [option] if value is None else [option, value]
            self.assert_error(run(*base, *given), 2, option, "--no-training")
        for option, value in (("--block-tokens", 64), ("--block-rate", 0.1),
                              ("--block-loss", "output"), ("--tune-tokens", 64),
                              ("--tune-rate", 0.1)):
            self.assert_error(run(*base, "--no-training", option, value), 2, option)
        self.assert_error(run(*base, "--eval-ctx", 64), 2, "--eval-ctx", "--eval-text")
        for option in (("--calib-tokens", 512), ("--ctx", 64), ("--cut",)):
            self.assert_error(run("quantize", self.source, "--method", "twn", "--out", self.new(),
                                  *option), 2, option[0])
        self.assert_error(run(*base, "--method", "gptq", "--held-out", 0.1), 2, "--held-out")
        self.assert_error(run(*base, "--method", "gptq", "--precision", "f32"), 2, "--precision")
        for method, option in (("absmean", "--grid-points"), ("pt2-llm", "--grid-points"),
                               ("absmean", "--shrinkage"), ("twn", "--cross-term"),
                               ("grid", "--flips")):
            self.assert_error(run(*base, "--method", method, option, 1), 2, option, method)

    def test_weights_that_are_not_finite_are_named(self):
        for name in ("model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight",
                     "model.norm.weight"):
            with self.subTest(tensor=name):
                broken, out = self.new(), self.new()
                shutil.copytree(self.source, broken)
                path = broken / "model.safetensors"
                content = bytearray(path.read_bytes())
                size = struct.unpack("<Q", content[:8])[0]
                header = json.loads(content[8:8 + size])
                end = 8 + size + header[name]["data_offsets"][1]
                content[end - 4:end] = struct.pack("<f", float("nan"))
                path.write_bytes(bytes(content))
                self.assert_error(run("quantize", broken, "--calib", self.calib, "--ctx", 64,
                                      "--no-training", "--out", out), 3, name)
                self.assertEqual(list(out.glob("*.safetensors")), [])


if __name__ == "__main__":
    unittest.main()
