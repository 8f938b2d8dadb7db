# SPDX-License-Identifier: Apache-2.0
"""Quantizations that end early, by a kill, a Ctrl-C or a write that fails, at every stage: what
they leave says that it is unfinished, and goes on to the same bits.

Environment: TERCET, the path of the program.
"""

import json
import resource
import shutil
import signal
import struct
import subprocess
import time
import unittest

from pretrain_support import TERCET, run
from quantize_support import QuantizeCase

TRAINING = ("--block-steps", 20, "--block-tokens", 128, "--tune-steps", 10, "--tune-tokens", 128)


class Resume(QuantizeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.long = cls.folder / "long.txt"
        cls.long.write_text(cls.heldout.read_text(encoding="utf-8") * 20, encoding="utf-8")

    def command(self, out, *options, text=None):
        return ["quantize", self.source, "--calib", text or self.calib, "--ctx", 64, "--threads", 1,
                *options, "--out", out]

    def end_when(self, command, out, reached, number, status="running"):
        """Sends the signal as soon as reached(), which is to leave that status; on a busy machine
        it can come too late, then all is done again."""
        before = out.with_name("before")
        if out.exists():
            shutil.copytree(out, before)
        for _ in range(5):
            shutil.rmtree(out, ignore_errors=True)
            if before.exists():
                shutil.copytree(before, out)
            process = subprocess.Popen([TERCET, *map(str, command)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            while process.poll() is None and not reached():
                time.sleep(0.002)
            process.send_signal(number)
            if process.wait() != 0:
                self.assertEqual(process.returncode, 130 if number == signal.SIGINT else -number)
                if self.status(out) == status:
                    break
        else:
            self.fail("the signal came too late five times")
        shutil.rmtree(before, ignore_errors=True)

    @staticmethod
    def status(out):
        return json.loads((out / "quantize.json").read_text())["status"]

    def assert_same_weights(self, one, other):
        def tensors(folder):
            # Without the header, whose reports have times.
            contents = {name: content for name, content in self.contents(folder).items()
                        if name.endswith(".safetensors")}
            return {name: content[8 + struct.unpack("<Q", content[:8])[0]:]
                    for name, content in contents.items()}
        self.assertEqual(tensors(one), tensors(other))
        self.assertEqual(list(other.glob("*.tmp")) + list(other.glob("activations-*")) +
                         list(other.glob("block-*")) + list(other.glob("tuning*")), [])

    def test_maps_solved_one_by_one_also_from_disk(self):
        whole, out = self.new(), self.new()
        # Long enough for the second block to be still open when the first is seen.
        self.must(*self.command(whole, "--no-training", text=self.long))
        command = self.command(out, "--no-training", text=self.long)
        self.end_when(command, out, (out / "model-00001-of-00003.safetensors").exists,
                      signal.SIGKILL)
        self.assertFalse((out / "config.json").exists())
        self.assertNotEqual(run("perplexity", out, "--text", self.heldout).returncode, 0)
        self.assert_error(run(*command), 2, "not empty", "--resume")
        self.assert_error(run(*command, "--resume", "--flips", 3), 2, "other options",
                          "flip_rounds was 20, is 3")
        self.assert_error(run(*self.command(out, "--no-training"), "--resume"), 2,
                          "calibration text")
        state = (out / "quantize.json").read_text()
        for damaged in ("[]", '{"status": 3}', state[:50]):
            (out / "quantize.json").write_text(damaged)
            self.assert_error(run(*command, "--resume"), 3, "quantize.json")
        (out / "quantize.json").write_text(state)
        (out / "model-00002-of-00003.safetensors.1.tmp").write_bytes(b"left by a kill")
        self.must(*command, "--resume", "--max-memory", "2MB")
        self.assert_same_weights(whole, out)

    def test_training_towards_predictions_in_each_sweep(self):
        options = ("--block-loss", "predictions", "--sweeps", 1, "--block-steps", 100,
                   *TRAINING[2:])
        whole, out = self.new(), self.new()
        self.must(*self.command(whole, *options))
        command = self.command(out, *options)
        self.end_when(command, out, (out / "block-00001.safetensors").exists, signal.SIGKILL)

        def swept():
            first = out / "block-00001.safetensors"
            return first.exists() and b'"sweep":"1"' in first.read_bytes()

        self.end_when([*command, "--resume"], out, swept, signal.SIGKILL)
        self.must(*command, "--resume")
        self.assert_same_weights(whole, out)

    # Here the source's own stream, which such blocks are trained towards, is carried on as well.
    def test_training_towards_outputs(self):
        for options in (("--equalize", 0), ("--equalize", 0.5), ("--sweeps", 1, "--tune-steps", 0)):
            with self.subTest(options=options):
                settings = dict(zip(TRAINING[::2], TRAINING[1::2]))
                settings.update(zip(options[::2], options[1::2]))
                if settings["--tune-steps"] == 0:
                    del settings["--tune-tokens"]
                all_options = ("--block-loss", "output",
                               *(part for pair in settings.items() for part in pair))
                whole, out = self.new(), self.new()
                self.must(*self.command(whole, *all_options))
                command = self.command(out, *all_options)
                self.end_when(command, out, (out / "block-00001.safetensors").exists,
                              signal.SIGKILL)
                self.assertFalse((out / "config.json").exists())
                self.must(*command, "--resume")
                self.assert_same_weights(whole, out)

    def test_the_last_pass(self):
        options = ("--block-loss", "output", "--block-steps", 4, "--block-tokens", 128,
                   "--tune-steps", 600, "--tune-tokens", 64)
        whole, slow = self.new(), self.new()
        self.must(*self.command(whole, *options))
        self.must(*self.command(slow, *options, text=self.long))
        # In the middle of the pass, and while errors are measured behind it.
        for number, reached in ((signal.SIGKILL, "tuning.safetensors"),
                                (signal.SIGINT, "tuning.safetensors"),
                                (signal.SIGKILL, "model-00001-of-00003.safetensors")):
            with self.subTest(signal=number, reached=reached):
                out = self.new()
                in_pass = reached == "tuning.safetensors"
                command = self.command(out, *options, text=self.calib if in_pass else self.long)
                self.end_when(command, out, (out / reached).exists, number)
                result = self.must(*command, "--resume", "--json")
                steps = [json.loads(line)["step"] for line in result.stdout.splitlines()
                         if json.loads(line).get("event") == "tuning"]
                if in_pass:
                    self.assertGreater(steps[0], 1)
                else:
                    self.assertEqual(steps, [])
                self.assert_same_weights(whole if in_pass else slow, out)
        report = json.loads((slow / "quantize.json").read_text())
        again = json.loads((out / "quantize.json").read_text())
        self.assertEqual(report["tuning"], again["tuning"])
        self.assertEqual([layer["mean_scale"] for layer in report["layers"]],
                         [layer["mean_scale"] for layer in again["layers"]])

    def test_evaluation_and_gguf_of_a_finished_model(self):
        options = ("--block-loss", "output", *TRAINING)
        out = self.new()
        command = self.command(out, *options, "--eval-text", self.long)
        state = out / "quantize.json"
        finished = lambda: state.exists() and b'"quantized"' in state.read_bytes()
        self.end_when(command, out, finished, signal.SIGKILL, "quantized")
        times = {path: path.stat().st_mtime_ns for path in out.glob("model-*.safetensors")}
        before = json.loads((out / "quantize.json").read_text())
        # What a kill between the model and the end of its making leaves.
        (out / "block-00001.safetensors").write_bytes(b"not needed any more")
        self.must(*command, "--resume")
        self.assertEqual(list(out.glob("block-*")), [])
        self.assertEqual(self.status(out), "complete")
        after = json.loads((out / "quantize.json").read_text())
        self.assertTrue((out / "model.gguf").exists())
        self.assertTrue((out / "report.html").exists())
        self.assertGreater(after["evaluation"]["tokens"], 1000)
        self.assertEqual(times, {path: path.stat().st_mtime_ns for path in times})
        for name in ("layers", "tuning", "seconds", "bits_per_weight"):
            self.assertEqual(before[name], after[name], name)
        # Once more: what was measured stays; another text is measured, nothing quantized again.
        self.must(*self.command(out, *options, "--resume"))
        same = json.loads((out / "quantize.json").read_text())
        self.assertEqual(after["evaluation"], same["evaluation"])
        self.assertEqual(after["plan"], same["plan"])
        self.must(*self.command(out, *options, "--eval-text", self.heldout, "--resume"))
        other = json.loads((out / "quantize.json").read_text())
        self.assertNotEqual(other["evaluation"]["tokens"], after["evaluation"]["tokens"])
        self.assertEqual(times, {path: path.stat().st_mtime_ns for path in times})

    def test_an_interrupt_keeps_finished_blocks(self):
        out = self.new()
        command = self.command(out, "--block-steps", 2000)
        self.end_when(command, out, (out / "quantize.json").exists, signal.SIGINT)
        self.assertEqual(self.status(out), "running")

    def test_a_write_that_fails_is_named_and_made_good(self):
        whole, out = self.new(), self.new()
        self.must(*self.command(whole, "--no-training"))
        command = self.command(out, "--no-training")

        def limit():  # of the size of a file, with the signal for it ignored
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
        result = subprocess.run([TERCET, *map(str, command)], capture_output=True, text=True,
                                check=False, preexec_fn=limit, restore_signals=False)
        self.assert_error(result, 4, "model-0000")
        self.assertEqual(self.status(out), "running")
        self.must(*command, "--resume")
        self.assert_same_weights(whole, out)


if __name__ == "__main__":
    unittest.main()
