# SPDX-License-Identifier: Apache-2.0
"""What the tests of `tercet pretrain` share: a small language, data of it and a finished run.

Environment: TERCET, the path of the program.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

TERCET = os.environ["TERCET"]
# What would make ranks of the programs that tests start, or lead them elsewhere.
LAUNCHERS = ("RANK", "WORLD_SIZE", "MASTER_", "LOCAL_", "TORCHELASTIC_", "OMPI_", "PMI", "MPI_",
             "SLURM_", "GLOO_", "TP_")
for name in [name for name in os.environ if name.startswith(LAUNCHERS)]:
    del os.environ[name]
RECIPE = {"hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "sequence_length": 32,
          "batch_size": 8, "micro_batch_size": 4, "steps": 60, "learning_rate": 0.01,
          "warmup_steps": 4, "checkpoint_every": 10, "eval_every": 20, "eval_tokens": 256,
          "sample_every": 30, "sample_tokens": 4, "threads": 1}


def corpus_text(first=0, count=3000):
    """Lines of a small language with something to learn: the verb depends on the noun."""
    verbs = {"dog": "barks", "bird": "sings", "fish": "swims", "child": "laughs"}
    lines = []
    for i in range(first, first + count):
        noun = list(verbs)[(i * 7 + i // 3) % 4]
        lines.append(f"In house {i % 13} the {noun} {verbs[noun]} at night.\n")
    return "".join(lines)


def run(*arguments, **options):
    return subprocess.run([TERCET, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, encoding="utf-8", timeout=300,
                          check=False, **options)


def checkpoints(out):
    return sorted(out.glob("checkpoints/step-????????"))


def rewind(run_directory, out, step):
    """Makes `out` what a finished run that kept its checkpoints was after one of them, except that
    log and curves go on to the end, as after a kill a little later."""
    shutil.copytree(run_directory, out, symlinks=True)
    for checkpoint in checkpoints(out):
        if int(checkpoint.name[5:]) > step:
            shutil.rmtree(checkpoint)
    best = out / "checkpoints" / "best"
    if not best.exists():
        best.unlink(missing_ok=True)
        best.symlink_to(f"step-{step:08}")
    for name in ("model.safetensors", "training.json", "config.json", "tokenizer.model",
                 "tokenizer_config.json", "special_tokens_map.json"):
        (out / name).unlink()


class CommandCase(unittest.TestCase):
    @classmethod
    def must(cls, *arguments):
        result = run(*arguments)
        assert result.returncode == 0, result.stderr
        return result

    def wait_until(self, reached, processes, seconds=120):
        """Until reached() is true, which is to be while the processes run."""
        deadline = time.monotonic() + seconds
        while True:
            # Looked at first: what ends just after it got there has got there.
            running = all(process.poll() is None for process in processes)
            if reached():
                return
            self.assertTrue(running, "ended too early")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)


class PretrainCase(CommandCase):
    """Makes the tokenizer, the data and `reference`, the run that others are compared with."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-pretrain-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.corpus = cls.folder / "corpus.txt"
        cls.corpus.write_text(corpus_text(), encoding="utf-8")
        cls.must("tokenizer", "train", cls.corpus, "--vocab-size", 320, "--out", cls.folder / "tok")
        cls.must("data", "build", cls.corpus, "--tokenizer", cls.folder / "tok",
                 "--validation-fraction", 0.1, "--out", cls.folder / "data")
        cls.recipe = cls.folder / "recipe.json"
        cls.recipe.write_text(json.dumps({**RECIPE, "data": str(cls.folder / "data")}))
        cls.reference = cls.folder / "reference"
        cls.must("pretrain", "--config", cls.recipe, "--out", cls.reference)

    def new(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "run"

    def start(self, out, *options):
        return subprocess.Popen([TERCET, "pretrain", "--config", str(self.recipe), "--out",
                                 str(out), *options], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def wait_for_checkpoint(self, out, process):
        self.wait_until(lambda: checkpoints(out), [process])

    def unfinished(self, *options):
        """A run that was killed after step 20."""
        whole, out = self.new(), self.new()
        self.must("pretrain", "--config", self.recipe, "--out", whole, "--keep-checkpoints", 10,
                  *options)
        rewind(whole, out, 20)
        return out

    def events(self, out, kind):
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [line for line in lines if line["event"] == kind]

    def assert_same_as_reference(self, out):
        for name in ("model.safetensors", "config.json", "tokenizer.model"):
            self.assertEqual((out / name).read_bytes(), (self.reference / name).read_bytes(), name)
        for kind, field in (("step", "loss"), ("eval", "validation_loss"), ("sample", "text")):
            self.assertEqual([e[field] for e in self.events(out, kind)],
                             [e[field] for e in self.events(self.reference, kind)], kind)

    def assert_error(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        lines = [line for line in result.stderr.splitlines() if "error:" in line]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), lines[0])
