# SPDX-License-Identifier: Apache-2.0
"""`tercet pretrain` on the command line: runs that are stopped, killed or damaged, and nonsense.

Environment: TERCET, the path of the program.
"""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from pretrain_support import PretrainCase, TERCET, checkpoints, run


class PretrainFaults(PretrainCase):
    def test_killed_runs_continue_to_the_same_bits(self):
        out = self.new()
        process = self.start(out)
        self.wait_for_checkpoint(out, process)
        for extra in (0.02, 0.11, 0.05):
            time.sleep(extra)
            process.kill()
            process.communicate()
            process = self.start_resumed(out)
        process.communicate()
        self.assertEqual(process.returncode, 0)
        self.assert_same_as_reference(out)

    def start_resumed(self, out):
        return subprocess.Popen([TERCET, "pretrain", "--out", str(out), "--resume"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def test_ctrl_c_saves_and_resume_continues(self):
        for _ in range(5):
            out = self.new()
            process = self.start(out)
            self.wait_for_checkpoint(out, process)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
            if process.returncode != 0:  # else it was faster
                break
        self.assertEqual(process.returncode, 130, stderr)
        self.assertLess(stderr.index("stopping after this step"), stderr.index("--resume"))
        self.must("pretrain", "--out", out, "--resume")
        self.assert_same_as_reference(out)

    def test_a_full_disk_keeps_the_last_checkpoint(self):
        out = self.unfinished()

        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            size = (self.reference / "model.safetensors").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

        result = run("pretrain", "--out", out, "--resume", preexec_fn=small_files)
        self.assert_error(result, 4, "safetensors")
        self.assertFalse(list(out.glob("checkpoints/*unfinished*")))
        self.must("pretrain", "--out", out, "--resume")
        self.assert_same_as_reference(out)

    def on_small_disk(self, mebibytes, script):
        """Runs a shell script on a disk of so much room, $DISK, which is gone afterwards."""
        disk = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        mount = f"mount -t tmpfs -o size={mebibytes}m none {disk}"
        if subprocess.run(["unshare", "-rm", "sh", "-c", mount], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            self.skipTest("needs the right to mount")
        result = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f"{mount} || exit 99\n{script}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
            env={**os.environ, "DISK": str(disk), "RECIPE": str(self.recipe)})
        return disk, result

    def test_a_disk_that_is_too_small_is_named_at_the_start(self):
        # A checkpoint is three times the model, and four of them may lie there at one time.
        disk, result = self.on_small_disk(
            2, "$TERCET pretrain --config $RECIPE --out $DISK/run; status=$?\n"
               "ls $DISK/run\nexit $status")
        self.assert_error(result, 4, f"'{disk}'", "keep_checkpoints")
        self.assertEqual(result.stdout.split(), ["run.lock"])

    def test_a_disk_that_others_fill_is_named_and_the_run_goes_on_later(self):
        model = self.new().with_suffix(".safetensors")
        disk, result = self.on_small_disk(20, f"""
            $TERCET pretrain --config $RECIPE --out $DISK/run --keep-checkpoints 10 & run=$!
            while kill -0 $run && ! test -e $DISK/run/checkpoints/step-00000010; do sleep 0.01; done
            kill -STOP $run; head -c 100M /dev/zero >$DISK/filler 2>/dev/null; kill -CONT $run
            wait $run; status=$?
            ls $DISK/run/checkpoints
            rm $DISK/filler
            $TERCET pretrain --out $DISK/run --resume 2>/dev/null || exit 98
            cp $DISK/run/model.safetensors {model}
            exit $status""")
        self.assert_error(result, 4, f"No space left on device on the disk at '{disk}'")
        self.assertIn("step-00000010", result.stdout.split())
        self.assertNotIn("unfinished", result.stdout)
        self.assertEqual(model.read_bytes(),
                         (self.reference / "model.safetensors").read_bytes())

    def test_two_processes_do_not_share_a_directory(self):
        out = self.new()
        process = self.start(out, "--steps", "100000")
        self.wait_for_checkpoint(out, process)
        process.send_signal(signal.SIGSTOP)
        try:
            for options in (("--resume",), ("--config", self.recipe)):
                self.assert_error(run("pretrain", "--out", out, *options), 2,
                                  f"process {process.pid} ")
        finally:
            process.kill()
            process.communicate()
        # The dead hold no lock.
        seen = checkpoints(out)[-1]
        process = self.start_resumed(out)
        self.wait_until(lambda: checkpoints(out)[-1] > seen, [process])
        process.kill()
        process.communicate()

    def test_damaged_checkpoints_are_named(self):
        for name in ("model.safetensors", "optimizer.safetensors", "state.json", "config.json"):
            out = self.new()
            shutil.copytree(self.reference, out)
            (out / "training.json").unlink()
            newest = checkpoints(out)[-1]
            data = bytearray((newest / name).read_bytes())
            for damaged in (data[:-5], data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) +
                            data[len(data) // 2 + 1:]):
                (newest / name).write_bytes(damaged)
                self.assert_error(run("pretrain", "--out", out, "--resume"), 3, newest / name)
            (newest / name).unlink()
            self.assert_error(run("pretrain", "--out", out, "--resume"), 3, newest / name)
            # As the message says: without that directory it goes on from the one before.
            shutil.rmtree(newest)
            self.must("pretrain", "--out", out, "--resume")
            self.assert_same_as_reference(out)

    def test_usage_errors(self):
        out = self.new()
        data = self.folder / "data"
        cases = [
            ((), 2, "--data"),
            (("--data", data), 2, "tokens or steps"),
            (("--data", data, "--steps", 5, "--num-attention-heads", 3), 2, "num_attention_heads"),
            (("--data", data, "--steps", 5, "--family", "gpt"), 2, "family"),
            (("--data", self.folder / "nowhere", "--steps", 5), 4, "nowhere"),
            (("--data", data, "--steps", 5, "--sequence-length", 100000), 3, "tokens"),
            (("--config", self.folder / "no.json"), 4, "no.json"),
            (("--config", self.corpus), 3, "corpus.txt"),
            (("--config", self.recipe, "--device", "cuda"), 3, "cuda"),
            (("--resume",), 2, "no checkpoint"),
            (("--data", data, "--steps", 5, "--learning-rate", -5), 2, "learning_rate"),
            (("--config", self.recipe, "--eval-tokens", 10), 2, "eval_tokens"),
            (("--config", self.recipe, "--num-attention-heads", 3), 3, "recipe.json"),
        ]
        for options, code, word in cases:
            with self.subTest(options=options):
                self.assert_error(run("pretrain", "--out", out, *options), code, word)
        self.assert_error(run("pretrain", "--config", self.recipe, "--out", self.reference), 2,
                          "--resume")

    def test_a_finished_run_has_nothing_to_resume(self):
        times = {f: f.stat().st_mtime_ns for f in self.reference.rglob("*") if f.is_file()}
        summary = json.loads((self.reference / "training.json").read_text())
        result = self.must("pretrain", "--out", self.reference, "--resume", "--json")
        done = json.loads(result.stdout)
        for key in ("steps", "tokens", "validation_loss", "perplexity", "parameters", "seconds"):
            self.assertEqual(done[key], summary[key], key)
        self.assertEqual(
            times, {f: f.stat().st_mtime_ns for f in self.reference.rglob("*") if f.is_file()})

    def test_a_lost_terminal_saves_too(self):
        out = self.new()
        process = self.start(out)
        self.wait_for_checkpoint(out, process)
        process.send_signal(signal.SIGHUP)
        _, stderr = process.communicate(timeout=60)
        self.assertIn(process.returncode, (130, 0), stderr)
        if process.returncode == 130:
            self.assertIn("the run is saved after step", stderr)
            self.must("pretrain", "--out", out, "--resume")
        self.assert_same_as_reference(out)

    def test_an_interrupt_saves_though_nobody_reads(self):
        out = self.new()
        process = self.start(out)
        self.wait_for_checkpoint(out, process)
        process.stderr.close()  # as `2>&1 | tee` does, which Ctrl-C ends, too
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(timeout=60), (130, 0))
        self.must("pretrain", "--out", out, "--resume")
        self.assert_same_as_reference(out)

    def test_a_state_that_is_nonsense_is_named(self):
        out = self.unfinished()
        newest = checkpoints(out)[-1] / "state.json"
        for text in ("", "{}", "[]"):
            with self.subTest(text=text):
                newest.write_text(text)
                result = run("pretrain", "--out", out, "--resume")
                self.assert_error(result, 3, "remove its directory")
                self.assertNotIn("exception", result.stderr)

    def test_what_nobody_means_is_refused(self):
        refused = ((("--lerning-rate", 3), "did you mean '--learning-rate'"),
                   (("--learning-rate", -1), "not negative"),
                   (("--learning-rate", "nan"), "learning_rate is nan"),
                   (("--preset", "30b", "--num-hidden-layers", 4096), "GB are free"),
                   (("--data", f"{self.folder}/data=much"), "'much' is no weight"))
        for options, words in refused:
            with self.subTest(options=options):
                out = self.new()
                data = () if "--data" in options else ("--data", self.folder / "data")
                result = run("pretrain", *data, "--steps", 5, "--out", out, *options)
                self.assert_error(result, 2, words)
        for place, status, words in ((self.folder / "nowhere", 4, "does not exist"),
                                     (self.folder, 3, "dataset.json")):
            self.assert_error(run("pretrain", "--data", place, "--steps", 5, "--out", self.new()),
                              status, words)
        self.assert_error(run("tokenizer", "train", self.corpus, "--vocab-size", 320, "--out",
                              self.folder / "tok"), 2, "--overwrite")

    def test_data_is_checked_before_training(self):
        bare = self.folder / "bare"
        self.must("data", "build", self.corpus, "--tokenizer", self.folder / "tok",
                  "--validation-fraction", 0, "--out", bare)
        out = self.new()
        result = run("pretrain", "--config", self.recipe, "--data", bare, "--out", out)
        self.assert_error(result, 3, "validation")
        self.assertFalse((out / "log.jsonl").exists())
        damaged = self.folder / "damaged"
        shutil.copytree(self.folder / "data", damaged)
        shard = damaged / "train-00000.bin"
        data = bytearray(shard.read_bytes())
        data[1000] ^= 1  # still a valid token
        shard.write_bytes(data)
        self.assert_error(run("pretrain", "--config", self.recipe, "--data", damaged, "--out",
                              self.new()), 3, shard)

    def test_resuming_on_other_data_is_refused(self):
        out = self.unfinished()
        data = self.folder / "data"
        manifest = (data / "dataset.json").read_text()
        try:
            (data / "dataset.json").write_text(manifest + "\n")
            self.assert_error(run("pretrain", "--out", out, "--resume"), 3, data)
        finally:
            (data / "dataset.json").write_text(manifest)
        # From another directory, to the same bits.
        self.must("pretrain", "--out", out, "--resume")
        self.assert_same_as_reference(out)

    def change_state(self, checkpoint, change):
        """Edits state.json and makes its checksum anew: FNV-1a of the compact text without it."""
        file = checkpoint / "state.json"
        state = json.loads(file.read_text(), parse_float=lambda text: f"@{text}@")
        del state["state_checksum"]
        change(state)

        def text(value, **options):
            return re.sub('"@([^@"]*)@"', r"\1", json.dumps(value, ensure_ascii=False, **options))

        value = 0xCBF29CE484222325
        for byte in text(state, separators=(",", ":"), sort_keys=True).encode():
            value = (value ^ byte) * 0x100000001B3 % 2**64
        file.write_text(text({**state, "state_checksum": f"{value:016x}"}))

    def test_other_code_is_warned_of(self):
        out = self.unfinished()
        newest = checkpoints(out)[-1]
        self.change_state(newest, lambda state: state.update(code_version="0.0.9+abc"))
        result = self.must("pretrain", "--out", out, "--resume")
        warnings = [line for line in result.stderr.splitlines() if "warning" in line]
        self.assertEqual(len(warnings), 1, result.stderr)
        self.assertIn("0.0.9+abc", warnings[0])
        self.assertIn(self.must("--version").stdout.split()[1], warnings[0])
        self.assert_same_as_reference(out)

    def test_a_lost_log_does_not_stop_a_run(self):
        out = self.unfinished()
        (out / "log.jsonl").write_text("")
        self.must("pretrain", "--out", out, "--resume")
        self.assertEqual((out / "model.safetensors").read_bytes(),
                         (self.reference / "model.safetensors").read_bytes())

    def test_directories_of_the_user_are_no_checkpoints(self):
        out = self.unfinished()
        newest = checkpoints(out)[-1]
        kept = newest.with_name("step-99999999-best")
        shutil.copytree(newest, kept)
        self.must("pretrain", "--out", out, "--resume")
        self.assertTrue((kept / "state.json").exists())
        self.assert_same_as_reference(out)

    def test_a_loss_that_explodes_stops_with_advice(self):
        out = self.new()
        # Each step multiplies the weights by 1 - 10 * 10.
        result = run("pretrain", "--config", self.recipe, "--out", out, "--learning-rate", 10,
                     "--weight-decay", 10, "--family", "llama", "--warmup-steps", 0,
                     "--schedule", "constant")
        self.assert_error(result, 3, "learning_rate")
        self.assertGreaterEqual(len(self.events(out, "skip")), 1)

    def test_spikes_are_skipped(self):
        out = self.new()
        # So narrow a guard that noise is a spike, too.
        self.must("pretrain", "--config", self.recipe, "--out", out, "--spike-deviations", 1e-9,
                  "--steps", 60)
        skipped = self.events(out, "skip")
        self.assertEqual({e["step"] for e in skipped} | {e["step"] for e in self.events(out, "step")},
                         set(range(1, 61)))
        for event in skipped:
            self.assertGreater(event["loss"], event["recent_loss"])

    def test_bad_corpora(self):
        empty = self.folder / "empty.txt"
        empty.write_text("")
        broken = self.folder / "broken.jsonl"
        broken.write_text('{"text": "fine"}\n{"text": 3}\n')
        for corpus, code, word in ((empty, 3, "empty"), (self.folder / "none", 4, "none"),
                                   (broken, 3, "broken.jsonl:2")):
            result = run("data", "build", corpus, "--tokenizer", self.folder / "tok", "--out",
                         self.folder / "never")
            self.assert_error(result, code, word)
        result = run("tokenizer", "train", self.corpus, "--vocab-size", 100000, "--out",
                     self.folder / "never")
        self.assert_error(result, 2, "vocab")


if __name__ == "__main__":
    unittest.main()
