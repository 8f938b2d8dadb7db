# SPDX-License-Identifier: Apache-2.0
"""`tercet quantize` on several ranks: that they reach what one process reaches, go on where others
were stopped, and that all end well when one is lost, stopped or too many.

Environment: TERCET, the path of the program.
"""

import json
import math
import os
import pathlib
import signal
import struct
import time
import unittest

from pretrain_support import run
from quantize_support import QuantizeCase
from ranks_support import children, finish, free_port, start, torchrun_variables


def codes(out):
    """Of each ternary map: the sign of every f16 value."""
    signs = {}
    for path in sorted(out.glob("model-*.safetensors")):
        content = path.read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8:8 + size])
        for name, entry in header.items():
            if not name.endswith("_proj.weight"):
                continue
            first, end = (8 + size + offset for offset in entry["data_offsets"])
            values = struct.unpack(f"<{(end - first) // 2}H", content[first:end])
            signs[name] = [0 if v & 0x7FFF == 0 else 1 - 2 * (v >> 15) for v in values]
    return signs


def share_of_different(one, other):
    different = total = 0
    for name, signs in one.items():
        different += sum(a != b for a, b in zip(signs, other[name], strict=True))
        total += len(signs)
    return different / total


class QuantizeRanks(QuantizeCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.one = cls.folder / "one"
        cls.summary = cls.quantize("--out", cls.one)

    def arguments(self, out, *options):
        return ("quantize", self.source, "--calib", self.calib, "--ctx", 64, "--threads", 1, "--out",
                out, *options)

    def by_hand(self, ranks, out, *options):
        """A run whose ranks are started one by one, as torchrun would."""
        port = free_port()
        return [start(*self.arguments(out, *options), **torchrun_variables(rank, ranks, port))
                for rank in range(ranks)]

    def assert_near(self, summary, reference, tolerance):
        ours, theirs = summary["evaluation"], reference["evaluation"]
        self.assertEqual(ours["tokens"], theirs["tokens"])
        self.assertAlmostEqual(ours["source_mean_nll"], theirs["source_mean_nll"], delta=1e-6)
        self.assertAlmostEqual(math.exp(ours["mean_nll"] - theirs["mean_nll"]), 1, delta=tolerance)

    def test_ranks_reach_what_one_reaches(self):
        for ranks in (2, 3):
            with self.subTest(ranks=ranks):
                out = self.new()
                summary = self.quantize("--ranks", ranks, "--out", out)
                self.assert_near(summary, self.summary, 1e-3)
                self.assertLess(share_of_different(codes(out), codes(self.one)), 1e-3)
                self.assertEqual(summary["plan"]["ranks"], ranks)
                for ours, theirs in zip(summary["layers"], self.summary["layers"], strict=True):
                    self.assertEqual(ours["name"], theirs["name"])
                    for mine, other in zip(ours["stages"], theirs["stages"], strict=True):
                        self.assertAlmostEqual(mine["relative_error"], other["relative_error"],
                                               delta=2e-3)
                # One process writes what another one can read.
                measured = json.loads(self.must("perplexity", summary["model"], "--text",
                                                self.heldout, "--ctx", 64, "--json").stdout)
                self.assertAlmostEqual(measured["mean_nll"], summary["evaluation"]["mean_nll"],
                                       delta=2e-3)

    def test_other_methods(self):
        for options in (("--method", "absmean"), ("--method", "gptq", "--group-size", 40),
                        ("--method", "pt2-llm", "--group-size", 40),
                        ("--group-size", "tensor", "--shrinkage", "auto"),
                        ("--max-memory", "4MB")):
            with self.subTest(options=options):
                one = self.quantize(*options, "--out", self.new())
                two = self.quantize(*options, "--ranks", 2, "--out", self.new())
                self.assert_near(two, one, 5e-3)

    def trained(self, steps, *options):
        result = self.must(*self.arguments(
            self.new(), "--eval-text", self.heldout, "--json", "--block-tokens", 320,
            "--tune-tokens", 320, "--block-steps", steps, "--tune-steps", steps, *options))
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return [line["kl"] for line in lines if line["event"] == "tuning"], lines[-1]

    def assert_same_course(self, steps, options, of_blocks, of_tuning):
        losses, one = self.trained(steps, *options)
        shared_losses, two = self.trained(steps, *options, "--ranks", 2)
        for ours, theirs in zip(two["layers"], one["layers"], strict=True):
            self.assertAlmostEqual(ours["block_loss"], theirs["block_loss"],
                                   delta=of_blocks * theirs["block_loss"])
        for ours, theirs in zip(shared_losses, losses, strict=True):
            self.assertAlmostEqual(ours, theirs, delta=of_tuning * theirs)
        return two, one

    def test_training_takes_the_same_steps(self):
        for loss in ("output", "predictions"):
            for precision in ("f32", "bf16"):
                with self.subTest(loss=loss, precision=precision):
                    options = ("--block-loss", loss, "--sweeps", 0, "--precision", precision)
                    # The last pass, ten steps on, may see one tipped code.
                    two, one = self.assert_same_course(5, options, 1e-5, 5e-3)
                    self.assert_near(two, one, 1e-3)

    def test_long_training_ends_near(self):
        # Sooner or later a sum in another order tips a code, on which all that follows depends;
        # measured are up to 0.03 of the losses.
        two, one = self.assert_same_course(
            20, ("--block-loss", "predictions", "--sweeps", 1), 0.1, 0.1)
        self.assert_near(two, one, 5e-3)
        self.assertLess(two["evaluation"]["mean_nll"], self.summary["evaluation"]["mean_nll"])

    def wait_for(self, path, processes):
        self.wait_until(path.exists, processes)

    def test_a_lost_rank_ends_the_others_and_any_number_continues(self):
        # The second block takes long enough to be in the middle of it.
        options = ("--block-steps", 300, "--block-tokens", 640, "--block-loss", "output",
                   "--tune-steps", 0)
        for lost in (0, 1):
            with self.subTest(lost=lost):
                out = self.new()
                ranks = self.by_hand(2, out, *options)
                self.wait_for(out / "model-00001-of-00003.safetensors", ranks)
                killed = time.monotonic()
                ranks[lost].kill()
                status, output = finish(ranks[1 - lost])
                self.assertLess(time.monotonic() - killed, 30)
                finish(ranks[lost])
                self.assertEqual(status, 4, output)
                lines = [line for line in output.splitlines() if "error:" in line]
                self.assertEqual(len(lines), 1, output)
                self.assertIn(f"rank {lost}", lines[0])
                self.assertIn("--resume", lines[0])
                self.assertFalse((out / "config.json").exists())
                first = (out / "model-00001-of-00003.safetensors").read_bytes()
                more = () if lost == 0 else ("--ranks", 3)
                self.must(*self.arguments(out, *options, "--resume", *more))
                self.assertEqual(first, (out / "model-00001-of-00003.safetensors").read_bytes())
                self.assertTrue((out / "model.gguf").exists())

    def test_stopping_one_rank_stops_all(self):
        out = self.new()
        options = ("--block-steps", 100000, "--tune-steps", 0)
        ranks = self.by_hand(2, out, *options)
        self.wait_for(out / "quantize.json", ranks)
        ranks[1].send_signal(signal.SIGTERM)
        endings = [finish(process) for process in ranks]
        self.assertEqual([status for status, _ in endings], [130, 130], endings)
        self.assertIn("--resume", endings[0][1])
        self.assertEqual(json.loads((out / "quantize.json").read_text())["status"], "running")

    def test_the_last_pass_goes_on_to_the_same_bits(self):
        options = ("--block-steps", 2, "--block-loss", "output", "--block-tokens", 128,
                   "--tune-steps", 400, "--tune-tokens", 128)
        whole, out = self.new(), self.new()
        self.must(*self.arguments(whole, *options, "--ranks", 2))
        parent = start(*self.arguments(out, *options, "--ranks", 2))
        self.wait_for(out / "tuning.safetensors", [parent])
        parent.send_signal(signal.SIGINT)
        status, output = finish(parent)
        self.assertEqual(status, 130, output)
        self.assertIn("of the last pass; --resume continues", output)
        self.assertFalse((out / "config.json").exists())
        self.must(*self.arguments(out, *options, "--resume", "--ranks", 2))
        for path in sorted(whole.glob("model-*.safetensors")):
            contents = [folder.joinpath(path.name).read_bytes() for folder in (whole, out)]
            one, other = (c[8 + struct.unpack("<Q", c[:8])[0]:] for c in contents)
            self.assertEqual(one, other, path.name)

    def test_the_process_that_started_ranks_looks_after_them(self):
        out = self.new()
        options = ("--block-steps", 100000, "--tune-steps", 0)
        parent = start(*self.arguments(out, *options, "--ranks", 2))
        self.wait_for(out / "quantize.json", [parent])
        parent.send_signal(signal.SIGINT)
        status, output = finish(parent)
        self.assertEqual(status, 130, output)
        self.assertEqual(output.count("error:"), 1, output)
        out = self.new()
        parent = start(*self.arguments(out, *options, "--ranks", 2))
        self.wait_for(out / "quantize.json", [parent])
        os.kill(children(parent)[1], signal.SIGKILL)
        status, output = finish(parent)
        self.assertEqual(status, 4, output)
        self.assertIn("rank 1", output)

    def test_launchers_variables_and_a_machine_without_the_output(self):
        out, port = self.new(), free_port()
        elsewhere = pathlib.Path(str(out) + "-not-here") / "out"
        common = ("--no-training", "--eval-text", self.heldout)
        ranks = [start(*self.arguments(out if rank == 0 else elsewhere, *common),
                       OMPI_COMM_WORLD_RANK=str(rank), OMPI_COMM_WORLD_SIZE="2",
                       OMPI_COMM_WORLD_LOCAL_SIZE="2", MASTER_PORT=port) for rank in (0, 1)]
        endings = [finish(process) for process in ranks]
        self.assertEqual([status for status, _ in endings], [0, 0], endings)
        self.assertEqual(endings[1][1], "")
        self.assertFalse(elsewhere.exists())
        evaluation = json.loads((out / "quantize.json").read_text())["evaluation"]
        self.assert_near({"evaluation": evaluation}, self.summary, 1e-3)

    def test_impossible_groups_are_refused(self):
        result = run(*self.arguments(self.new(), "--calib-tokens", 256, "--ranks", 5))
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stderr.count("error:"), 1, result.stderr)
        self.assertIn("5 ranks cannot share the 4 windows", result.stderr)
        plan = run(*self.arguments(self.new(), "--calib-tokens", 256, "--ranks", 5, "--dry-run"))
        self.assertIn("5 ranks", plan.stderr)
        alone = start(*self.arguments(self.new(), "--ranks", 2), RANK="0", WORLD_SIZE="4",
                      MASTER_ADDR="127.0.0.1")
        status, output = finish(alone)
        self.assertEqual(status, 2, output)
        self.assertIn("--ranks", output)

    def test_ranks_that_disagree_are_refused(self):
        other_text = self.folder / "other.txt"
        other_text.write_text(self.calib.read_text() + "And so on.\n")
        for options, word in ((("--flips", 3), "flip_rounds"),
                              (("--calib", other_text), "calibration text")):
            with self.subTest(options=options):
                out, port = self.new(), free_port()
                base = ["quantize", self.source, "--ctx", 64, "--no-training", "--out", out]
                ranks = []
                for rank in (0, 1):
                    given = options if rank == 1 else ()
                    calib = () if "--calib" in given else ("--calib", self.calib)
                    ranks.append(start(*base, *calib, *given, **torchrun_variables(rank, 2, port)))
                for process in ranks:
                    status, output = finish(process)
                    self.assertEqual(status, 2, output)
                    self.assertIn(word, output)
                self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
