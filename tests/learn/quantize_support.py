# SPDX-License-Identifier: Apache-2.0
"""What the tests of `tercet quantize` share: a small full-precision model and texts.

Environment: TERCET, the path of the program.
"""

import json
import pathlib
import shutil
import tempfile

from pretrain_support import CommandCase, corpus_text

RECIPE = {"family": "llama", "hidden_size": 48, "intermediate_size": 92, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "sequence_length": 64,
          "batch_size": 8, "steps": 60, "learning_rate": 0.01, "warmup_steps": 4,
          "sample_every": 1000, "sample_tokens": 4, "threads": 1}


class QuantizeCase(CommandCase):
    """Makes `source`, the model, and the texts `calib` and `heldout`."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-quantize-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        corpus = cls.folder / "corpus.txt"
        corpus.write_text(corpus_text(0, 1200), encoding="utf-8")
        cls.calib = cls.folder / "calib.txt"
        cls.calib.write_text(corpus_text(2000, 120), encoding="utf-8")
        cls.heldout = cls.folder / "heldout.txt"
        cls.heldout.write_text(corpus_text(2400, 100), encoding="utf-8")
        cls.must("tokenizer", "train", corpus, "--vocab-size", 320, "--out", cls.folder / "tok")
        cls.must("data", "build", corpus, "--tokenizer", cls.folder / "tok",
                 "--validation-fraction", 0.1, "--out", cls.folder / "data")
        recipe = cls.folder / "recipe.json"
        recipe.write_text(json.dumps({**RECIPE, "data": str(cls.folder / "data")}))
        cls.source = cls.folder / "source"
        cls.must("pretrain", "--config", recipe, "--out", cls.source)

    @classmethod
    def quantize(cls, *options):
        result = cls.must("quantize", cls.source, "--calib", cls.calib, "--eval-text", cls.heldout,
                          "--ctx", 64, "--threads", 1, "--json",
                          *([] if any("-steps" in str(o) for o in options) else ["--no-training"]),
                          *options)
        return json.loads(result.stdout.splitlines()[-1])

    @staticmethod
    def contents(folder):
        return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}

    def new(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "out"

    def assert_error(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        lines = [line for line in result.stderr.splitlines() if "error:" in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), lines[0])
