# SPDX-License-Identifier: Apache-2.0
"""The data of `tercet pretrain`: several corpora, documents apart from each other, damage before and
during a run; builds that are stopped.

Environment: TERCET, the path of the program.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from pretrain_support import PretrainCase, RECIPE, TERCET, corpus_text, run


class PretrainData(PretrainCase):
    def second_data(self):
        """Another small data set of the same tokenizer."""
        data = self.folder / "second"
        if not data.exists():
            text = self.folder / "second.txt"
            text.write_text("".join(f"Room {i * 5 % 17} is {'cold' if i % 3 else 'warm'} by day.\n"
                                    for i in range(900)), encoding="utf-8")
            self.must("data", "build", text, "--tokenizer", self.folder / "tok",
                      "--validation-fraction", 0.2, "--out", data)
        return data

    def test_several_corpora_by_weight(self):
        first, second = self.folder / "data", self.second_data()
        mix = ("--data", f"{first}=3", "--data", f"{second}=1")
        whole, resumed = self.new(), self.new()
        result = self.must("pretrain", "--config", self.recipe, "--out", whole, *mix, "--steps", 20)
        self.assertIn(f"epochs of {second}", result.stderr)
        start = self.events(whole, "start")[0]
        self.assertEqual([c["share"] for c in start["corpora"]], [0.75, 0.25])
        self.assertEqual(start["recipe"]["data"], [{"path": str(first), "weight": 3.0},
                                                   {"path": str(second), "weight": 1.0}])
        last = self.events(whole, "eval")[-1]
        self.assertEqual([c["data"] for c in last["corpora"]], ["data", "second"])
        losses = [c["validation_loss"] for c in last["corpora"]]
        self.assertAlmostEqual(last["validation_loss"], 0.75 * losses[0] + 0.25 * losses[1])
        self.assertIn(b"validation/second",
                      (whole / "events.out.tfevents.0.tercet").read_bytes())
        # Resuming knows both.
        shutil.copytree(whole, resumed)
        shutil.rmtree(resumed / "checkpoints" / "step-00000020")
        self.must("pretrain", "--out", resumed, "--resume")
        self.assertEqual((resumed / "model.safetensors").read_bytes(),
                         (whole / "model.safetensors").read_bytes())
        shutil.rmtree(resumed / "checkpoints" / "step-00000020")
        (resumed / "training.json").unlink()
        manifest = second / "dataset.json"
        text = manifest.read_text()
        manifest.write_text(text + "\n")
        self.addCleanup(manifest.write_text, text)
        self.assert_error(run("pretrain", "--out", resumed, "--resume"), 3, second, "another data")

    def test_corpora_that_do_not_fit_are_refused(self):
        first, second, out = self.folder / "data", self.second_data(), self.new()
        tok = self.folder / "tok320"
        self.must("tokenizer", "train", self.corpus, "--vocab-size", 318, "--out", tok)
        other = self.folder / "other-tokenizer"
        self.must("data", "build", self.corpus, "--tokenizer", tok, "--out", other)
        for data, code, words in (
                ((f"{first}=1", f"{second}=0"), 2, ("weight", second)),
                ((f"{first}=1", f"{second}=nan"), 2, ("weight", second)),
                ((f"{first}=-1",), 2, ("weight", first)),
                ((f"{first}=1", second), 2, ("no weight", second)),
                ((first, first), 2, ("twice", first)),
                ((first, other), 3, ("vocabulary", other)),
                ((first, self.folder / "nowhere"), 4, ("nowhere",))):
            options = [part for path in data for part in ("--data", path)]
            with self.subTest(data=data):
                self.assert_error(run("pretrain", "--config", self.recipe, "--out", out, *options),
                                  code, *words)
        self.assertFalse((out / "log.jsonl").exists())
        recipe = self.folder / "bad-data.json"
        for data, word in (([{"path": "a", "weight": "much"}], "data[0]"), (3, "data"),
                           ([{"weight": 1.0}], "empty")):
            recipe.write_text(json.dumps({**RECIPE, "data": data}))
            self.assertIn(word, run("pretrain", "--config", recipe, "--out", out).stderr)

    def copied_data(self):
        data = self.new().with_name("data")
        shutil.copytree(self.folder / "data", data)
        return data

    def test_a_shard_that_is_cut_while_it_is_used_ends_the_run_saved(self):
        out, data = self.new(), self.copied_data()
        shard = data / "train-00000.bin"
        whole = shard.read_bytes()
        process = self.start(out, "--data", str(data))
        self.wait_for_checkpoint(out, process)
        os.truncate(shard, 1000)
        _, stderr = process.communicate(timeout=60)
        if process.returncode == 0:
            self.skipTest("it was faster")
        self.assertEqual(process.returncode, 3, stderr)
        self.assertIn(f"'{shard}'", stderr)
        self.assertIn("is saved after step", stderr)
        step = int(stderr.split("is saved after step ")[1].split(" ")[0])
        self.assertTrue((out / "checkpoints" / f"step-{step:08}").exists())
        self.assert_error(run("pretrain", "--out", out, "--resume"), 3, shard)
        shard.unlink()
        self.assert_error(run("pretrain", "--out", out, "--resume"), 4, shard)
        shard.write_bytes(whole)
        self.must("pretrain", "--out", out, "--resume")
        self.assert_same_as_reference(out)

    def test_a_shard_that_changed_since_the_run_began_is_named(self):
        data = self.copied_data()
        out = self.unfinished("--data", data)
        shard = data / "train-00000.bin"
        times, whole = shard.stat(), shard.read_bytes()
        # Another valid token in the place of one.
        shard.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
        # With the old time only a look at everything finds it.
        os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assert_error(run("pretrain", "--out", out, "--resume", "--verify-data"), 3, shard,
                          "checksum")
        shard.write_bytes(shard.read_bytes())
        self.assert_error(run("pretrain", "--out", out, "--resume"), 3, shard, "checksum")
        shard.write_bytes(whole)
        self.must("pretrain", "--out", out, "--resume", "--verify-data")
        self.assert_same_as_reference(out)

    def test_data_may_move(self):
        data = self.copied_data()
        out = self.unfinished("--data", data)
        moved = data.with_name(data.name + "-moved")
        data.rename(moved)
        self.assert_error(run("pretrain", "--out", out, "--resume"), 4, data)
        self.assert_error(run("pretrain", "--out", out, "--resume", "--data", moved, "--data",
                              moved), 2, "1 data set")
        self.assert_error(run("pretrain", "--out", out, "--resume", "--data", moved, "--steps",
                              70), 2, "--data")
        self.must("pretrain", "--out", out, "--resume", "--data", moved)
        self.assert_same_as_reference(out)

    def test_documents_without_attention_across_them(self):
        """Documents of a line each: it learns, repeats after a kill, and packs."""
        lines = self.folder / "lines.jsonl"
        lines.write_text("".join(json.dumps({"text": line}) + "\n"
                                 for line in corpus_text().splitlines()))
        data = self.folder / "lines"
        self.must("data", "build", lines, "--tokenizer", self.folder / "tok",
                  "--validation-fraction", 0.1, "--out", data)
        options = ("--data", data, "--document-attention", "within")
        out = self.new()
        self.must("pretrain", "--config", self.recipe, "--out", out, *options, "--steps", 40)
        losses = [e["loss"] for e in self.events(out, "step")]
        self.assertLess(losses[-1], 0.6 * losses[0])
        self.assertLess(self.events(out, "eval")[-1]["validation_tokens"], 256)
        resumed = self.new()
        shutil.copytree(out, resumed)
        shutil.rmtree(resumed / "checkpoints" / "step-00000040")
        (resumed / "training.json").unlink()
        self.must("pretrain", "--out", resumed, "--resume")
        self.assertEqual((resumed / "model.safetensors").read_bytes(),
                         (out / "model.safetensors").read_bytes())
        # What a step learns does not depend on how it is cut.
        for extra in ((), ("--family", "llama")):
            first = []
            for micro in (2, 8):
                cut = self.new()
                self.must("pretrain", "--config", self.recipe, "--out", cut, *options, *extra,
                          "--precision", "f32", "--micro-batch-size", micro, "--steps", 6,
                          "--warmup-steps", 0)
                first.append([e["loss"] for e in self.events(cut, "step")])
            for one, other in zip(*first):
                self.assertAlmostEqual(one, other, delta=1e-3 if not extra else 2e-5)

    def test_a_stopped_build_goes_on(self):
        text = self.folder / "large.txt"
        text.write_text(corpus_text() * 60, encoding="utf-8")
        reference, out = self.new(), self.new()
        command = ("data", "build", text, "--tokenizer", self.folder / "tok", "--shard-tokens",
                   30000, "--threads", 1, "--out")
        self.must(*command, reference)
        process = subprocess.Popen([TERCET, *map(str, command), str(out)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not (out / "train-00002.bin").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        if process.returncode != 0:
            self.assertEqual(process.returncode, 130, stderr)
            self.assertFalse((out / "dataset.json").exists())
            self.assertIn("Continued after", self.must(*command, out).stdout)
        for file in reference.iterdir():
            self.assertEqual((out / file.name).read_bytes(), file.read_bytes(), file.name)

    def test_data_info(self):
        data = self.folder / "data"
        info = json.loads(self.must("data", "info", data, "--documents", 2, "--verify",
                                    "--json").stdout)
        self.assertEqual(info["vocab_size"], 320)
        self.assertEqual(info["train"]["documents"], 1)
        self.assertEqual(info["documents"][0]["tokens"], info["train"]["tokens"])
        self.assertTrue(corpus_text().startswith(info["documents"][0]["text"].strip()[:40]))
        self.assertAlmostEqual(info["train"]["bytes"] / info["train"]["tokens"],
                               info["train"]["bytes_per_token"])
        shown = self.must("data", "info", data).stdout
        self.assertIn("bytes per token", shown)
        self.assertIn("In house", shown)
        self.assertIn("data info", run("inspect", data).stderr)
        damaged = self.copied_data()
        shard = damaged / "val-00000.bin"
        whole = bytearray(shard.read_bytes())
        whole[-2] ^= 1
        shard.write_bytes(whole)
        self.must("data", "info", damaged)
        self.assert_error(run("data", "info", damaged, "--verify"), 3, shard)
        self.assert_error(run("data", "info", self.folder), 4, "dataset.json")


if __name__ == "__main__":
    unittest.main()
