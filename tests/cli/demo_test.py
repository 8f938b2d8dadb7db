# SPDX-License-Identifier: Apache-2.0
"""The demo, shortened to seconds: that it runs to its end on the embedded models and that its table
holds. Environment: TERCET, the path of the program. Works in the sources' directory."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

TERCET = os.environ["TERCET"]


class Demo(unittest.TestCase):
    def test_runs_through(self):
        with tempfile.TemporaryDirectory(prefix="tercet-demo-test-") as work:
            result = subprocess.run([TERCET, "demo", "--train-seconds", "2", "--sample-seconds", "4",
                                     "--work", work], capture_output=True, text=True,
                                    encoding="utf-8", errors="replace", timeout=240, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            out = result.stdout
            for heading in ("1  A text", "2  A tokenizer", "3  A ternary", "4  Packed", "5  The "):
                self.assertIn(heading, out)
            self.assertIn("compared code by code: identical", out)
            rows = [line for line in out.splitlines()
                    if re.match(r"  (ternary \(b1.58\)|full precision \(f16\)) .*\d$", line.rstrip())]
            self.assertEqual(len(rows), 2, out)
            # The last column is the perplexity: both models know English, the dense one better.
            ternary, twin = (float(row.split()[-1]) for row in rows)
            self.assertLess(twin, ternary)
            self.assertLess(ternary, 200.0)
            self.assertNotIn("\033", out)  # no colours where there is no terminal
            self.assertTrue((pathlib.Path(work) / "tiny.gguf").exists())

    def test_without_the_models_it_says_what_is_missing(self):
        with tempfile.TemporaryDirectory() as empty:
            copy = pathlib.Path(empty) / "tercet"
            copy.write_bytes(pathlib.Path(TERCET).read_bytes())
            copy.chmod(0o755)
            result = subprocess.run([copy, "demo"], cwd=empty, capture_output=True, text=True,
                                    timeout=60, check=False)
        self.assertEqual(result.returncode, 4)
        self.assertIn("models/novel-b158.gguf", result.stderr)


if __name__ == "__main__":
    unittest.main()
