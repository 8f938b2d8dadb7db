# SPDX-License-Identifier: Apache-2.0
"""`tercet pretrain` on the command line: what runs compute, write and show.

Environment: TERCET, the path of the program.
"""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import unittest

from pretrain_support import PretrainCase, TERCET, run


class Pretrain(PretrainCase):
    def test_it_learns(self):
        summary = json.loads((self.reference / "training.json").read_text())
        first = self.events(self.reference, "step")[0]["loss"]
        self.assertGreater(first, 5.0)
        self.assertLess(summary["validation_loss"], 0.6 * first)
        self.assertEqual(summary["tokens"], 60 * 8 * 32)
        self.assertEqual([e["step"] for e in self.events(self.reference, "eval")], [20, 40, 60])
        self.assertTrue(all(e["data_ms"] >= 0 for e in self.events(self.reference, "step")))

    def test_the_directory_packs_and_runs(self):
        model = self.new().with_suffix(".gguf")
        self.must("convert", self.reference, model, "--type", "trit5", "--rest-type", "f32",
                  "--verify")
        result = run("run", model, "-p", "In house 3 the dog", "-n", 8, "--temp", 0, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("text", json.loads(result.stdout))
        best = model.with_stem("best")
        self.must("convert", self.reference / "checkpoints/best", best, "--type", "trit5",
                  "--rest-type", "f32", "--verify")
        # The loss fell to the end, so that the best one is the last one; only its name is another.
        tensors = len(model.read_bytes()) // 2
        self.assertEqual(best.read_bytes()[-tensors:], model.read_bytes()[-tensors:])

    def test_the_same_recipe_gives_the_same_bits(self):
        out = self.new()
        self.must("pretrain", "--config", self.recipe, "--out", out)
        self.assert_same_as_reference(out)

    def test_f32_on_two_threads_repeats(self):
        runs = [self.new(), self.new()]
        for out in runs:
            self.must("pretrain", "--config", self.recipe, "--out", out, "--steps", 6,
                      "--precision", "f32", "--threads", 2)
        first, second = ((out / "model.safetensors").read_bytes() for out in runs)
        self.assertEqual(first, second)

    def curves(self, out):
        """The curves of the event file: tag -> [(step, value)], its checksums compared."""
        def crc32c(data):
            crc = 0xFFFFFFFF
            for byte in data:
                crc ^= byte
                for _ in range(8):
                    crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
            crc ^= 0xFFFFFFFF
            return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

        def fields(message):
            at = 0
            def varint():
                nonlocal at
                value = shift = 0
                while True:
                    byte = message[at]
                    at += 1
                    value |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        return value
            while at < len(message):
                key = varint()
                if key & 7 == 0:
                    yield key >> 3, varint()
                    continue
                size = {1: 8, 5: 4}.get(key & 7) or varint()
                yield key >> 3, message[at:at + size]
                at += size

        self.assertEqual(crc32c(b"123456789"),
                         ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF)
        data = (out / "events.out.tfevents.0.tercet").read_bytes()
        curves, at = {}, 0
        while at < len(data):
            length, check = struct.unpack_from("<QI", data, at)
            self.assertEqual(check, crc32c(data[at:at + 8]))
            message = data[at + 12:at + 12 + length]
            self.assertEqual(struct.unpack_from("<I", data, at + 12 + length)[0], crc32c(message))
            at += length + 16
            event = dict(fields(message))
            if 3 in event:
                self.assertEqual(event[3], b"brain.Event:2")
            for _, value in fields(event.get(5, b"")):
                point = dict(fields(value))
                curve = curves.setdefault(point[1].decode(), [])
                curve.append((event[2], struct.unpack("<f", point[2])[0]))
        return curves

    def test_event_files_hold_the_log(self):
        out = self.new()
        process = self.start(out)
        self.wait_for_checkpoint(out, process)
        process.kill()
        process.communicate()
        if process.returncode != 0:
            self.must("pretrain", "--out", out, "--resume")
        curves = self.curves(out)
        for tag, kind, field in (("loss/train", "step", "loss"),
                                 ("optimizer/learning_rate", "step", "learning_rate"),
                                 ("loss/validation", "eval", "validation_loss")):
            logged = [(e["step"], e[field]) for e in self.events(out, kind)]
            self.assertEqual([step for step, _ in curves[tag]], [step for step, _ in logged])
            for (_, value), (_, expected) in zip(curves[tag], logged):
                self.assertAlmostEqual(value, expected, delta=1e-6 * abs(expected))

    def test_recipes_are_printed_edited_and_run_again(self):
        printed = self.must("pretrain", "--preset", "1m", "--family", "b1", "--print-recipe").stdout
        recipe = json.loads(printed)
        self.assertEqual((recipe["linear"], recipe["hidden_size"]), ("b1", 128))
        file = self.folder / "printed.json"
        file.write_text(printed)
        again = self.must("pretrain", "--config", file, "--print-recipe").stdout
        self.assertEqual(again, printed)
        twin = json.loads(self.must("pretrain", "--config", file, "--family", "llama",
                                    "--print-recipe").stdout)
        self.assertEqual((twin["linear"], twin["schedule"]), ("dense", "cosine"))
        for options, on in ((("--recompute",), True), (("--recompute", "--seed", 7), True),
                            (("--recompute", "false"), False), ((), False)):
            recipe = json.loads(self.must("pretrain", "--config", file, *options,
                                          "--print-recipe").stdout)
            self.assertIs(recipe["recompute"], on)
        self.assert_error(run("pretrain", "--recompute", "maybe"), 2, "--recompute")
        self.assert_error(run("pretrain", "--preset", "2m", "--print-recipe"), 2, "1m, 3m")
        self.assert_error(run("pretrain", "--preset", "1m"), 2, "--out")
        self.assert_error(run("pretrain", "--out", self.new(), "--resume", "--print-recipe"), 2,
                          "--print-recipe")

    def test_b1_learns_packs_and_runs(self):
        out = self.new()
        self.must("pretrain", "--config", self.recipe, "--out", out, "--family", "b1",
                  "--checkpoint-every", 0)
        losses = [e["loss"] for e in self.events(out, "step")]
        self.assertLess(losses[-1], losses[0] - 0.3)
        packed = out.parent / "b1.gguf"
        converted = self.must("convert", out, packed, "--rest-type", "f32", "--verify")
        self.assertIn("sign8", converted.stdout + converted.stderr)
        self.must("run", packed, "-p", "The ", "-n", 4)

    def test_variants_learn_pack_and_run(self):
        cases = {"a4.8": (("--activation-bits", 4, "--o-proj-top-k", 0.5, "--a8-steps", 30), "trit5"),
                 "v2": (("--activation-bits", 4, "--hadamard", "true"), "trit5"),
                 "groups": (("--family", "b1", "--quant-groups", 4, "--shifted-gate-input", "true",
                             "--checkpoint-every", 0), "sign8")}
        for name, (options, stored) in cases.items():
            with self.subTest(name):
                out = self.new()
                self.must("pretrain", "--config", self.recipe, "--out", out, *options)
                losses = [e["loss"] for e in self.events(out, "step")]
                self.assertLess(losses[-1], losses[0] - 0.5)
                self.assertEqual(json.loads((out / "config.json").read_text())["model_type"],
                                 "tercet")
                packed = out.parent / "packed.gguf"
                converted = self.must("convert", out, packed, "--rest-type", "f32", "--verify")
                self.assertIn(stored, converted.stdout + converted.stderr)
                self.must("run", packed, "-p", "The ", "-n", 4)

    def test_rounding_fades_in(self):
        out = self.new()
        options = ("--lambda-start-step", 20, "--lambda-warmup-steps", 10)
        self.must("pretrain", "--config", self.recipe, "--out", out, *options)
        shares = [e.get("quantized_share", 1) for e in self.events(out, "step")]
        self.assertEqual(shares[:21], [0] * 21)
        self.assertEqual(shares[25], 0.5)
        self.assertEqual(shares[30:], [1] * 30)
        self.assertFalse(self.events(out, "skip"))
        evals = self.events(out, "eval")
        # Dense weights do badly when they are rounded, and the evaluation says so.
        self.assertGreater(evals[0]["validation_loss"], evals[0]["loss_as_trained"] + 0.01)
        self.assertNotIn("loss_as_trained", evals[-1])
        self.assertLess(evals[-1]["validation_loss"], 0.7 * self.events(out, "step")[0]["loss"])
        # Killed in the middle, it goes on to the same bits.
        again = self.new()
        process = self.start(again, *map(str, options))
        self.wait_for_checkpoint(again, process)
        process.kill()
        process.communicate()
        if process.returncode != 0:
            self.must("pretrain", "--out", again, "--resume")
        self.assertEqual((again / "model.safetensors").read_bytes(),
                         (out / "model.safetensors").read_bytes())

    def test_a_dense_model_becomes_ternary(self):
        dense = self.new()
        self.must("pretrain", "--config", self.recipe, "--out", dense, "--family", "llama",
                  "--precision", "f32")
        trained = self.events(dense, "eval")[-1]["validation_loss"]
        out = self.new()
        # Its shape comes from the model; so do norms and activation.
        self.must("pretrain", "--init-from", dense, "--data", self.folder / "data",
                  "--sequence-length", 32, "--batch-size", 8, "--steps", 40, "--warmup-steps", 0,
                  "--learning-rate", 0.01, "--lambda-warmup-steps", 20, "--eval-tokens", 256,
                  "--precision", "f32", "--threads", 1, "--checkpoint-every", 10, "--out", out)
        config = json.loads((out / "config.json").read_text())
        self.assertEqual((config["model_type"], config["hidden_size"], config["hidden_act"]),
                         ("llama", 64, "silu"))
        self.assertEqual(config["quantization_config"]["quantization_mode"], "online")
        steps = self.events(out, "step")
        self.assertLess(abs(steps[0]["loss"] - trained), 0.3)
        self.assertLess(self.events(out, "eval")[-1]["validation_loss"], trained + 1.0)
        self.assertFalse(self.events(out, "start")[0]["kept_optimizer"])
        # It goes on without the model that it came from.
        for directory in sorted(out.glob("checkpoints/step-*"))[1:]:
            shutil.rmtree(directory)
        expected = (out / "model.safetensors").read_bytes()
        shutil.rmtree(dense)
        self.must("pretrain", "--out", out, "--resume")
        self.assertEqual((out / "model.safetensors").read_bytes(), expected)
        self.must("convert", out, out.parent / "ternary.gguf", "--verify")

    def test_a_checkpoint_starts_another_run(self):
        checkpoint = sorted(self.reference.glob("checkpoints/step-*"))[-1]
        common = ("--config", self.recipe, "--steps", 3, "--warmup-steps", 0, "--learning-rate", 1e-4)
        begin = (*common, "--init-from", checkpoint)
        kept, fresh = self.new(), self.new()
        self.must("pretrain", *begin, "--out", kept)
        self.must("pretrain", *begin, "--out", fresh, "--keep-optimizer", "false")
        self.assertTrue(self.events(kept, "start")[0]["kept_optimizer"])
        self.assertFalse(self.events(fresh, "start")[0]["kept_optimizer"])
        first = [self.events(out, "step")[0]["loss"] for out in (kept, fresh)]
        self.assertEqual(first[0], first[1])
        self.assertLess(first[0], self.events(self.reference, "step")[0]["loss"] - 1)
        self.assertNotEqual((kept / "model.safetensors").read_bytes(),
                            (fresh / "model.safetensors").read_bytes())
        damaged = self.new()
        shutil.copytree(checkpoint, damaged)
        with open(damaged / "optimizer.safetensors", "r+b") as file:
            file.truncate(1000)
        self.assert_error(run("pretrain", *common, "--init-from", damaged, "--out", self.new()), 3,
                          damaged / "optimizer.safetensors")
        normed = self.new()
        self.must("pretrain", *begin, "--norm", "sub", "--out", normed)
        for options, code, word in (
                ((*begin, "--hidden-size", 128), 2, "hidden_size"),
                ((*begin, "--hidden-act", "relu2"), 2, "hidden_act"),
                ((*common, "--init-from", normed, "--norm", "pre"), 2, "attn_sub_norm"),
                ((*common, "--init-from", self.folder / "nowhere"), 4, "nowhere")):
            with self.subTest(options=options):
                self.assert_error(run("pretrain", *options, "--out", self.new()), code, word)

    def test_json_lines(self):
        out = self.new()
        result = self.must("pretrain", "--config", self.recipe, "--out", out, "--steps", 3,
                           "--warmup-steps", 0, "--json")
        events = [json.loads(line)["event"] for line in result.stdout.splitlines()]
        self.assertEqual(events, ["start", "step", "step", "step", "eval", "done"])

    def on_terminal(self, columns, **environment):
        """What a run writes to a terminal of so many columns, and its directory."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        out = self.new()
        process = subprocess.Popen(
            [TERCET, "pretrain", "--config", str(self.recipe), "--out", str(out),
             "--spike-deviations", "1e-9"], stdout=subprocess.DEVNULL, stderr=slave,
            env={**{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
                 "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment})
        os.close(slave)
        written = b""
        try:
            while block := os.read(master, 65536):
                written += block
        except OSError:
            pass  # the other end is closed
        os.close(master)
        self.assertEqual(process.wait(), 0, written)
        return written.decode(), out

    def test_the_live_line_on_a_terminal(self):
        for columns, environment in ((100, {}), (40, {"NO_COLOR": "1", "LC_ALL": "C"})):
            text, out = self.on_terminal(columns, **environment)
            plain = re.sub("\x1b\\[[0-9]*m", "", text)
            self.assertEqual(plain == text, "NO_COLOR" in environment)
            drawn = re.findall("\r([^\r\n\x1b]+)\x1b\\[K", plain)
            self.assertTrue(drawn)
            for line in drawn:
                self.assertLess(len(line), columns)
                self.assertEqual(line.isascii(), columns == 40 or "first step" in line)
            self.assertRegex(drawn[-1], r"^60/60 .*loss \d+\.\d+")
            self.assertRegex("".join(drawn), r"^0/60 ")
            # Lasting lines, each from the start of a cleared line.
            lasting = re.findall("(?:\r\x1b\\[K|^)([^\r\n\x1b]+)\r\n", plain)
            for kind, word in (("eval", "validation loss"), ("sample", "sample: "),
                               ("skip", "skipped")):
                self.assertEqual(len([line for line in lasting if word in line]),
                                 len(self.events(out, kind)), kind)
            # Nothing of the line stays behind.
            self.assertRegex(plain, "\r\x1b\\[K$")


if __name__ == "__main__":
    unittest.main()
