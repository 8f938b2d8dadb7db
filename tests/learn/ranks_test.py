# SPDX-License-Identifier: Apache-2.0
"""Training on several ranks by the command line: that they reach what one process reaches, that
checkpoints move between numbers of ranks, and that all end well when one is lost or stopped.

Environment: TERCET, the path of the program.
"""

import json
import os
import pathlib
import shutil
import signal
import struct
import tempfile
import time
import unittest

from pretrain_support import CommandCase, RECIPE, checkpoints, corpus_text, rewind
from ranks_support import children, finish, free_port, start, torchrun_variables


class Ranks(CommandCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-ranks-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        corpus = cls.folder / "corpus.txt"
        corpus.write_text(corpus_text(), encoding="utf-8")
        cls.must("tokenizer", "train", corpus, "--vocab-size", 320, "--out", cls.folder / "tok")
        cls.data = cls.folder / "data"
        cls.must("data", "build", corpus, "--tokenizer", cls.folder / "tok",
                 "--validation-fraction", 0.1, "--out", cls.data)
        cls.recipe = cls.folder / "recipe.json"
        cls.recipe.write_text(json.dumps({
            **RECIPE, "data": str(cls.data), "precision": "f32", "micro_batch_size": 2, "steps": 50,
            "checkpoint_every": 10, "eval_every": 25, "sample_every": 0}))

    @classmethod
    def must(cls, *arguments):
        status, output = finish(start(*arguments))
        assert status == 0, output

    def new(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "run"

    def arguments(self, out, *options):
        return ("pretrain", "--config", self.recipe, "--out", out, *options)

    def by_hand(self, ranks, out, *options):
        """A run whose ranks are started one by one, as torchrun would."""
        port = free_port()
        return [start(*self.arguments(out, *options), **torchrun_variables(rank, ranks, port))
                for rank in range(ranks)]

    def losses(self, out):
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [line.get("loss", line.get("validation_loss")) for line in lines
                if line["event"] in ("step", "eval")]

    def weights(self, out):
        return (out / "model.safetensors").read_bytes()

    def wait_for_checkpoint(self, out, processes):
        self.wait_until(lambda: checkpoints(out), processes)

    def wait_for_progress(self, out, process):
        """Until a run that was resumed has written a checkpoint of its own."""
        before = checkpoints(out)[-1]
        self.wait_until(lambda: checkpoints(out)[-1] > before, [process])

    def rewound(self, run, step):
        out = self.new()
        rewind(run, out, step)
        return out

    def assert_same(self, run, reference):
        self.assertEqual(self.losses(run), self.losses(reference))
        self.assertEqual(self.weights(run), self.weights(reference))

    def optimizer_header(self, run):
        data = (run / "checkpoints/step-00000020/optimizer.safetensors").read_bytes()
        return data[8:8 + struct.unpack("<Q", data[:8])[0]]

    def test_one_micro_batch_per_rank_gives_the_bits_of_one_process(self):
        for family in ("llama", "b1.58"):
            with self.subTest(family=family):
                options = ("--family", family, "--micro-batch-size", 4, "--keep-checkpoints", 5)
                one, two = self.new(), self.new()
                self.must(*self.arguments(one, *options))
                self.must(*self.arguments(two, *options, "--ranks", 2))
                self.assert_same(two, one)
                losses = self.losses(one)
                self.assertGreater(losses[0] - losses[-1], 0.5)  # it does learn
                # A checkpoint is the same, too, and goes on with any number of ranks.
                self.assertEqual(self.optimizer_header(one), self.optimizer_header(two))
                resumed = self.rewound(one, 20)
                self.must("pretrain", "--out", resumed, "--resume", "--ranks", 2)
                self.assert_same(resumed, one)
                resumed = self.rewound(two, 20)
                self.must("pretrain", "--out", resumed, "--resume", "--ranks", 1)
                # One rank alone takes more threads, hence other orders of sums, of which one may tip
                # a rounding of b1.58.
                delta = 1e-5 if family == "llama" else 1e-2
                for ours, theirs in zip(self.losses(resumed), self.losses(one), strict=True):
                    self.assertAlmostEqual(ours, theirs, delta=delta)

    def test_several_micro_batches_per_rank_differ_by_the_order_of_sums(self):
        one, two, four = self.new(), self.new(), self.new()
        options = ("--family", "llama")
        self.must(*self.arguments(one, *options))
        self.must(*self.arguments(two, *options, "--ranks", 2))
        ours, theirs = self.losses(two), self.losses(one)
        self.assertEqual(len(ours), len(theirs))
        for loss, expected in zip(ours, theirs):
            self.assertAlmostEqual(loss, expected, delta=1e-5)
        # Four have one each.
        self.must(*self.arguments(four, *options, "--ranks", 4))
        self.assert_same(four, one)

    def test_launchers_variables(self):
        variables = {
            "mpirun": lambda rank, port: {
                "OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": "2",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "MASTER_PORT": port},
            "srun": lambda rank, port: {
                "SLURM_PROCID": str(rank), "SLURM_NTASKS": "2", "SLURM_LOCALID": str(rank),
                "SLURM_STEP_ID": "0", "SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_ID": "7",
                "MASTER_PORT": port}}
        runs = []
        for launcher, of in variables.items():
            with self.subTest(launcher=launcher):
                out, port = self.new(), free_port()
                ranks = [start(*self.arguments(out, "--steps", 5), **of(rank, port))
                         for rank in (0, 1)]
                endings = [finish(process) for process in ranks]
                self.assertEqual([status for status, _ in endings], [0, 0], endings)
                self.assertIn("validation loss", endings[0][1])
                self.assertEqual(endings[1][1], "")
                runs.append(self.weights(out))
        self.assertEqual(*runs)

    def test_a_lost_rank_ends_the_others(self):
        for lost in (0, 1):
            with self.subTest(lost=lost):
                out = self.new()
                ranks = self.by_hand(2, out, "--steps", 100000)
                self.wait_for_checkpoint(out, ranks)
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
                # It can be continued: by one process, which is stopped again.
                process = start("pretrain", "--out", out, "--resume")
                self.wait_for_progress(out, process)
                process.send_signal(signal.SIGINT)
                status, output = finish(process)
                self.assertEqual(status, 130, output)

    def test_stopping_one_rank_saves_and_stops_all(self):
        reference = self.new()
        self.must(*self.arguments(reference, "--ranks", 2))
        for _ in range(5):
            out = self.new()
            ranks = self.by_hand(2, out)
            self.wait_for_checkpoint(out, ranks)
            ranks[1].send_signal(signal.SIGTERM)
            endings = [finish(process) for process in ranks]
            if [status for status, _ in endings] != [0, 0]:  # else they were faster
                break
        self.assertEqual([status for status, _ in endings], [130, 130], endings)
        self.must("pretrain", "--out", out, "--resume", "--ranks", 2)
        self.assertEqual(self.weights(out), self.weights(reference))
        self.assertEqual(self.losses(out), self.losses(reference))

    def test_what_one_rank_cannot_read_is_named_by_all(self):
        out, port = self.new(), free_port()
        copies = []
        for rank in (0, 1):
            copies.append(self.folder / f"data-of-{rank}")
            shutil.copytree(self.data, copies[rank])
        ranks = [start(*self.arguments(out, "--data", copies[rank], "--steps", 100000),
                       **torchrun_variables(rank, 2, port)) for rank in (0, 1)]
        self.wait_for_checkpoint(out, ranks)
        os.truncate(copies[1] / "train-00000.bin", 1000)
        for process in ranks:
            status, output = finish(process)
            self.assertEqual(status, 3, output)
            self.assertIn(str(copies[1] / "train-00000.bin"), output)
            self.assertIn("saved after step", output)

    def test_the_process_that_started_ranks_looks_after_them(self):
        out = self.new()
        parent = start(*self.arguments(out, "--ranks", 2, "--steps", 100000))
        self.wait_for_checkpoint(out, [parent])
        parent.send_signal(signal.SIGINT)
        status, output = finish(parent)
        self.assertEqual(status, 130, output)
        self.assertEqual(output.count("interrupted"), 1, output)
        # One that dies takes the others along.
        parent = start("pretrain", "--out", out, "--resume", "--ranks", 2)
        self.wait_for_progress(out, parent)
        os.kill(children(parent)[1], signal.SIGKILL)
        status, output = finish(parent)
        self.assertEqual(status, 4, output)
        self.assertIn("rank 1", output)
        # And so does the parent.
        parent = start("pretrain", "--out", out, "--resume", "--ranks", 2)
        self.wait_until(lambda: len(children(parent)) == 2, [parent])
        ranks = children(parent)
        parent.kill()
        finish(parent)
        deadline = time.monotonic() + 10
        while any(pathlib.Path(f"/proc/{rank}/exe").exists() for rank in ranks):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_ranks_are_interrupted_wherever_they_are(self):
        # While programs and libraries load, while ranks meet, and later.
        for seconds in (0, 0.01, 0.03, 0.1, 0.3, 1):
            with self.subTest(seconds=seconds):
                out = self.new()
                parent = start(*self.arguments(out, "--ranks", 2, "--steps", 100000))
                self.addCleanup(parent.kill)  # and its ranks with it
                self.wait_until(lambda: children(parent), [parent])
                time.sleep(seconds)
                parent.send_signal(signal.SIGINT)
                status, output = finish(parent)
                self.assertEqual(status, 130, output)
                self.assertEqual(output.count("interrupted"), 1, output)

    def assert_refused(self, processes, status, *words):
        for process in processes:
            code, output = finish(process)
            self.assertEqual(code, status, output)
            lines = [line for line in output.splitlines() if "error:" in line]
            self.assertEqual(len(lines), 1, output)
            for word in words:
                self.assertIn(str(word), lines[0])

    def test_impossible_groups_are_refused(self):
        out = self.new()
        good = torchrun_variables(1, 2, free_port())
        for variables, word in (({"RANK": "2"}, "RANK"), ({"MASTER_ADDR": ""}, "MASTER_ADDR"),
                                ({"WORLD_SIZE": ""}, "WORLD_SIZE")):
            self.assert_refused([start(*self.arguments(out), **{**good, **variables})], 2, word)
        self.assert_refused([start(*self.arguments(out, "--ranks", 3))], 2, "3 ranks",
                            "batch_size 8")
        self.assert_refused([start(*self.arguments(out, "--ranks", 2), RANK="0", WORLD_SIZE="4",
                                   MASTER_ADDR="127.0.0.1")], 2, "--ranks")
        port = free_port()
        twins = [start(*self.arguments(out), **torchrun_variables(rank, 3, port))
                 for rank in (0, 1, 1)]
        self.assert_refused(twins, 2, "two processes call themselves rank 1")

    def test_ranks_that_disagree_are_refused(self):
        other_data = self.folder / "other-data"
        shutil.copytree(self.data, other_data)
        manifest = other_data / "dataset.json"
        manifest.write_text(manifest.read_text() + "\n")
        for options, word in ((("--learning-rate", 0.02), "learning_rate"),
                              (("--data", other_data), "dataset.json")):
            with self.subTest(options=options):
                out, port = self.new(), free_port()
                ranks = [start(*self.arguments(out, *(options if rank == 1 else ())),
                               **torchrun_variables(rank, 2, port)) for rank in (0, 1)]
                self.assert_refused(ranks, 2, word, "rank 1", "rank 0")
                self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
