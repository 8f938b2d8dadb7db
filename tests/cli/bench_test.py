# SPDX-License-Identifier: Apache-2.0
"""`tercet bench`: the fields that the command line contract names, usage errors and Ctrl-C. Nothing
here is held against a clock.

Environment: TERCET and MAKE_TEST_MODEL, the paths of the two programs.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

TERCET = os.environ["TERCET"]


def run(*arguments, env=None):
    return subprocess.run([TERCET, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, **(env or {})}, timeout=120, check=False)


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-bench-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        subprocess.run([os.environ["MAKE_TEST_MODEL"], cls.folder], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.model = cls.folder / "model.gguf"
        made = run("convert", cls.folder / "b158", cls.model, "--type", "trit5")
        assert made.returncode == 0, made.stderr

    def measure(self, *options, p=70, n=3, env=None):
        result = run("bench", self.model, "-p", p, "-n", n, "-r", 2, *options, "--json", env=env)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def assert_error(self, result, code, *words):
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)

    def test_json_has_the_fields_of_the_contract(self):
        report = self.measure("-t", "1,2")
        self.assertEqual(report["model"], str(self.model))
        self.assertEqual(report["model_bytes"], self.model.stat().st_size)
        self.assertEqual((report["prompt_tokens"], report["generated_tokens"]), (70, 3))
        self.assertGreaterEqual(report["peak_rss_bytes"], report["rss_after_load_bytes"])
        self.assertGreater(report["rss_after_load_bytes"], 0)
        # The buffer of the memory readings is not counted as the model's.
        self.assertLess(report["peak_rss_bytes"], 256 << 20)
        self.assertGreater(report["load_seconds"], 0)
        self.assertTrue(report["cpu"] and report["isa"] and report["version"])
        self.assertEqual([line["threads"] for line in report["results"]], [1, 2])
        for line in report["results"]:
            self.assertEqual(len(line["samples"]), 2)
            for field in ("pp_tokens_per_s", "tg_tokens_per_s", "memory_gb_per_s",
                          "bandwidth_share", "weights_gb_per_s", "pp_int8_macs_per_s",
                          "dot_peak_macs_per_s", "dot_share"):
                spread = line[field]
                self.assertLess(0, spread["min"], field)
                self.assertLessEqual(spread["min"], spread["median"], field)
                self.assertLessEqual(spread["median"], spread["max"], field)

    def test_what_a_token_costs_follows_from_the_shape(self):
        info = json.loads(run("inspect", self.model, "--json").stdout)
        report = self.measure("-t", "1")
        self.assertEqual(report["int8_macs_per_token"], info["model"]["linear_parameters"])
        # Whole panels of rows are read; tiny matrices do not fill them.
        self.assertLessEqual(report["weight_bytes_per_token"], 2 * info["model"]["weight_bytes"])
        self.assertGreater(report["weight_bytes_per_token"], report["head_bytes_per_token"])

    def test_either_half_can_be_left_out(self):
        line = self.measure("-t", "1", n=0)["results"][0]
        self.assertNotIn("tg_tokens_per_s", line)
        self.assertIn("pp_tokens_per_s", line)
        line = self.measure("-t", "1", p=0)["results"][0]
        self.assertNotIn("pp_tokens_per_s", line)
        self.assertIn("tg_tokens_per_s", line)

    def test_sequences_generate_together(self):
        one = self.measure("-t", "1", p=0)
        four = self.measure("-t", "1", "-b", 4, p=0)
        self.assertEqual((one["batch"], four["batch"]), (1, 4))
        # The weights are read once for all four.
        line = four["results"][0]
        read = line["tg_tokens_per_s"]["median"] * four["weight_bytes_per_token"] / 4e9
        self.assertAlmostEqual(line["weights_gb_per_s"]["median"], read, delta=read / 100)
        self.assert_error(run("bench", self.model, "-b", 0), 2, "--batch")

    def test_the_isa_is_the_one_forced(self):
        report = self.measure("-t", "1", env={"TERCET_ISA": "scalar"})
        self.assertEqual((report["isa"], report["dot_instruction"]), ("scalar", "multiply + add"))

    def test_a_table_for_people(self):
        result = run("bench", self.model, "-p", 8, "-n", 2, "-r", 1, "-t", 1)
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in ("prompt tokens/s", "generated tokens/s", "memory GB/s", "1 repetition:"):
            self.assertIn(words, result.stdout)

    def test_a_shape_needs_no_file(self):
        result = run("bench", "--shape", "700m", "--distinct-layers", 1, "-p", 4, "-n", 1, "-r", 1,
                     "--type", "trit4", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual((report["layers"], report["distinct_layers"]), (24, 1))
        self.assertGreater(report["model_bytes"], report["weight_bytes_per_token"])
        self.assert_error(run("bench", "--shape", "8b"), 2, "'8b'", "2b4t", "70b")
        self.assert_error(run("bench", self.model, "--shape", "700m"), 2, "MODEL", "--shape")
        self.assert_error(run("bench", "--shape", "700m", "--type", "q9"), 2, "q9", "trit5")

    def test_synthesize_writes_a_model_that_runs(self):
        target = self.folder / "synthetic.gguf"
        made = run("synthesize", "700m", target, "--type", "tq2_0", "--seed", 3, "--json")
        self.assertEqual(made.returncode, 0, made.stderr)
        report = json.loads(made.stdout)
        self.assertEqual((report["architecture"], report["seed"]), ("bitnet", 3))
        self.assertEqual(report["file_bytes"], target.stat().st_size)
        text = run("run", target, "-p", "A", "-n", 1, "--temp", 0, "-q")
        self.assertEqual(text.returncode, 0, text.stderr)
        target.unlink()
        self.assert_error(run("synthesize", "8b", target), 2, "'8b'", "2b4t")
        self.assert_error(run("synthesize", "3b", target, "--type", "tq2_0"), 2, "3200", "trit5")
        self.assert_error(run("synthesize", "700m", self.folder), 2, "directory")
        self.assertFalse(target.exists())
        self.assertIn("tercet synthesize", run("synthesize", "--help").stdout.split("Example")[1])

    def test_the_bounds_of_the_machine_alone(self):
        result = run("bench", "--machine", "-t", "1,2", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = json.loads(result.stdout)["results"]
        self.assertEqual([line["threads"] for line in lines], [1, 2])
        for line in lines:
            self.assertGreater(line["memory_gb_per_s"], 0)
            self.assertGreaterEqual(line["memory_best_gb_per_s"], line["memory_gb_per_s"])
            self.assertGreater(line["dot_peak_macs_per_s"], 0)
        self.assertIn("memory GB/s", run("bench", "--machine", "-t", "1").stdout)

    def test_usage_errors(self):
        self.assert_error(run("bench"), 2, "MODEL")
        self.assert_error(run("bench", self.model, "-p", 0, "-n", 0), 2, "-p", "-n")
        self.assert_error(run("bench", self.model, "-p", 1 << 29, "--force"), 2, "-p", 1 << 29)
        self.assert_error(run("bench", self.model, "-n", -1), 2, "--generated-tokens")
        self.assert_error(run("bench", self.model, "-t", "1,0"), 2, "--threads")
        self.assert_error(run("bench", self.model, "-t", "two"), 2, "--threads")
        self.assert_error(run("bench", self.model, "-r", 0), 2, "--repetitions")
        self.assert_error(run("bench", self.folder / "gone.gguf"), 4, "gone.gguf")
        help_text = run("bench", "--help").stdout
        self.assertIn("tercet bench", help_text.split("Example")[1])

    @staticmethod
    def catches_interrupts(process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        caught = int(re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE).group(1), 16)
        return caught >> (signal.SIGINT - 1) & 1 != 0

    def test_ctrl_c_ends_cleanly(self):
        with subprocess.Popen([TERCET, "bench", self.model, "-r", "10000", "-t", "1"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while not self.catches_interrupts(process) and process.poll() is None:
                time.sleep(0.01)
            time.sleep(1)  # in the middle of it, most likely
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, output), (130, b""), errors)
        self.assertIn(b"tercet: interrupted", errors)


if __name__ == "__main__":
    unittest.main()
