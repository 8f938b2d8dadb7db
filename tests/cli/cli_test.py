# SPDX-License-Identifier: Apache-2.0
"""The command line contract, held against the built program: exit codes, one line per error, valid
JSON, and what happens with damaged files, closed pipes, full disks and Ctrl-C.

Environment: TERCET and MAKE_TEST_MODEL, the paths of the two programs.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import unittest

TERCET = os.environ["TERCET"]
TEXT = "The light house stood alone upon a rock, and the sailor sang softly.\n" * 20


def run(*arguments, program=TERCET, text=None, env=None, stdout=subprocess.PIPE, timeout=120):
    return subprocess.run([program, *map(str, arguments)], input=text, stdout=stdout,
                          stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, text=True,
                          encoding="utf-8", timeout=timeout, check=False)


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-cli-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        subprocess.run([os.environ["MAKE_TEST_MODEL"], cls.folder], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.source = cls.folder / "b158"
        cls.model = cls.folder / "model.gguf"
        # f32 outside the linear maps, so that directory and file compute the same.
        made = run("convert", cls.source, cls.model, "--type", "trit5", "--rest-type", "f32")
        assert made.returncode == 0, made.stderr
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(TEXT, encoding="utf-8")

    def assert_error(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        self.assertTrue(lines[0].startswith("tercet: error: "), lines[0])
        for word in words:
            self.assertIn(str(word), lines[0])

    def json_of(self, *arguments, **options):
        result = run(*arguments, "--json", **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def generate(self, model, *options, **keywords):
        return self.json_of("run", model, "-p", "The light", "-n", 24, *options, **keywords)

    # Usage

    def test_help_of_every_command_has_an_example(self):
        for command in ("run", "perplexity", "convert", "inspect", "tokenize", "doctor"):
            result = run(command, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertIn(f"tercet {command}", result.stdout.split("Example")[1])
        self.assertIn("pretrain", run("--help").stdout)
        self.assertTrue(run("--version").stdout.startswith("tercet "))

    def test_usage_errors(self):
        self.assert_error(run(), 2, "--help")
        self.assert_error(run("rnu"), 2, "did you mean 'run'?")
        self.assert_error(run("run", "--frobnicate"), 2, "--frobnicate", "tercet run --help")
        self.assert_error(run("run", self.model, "--temp", "hot"), 2, "--temp")
        self.assert_error(run("run", self.model, "--temp", "-1"), 2, "--temp is -1")
        self.assert_error(run("run", self.model, "--top-p", "0"), 2, "--top-p")
        self.assert_error(run("run", self.model, "-t", "0"), 2, "--threads")
        self.assert_error(run("run", self.model, "-p", "a", "-f", "b"), 2, "--prompt", "--file")
        self.assert_error(run("run"), 2, "MODEL")
        self.assert_error(run("run", self.model, "-n", "0"), 2, "-n")
        self.assert_error(run("perplexity", self.model), 2, "--text")
        self.assert_error(run("convert", self.source, self.model, "--type", "q9"), 2, "q9")

    def test_the_context_is_never_cut_silently(self):
        result = run("run", self.model, "-p", "The light", "-n", 64, "-c", 32)
        self.assert_error(result, 2, 64, 32, "-c")
        result = run("run", self.model, "-n", 200000, "-p", "The light")
        self.assert_error(result, 2, 200000, 1 << 17)
        self.assert_error(run("run", self.model, "-c", 1 << 20), 2, 1 << 20)

    def test_an_unknown_isa_is_refused(self):
        self.assert_error(run("run", self.model, "-n", 1, env={"TERCET_ISA": "mmx"}), 2, "mmx")
        report = self.json_of("doctor", env={"TERCET_ISA": "mmx"})
        self.assertIn("mmx", report["problems"][0])
        self.generate(self.model, env={"TERCET_ISA": report["isas"][-1]["name"]})

    # Bad files

    def test_missing_files(self):
        gone = self.folder / "gone.gguf"
        for command in (("run", gone), ("inspect", gone), ("tokenize", gone, "a"),
                        ("convert", gone, self.folder / "out.gguf"),
                        ("perplexity", gone, "--text", self.text),
                        ("perplexity", self.model, "--text", gone),
                        ("run", self.model, "-f", gone)):
            self.assert_error(run(*command), 4, gone)

    def test_files_that_are_no_model(self):
        self.assert_error(run("run", self.text), 3, self.text)
        self.assert_error(run("inspect", self.text), 3, self.text)
        empty = self.folder / "empty.gguf"
        empty.write_bytes(b"")
        self.assert_error(run("run", empty), 3, empty)
        folder = self.folder / "no model"
        folder.mkdir(exist_ok=True)
        self.assertIn(run("run", folder).returncode, (3, 4))

    def test_failed_downloads_and_other_formats_are_named(self):
        # What lies under a model's name, what doctor calls it, words of the error.
        files = {"page.gguf": (b"<!DOCTYPE html><html>", "an HTML page", "download"),
                 "lfs.gguf": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
                              "a git-lfs pointer", "git lfs pull"),
                 "packed.gguf": (b"\x1f\x8b\x08\0", "compressed by gzip", "unpack"),
                 "model.zip": (b"PK\3\4" + bytes(30), "a zip archive", "unpack"),
                 "pytorch_model.bin": (b"\x80\x02\x8a\x0a", "a pickle", "run code"),
                 "empty.gguf": (b"", "empty", "download"),
                 "missing.gguf": (b"Entry not found", "text that begins with", "download")}
        for name, (content, what, advice) in files.items():
            path = self.folder / name
            path.write_bytes(content)
            for command in ("run", "inspect"):
                self.assert_error(run(command, path), 3, path, what, advice)
            report = self.json_of("doctor", path)["files"][0]
            self.assertFalse(report["can_run"])
            self.assertIn(what, report["what"])
            self.assertIn(advice, report["reason"])
            path.unlink()

    def test_doctor_says_whether_a_file_can_run_here(self):
        tokenizer = self.source / "tokenizer.model"
        report = self.json_of("doctor", self.model, self.source, tokenizer, self.folder,
                              self.source / "config.json", self.source / "model.safetensors")
        model, source, pieces, folder, config, weights = report["files"]
        for runnable in (model, source):
            self.assertTrue(runnable["can_run"], runnable)
            memory = runnable["memory"]
            self.assertEqual([c["context"] for c in memory["contexts"]], [2048, 1 << 17])
            self.assertEqual(memory["contexts"][0]["bytes"],
                             memory["weight_bytes"] + 2048 * memory["kv_bytes_per_token"] +
                             (64 << 20))
        self.assertLess(abs(model["memory"]["weight_bytes"] /
                            self.json_of("inspect", self.model)["model"]["weight_bytes"] - 1), 0.01)
        self.assertEqual((pieces["kind"], pieces["can_run"]), ("tokenizer", False))
        self.assertIn(".gguf'; give that file", folder["reason"])
        self.assertIn("configuration", config["what"])
        self.assertIn("directory", weights["reason"])
        self.assertIn("can it run      yes", run("doctor", self.model).stdout)
        self.assert_error(run("doctor", self.folder / "gone"), 4, "gone")

    def test_a_model_that_does_not_fit_is_refused_before_it_is_read(self):
        # Keys and values of 2^30 positions, the most that there may be: 256 GiB.
        if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 256 << 30:
            self.skipTest("it fits into this machine")
        folder = self.folder / "long"
        shutil.copytree(self.source, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["max_position_embeddings"] = 1 << 30
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self.assert_error(run("run", folder, "-c", 1 << 30), 3, "does not fit", "--ctx", "--force")
        usual, longest = self.json_of("doctor", folder)["files"][0]["memory"]["contexts"]
        self.assertEqual((usual["fits"], longest["fits"]), (True, False))
        self.assertEqual(run("run", folder, "-p", "The", "-n", 2, "--force").returncode, 0)
        shutil.rmtree(folder)

    def test_a_cut_model_is_refused_by_name(self):
        whole = self.model.read_bytes()
        cut = self.folder / "cut.gguf"
        for size in (3, 4, 11, 24, 100, len(whole) // 2, len(whole) - 1):
            cut.write_bytes(whole[:size])
            self.assert_error(run("run", cut, "-n", 1), 3, cut)

    def test_a_damaged_model_never_crashes(self):
        whole = self.model.read_bytes()
        damaged = self.folder / "damaged.gguf"
        generator = random.Random(1)
        for _ in range(40):
            data = bytearray(whole)
            # Half of the damage where all the counts are.
            limit = 400 if generator.random() < 0.5 else len(data)
            data[generator.randrange(limit)] ^= 1 << generator.randrange(8)
            damaged.write_bytes(data)
            result = run("run", damaged, "-n", 2, "-c", 64, "-t", 1)
            self.assertIn(result.returncode, (0, 2, 3), result.stderr)
            if result.returncode != 0:
                self.assertIn("tercet: error: ", result.stderr)

    def test_an_empty_text_is_refused(self):
        empty = self.folder / "empty.txt"
        empty.write_text("", encoding="utf-8")
        self.assert_error(run("perplexity", self.model, "--text", empty), 3, empty)

    # Running

    def test_run_prints_text_and_statistics_apart(self):
        result = run("run", self.model, "-p", "The light", "-n", 8, "--seed", 1)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(result.stdout.endswith("\n"))
        self.assertIn("8 generated", result.stderr)
        quiet = run("run", self.model, "-p", "The light", "-n", 8, "--seed", 1, "-q")
        self.assertEqual((quiet.stdout, quiet.stderr), (result.stdout, ""))
        echoed = run("run", self.model, "-p", "The light", "-n", 8, "--seed", 1, "--echo")
        self.assertEqual(echoed.stdout, "The light" + result.stdout)
        reported = self.json_of("run", self.model, "-p", "The light", "-n", 8, "--seed", 1)
        self.assertEqual(reported["text"] + "\n", result.stdout)
        self.assertEqual(reported["generated_tokens"], 8)

    def test_the_same_seed_gives_the_same_text(self):
        first = self.generate(self.model, "--seed", 5, "-t", 1)
        self.assertEqual(first["text"], self.generate(self.model, "--seed", 5, "-t", 2)["text"])
        others = {self.generate(self.model, "--seed", seed)["text"] for seed in range(3)}
        self.assertGreater(len(others), 1)

    def test_directory_and_file_say_the_same(self):
        expected = self.generate(self.source, "--temp", 0)["text"]
        self.assertEqual(self.generate(self.model, "--temp", 0)["text"], expected)
        other = self.folder / "trit4.gguf"
        self.json_of("convert", self.model, other, "--type", "trit4", "--rest-type", "f32")
        self.assertEqual(self.generate(other, "--temp", 0)["text"], expected)

    def test_prompts_from_files_and_standard_input(self):
        expected = self.generate(self.model, "--temp", 0)["text"]
        prompt = self.folder / "prompt.txt"
        prompt.write_text("The light\n", encoding="utf-8")
        arguments = ("run", self.model, "-n", 24, "--temp", 0)
        self.assertEqual(self.json_of(*arguments, "-f", prompt)["text"], expected)
        self.assertEqual(self.json_of(*arguments, "-f", "-", text="The light\n")["text"], expected)

    def test_an_empty_prompt_begins_a_text(self):
        report = self.json_of("run", self.model, "-p", "", "-n", 4)
        self.assertEqual(report["prompt_tokens"], 1)
        bad_bytes = self.folder / "bytes.txt"
        bad_bytes.write_bytes(b"\xff\xfe\x00\x80 light")
        self.json_of("run", self.model, "-f", bad_bytes, "-n", 4)

    def test_ctrl_c_ends_cleanly(self):
        with subprocess.Popen([TERCET, "run", self.model, "-n", "100000", "--ignore-eos", "-t", "1"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(20)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn(b"tercet: interrupted after", errors)

    def test_a_closed_pipe_ends_quietly(self):
        with subprocess.Popen([TERCET, "run", self.model, "-n", "100000", "--ignore-eos", "-q"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(20)
            process.stdout.close()
            errors = process.stderr.read()
            process.wait(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGPIPE)
        self.assertEqual(errors, b"")

    def test_a_full_disk_is_reported(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for command in (("inspect", self.model), ("run", self.model, "-n", "4", "--json")):
                result = run(*command, stdout=full)
                self.assertEqual(result.returncode, 4, result.stderr)
                self.assertIn("standard output", result.stderr)

    # Measuring and converting

    def test_perplexity(self):
        report = self.json_of("perplexity", self.model, "--text", self.text, "--ctx", 32,
                              "--limit-tokens", 200)
        self.assertEqual(report["ctx"], 32)
        self.assertGreater(report["perplexity"], 1)
        self.assertGreater(report["bits_per_byte"], 0)
        self.assertEqual(report["tokens"], 200)  # BOS before every window: each token counts
        again = self.json_of("perplexity", self.model, "--text", "-", "--ctx", 32,
                             "--limit-tokens", 200, text=TEXT)
        self.assertEqual(again["mean_nll"], report["mean_nll"])
        table = run("perplexity", self.model, "--text", self.text, "--limit-tokens", 50)
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertIn("bits per byte", table.stdout)

    def test_perplexity_against_a_reference(self):
        report = self.json_of("perplexity", self.model, "--text", self.text, "--limit-tokens", 60,
                              "--reference", self.model)
        self.assertEqual(report["kl_divergence_mean"], 0)
        self.assertEqual(report["top1_agreement"], 1)
        other = self.json_of("perplexity", self.model, "--text", self.text, "--limit-tokens", 60,
                             "--reference", self.folder / "dense")
        self.assertGreater(other["kl_divergence_mean"], 0)
        self.assertLess(other["top1_agreement"], 1)

    def test_convert_verifies_and_reports(self):
        target = self.folder / "verified.gguf"
        report = self.json_of("convert", self.source, target, "--type", "trit5", "--rest-type",
                              "f32", "--verify")
        self.assertTrue(report["verify"]["ternary_equal"])
        self.assertGreater(report["verify"]["ternary_tensors"], 0)
        self.assertTrue(report["verify"]["lossless"])
        self.assertLess(report["verify"]["relative_rms_max"], 1e-6)
        self.assertEqual(report["file_bytes"], target.stat().st_size)

    def test_convert_writes_directories(self):
        packed = self.folder / "packed"
        report = self.json_of("convert", self.model, f"{packed}/", "--rest-type", "f32", "--verify")
        self.assertEqual(report["type"], "packed")
        self.assertTrue(report["verify"]["ternary_equal"])
        self.assertEqual(self.json_of("inspect", packed)["types"]["packed"]["tensors"], 14)
        back = self.json_of("convert", packed, self.folder / "back.gguf", "--type", "trit4",
                            "--rest-type", "f32", "--verify")
        self.assertTrue(back["verify"]["ternary_equal"])
        self.assert_error(run("convert", self.model, packed), 2, "with files in it")
        self.assert_error(run("convert", self.model, self.folder / "x", "--type", "packed",
                              "--format", "gguf"), 2, "--format hf")
        self.assert_error(run("convert", self.model, self.folder / "x", "--type", "q9"), 2, "q2_0")
        for name in ("x", "x-b1.58", "x" * 300):
            self.assert_error(run("convert", self.model, self.folder / name), 2, f"{name}.gguf'",
                              f"{name}/'")

    def test_convert_leaves_nothing_behind_when_it_fails(self):
        target = self.folder / "absent" / "out.gguf"
        self.assert_error(run("convert", self.source, target), 4, "absent")
        result = run("convert", self.folder / "dense", self.folder / "x.gguf", "--type", "trit5")
        self.assert_error(result, 2, "trit5")
        self.assertEqual(list(self.folder.glob("x.gguf*")), [])
        self.assert_error(run("convert", self.model, self.model), 2, self.model)

    def test_inspect(self):
        for path, form in ((self.model, "GGUF v3"), (self.source, "HF directory"),
                           (self.source / "model.safetensors", "safetensors")):
            report = self.json_of("inspect", path)
            self.assertEqual(report["format"], form)
            self.assertGreater(len(report["tensors"]), 10)
            table = run("inspect", path)
            self.assertEqual(table.returncode, 0, table.stderr)
            self.assertIn(form, table.stdout)
        self.assertEqual(self.json_of("inspect", self.model)["model"]["config"]["linear"], "b1.58")

    def test_tokenize(self):
        for path in (self.model, self.source, self.source / "tokenizer.model"):
            report = self.json_of("tokenize", path, "The light house")
            self.assertEqual(report["count"], len(report["ids"]))
            self.assertIn("light", "".join(report["pieces"]))
            ids = run("tokenize", path, "--ids", text="The light house").stdout.split()
            self.assertEqual([int(i) for i in ids], report["ids"])
        self.assertEqual(self.json_of("tokenize", self.model, "")["ids"], [])

    def test_tokenize_shows_decodes_and_works_line_by_line(self):
        shown = run("tokenize", self.model, "The light\n\x01<s>").stdout
        self.assertIn("\u2423", shown)  # a space
        self.assertIn("\\n", shown)
        self.assertIn("\\x01", shown)
        special = self.json_of("tokenize", self.model, "a<s>", "--special")["ids"]
        self.assertIn(1, special)
        self.assertNotIn(1, self.json_of("tokenize", self.model, "a<s>")["ids"])
        ids = run("tokenize", self.model, "--ids", "The light house").stdout
        self.assertEqual(run("tokenize", self.model, "--decode", ids).stdout, "The light house\n")
        self.assertEqual(self.json_of("tokenize", self.model, "--decode", ids)["text"],
                         "The light house")
        for wrong in ("1 x", "999999", "-1", "99999999999"):
            self.assertEqual(run("tokenize", self.model, "--decode", text=wrong).returncode, 3)
        lines = run("tokenize", self.model, "--lines", "--json", text="The light\n\nhouse").stdout
        documents = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual([document["text"] for document in documents], ["The light", "", "house"])
        report = json.loads(run("tokenize", self.model, "--time", 2, text="The light house").stdout)
        self.assertEqual(report["tokens"], len(ids.split()))
        self.assertEqual(run("tokenize", self.model, "a", "--special", "--prompt").returncode, 2)

    def test_standard_error_may_be_full(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for arguments, code in ((("run", "nowhere.gguf"), 4),
                                    (("run", self.model, "-p", "x", "-n", "2"), 0),
                                    (("perplexity", self.model, "--text", self.text), 0)):
                result = subprocess.run([TERCET, *map(str, arguments)], stdout=subprocess.DEVNULL,
                                        stderr=full, timeout=120, check=False)
                self.assertEqual(result.returncode, code, arguments)

    # The two halves

    def test_without_a_learning_half(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = shutil.copy(TERCET, folder)
            for command in ("pretrain",):
                self.assert_error(run(command, "--help", program=alone), 4, command,
                                  "learning half")
            report = json.loads(run("doctor", "--json", program=alone).stdout)
            self.assertIsNone(report["learning_half"])

    def test_the_learning_half_gets_the_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            together = shutil.copy(TERCET, folder)
            half = pathlib.Path(folder) / "tercet-learn"
            half.write_text('#!/bin/sh\nif [ "$1" = doctor ]; then\n'
                            '  echo \'{"torch": "9.9", "problems": ["no BLAS"]}\'\n'
                            'else\n  printf "%s|" "$@"; exit 7\nfi\n', encoding="utf-8")
            half.chmod(0o755)
            result = run("pretrain", "--out", "a b", "--help", program=together)
            self.assertEqual((result.returncode, result.stdout), (7, "pretrain|--out|a b|--help|"))
            report = json.loads(run("doctor", "--json", program=together).stdout)
            self.assertEqual(report["learning_half"]["torch"], "9.9")
            self.assertEqual(report["problems"], ["no BLAS"])
            self.assertIn("no BLAS", run("doctor", program=together).stdout)


if __name__ == "__main__":
    unittest.main()
