# SPDX-License-Identifier: Apache-2.0
"""`tercet chat`, scripted through a pipe and driven at a terminal (a pty).

Environment: TERCET and MAKE_TEST_MODEL, the paths of the two programs.
"""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

TERCET = os.environ["TERCET"]


def chat(*arguments, text="", timeout=60, **options):
    return subprocess.run([TERCET, "chat", *map(str, arguments)], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, encoding="utf-8", timeout=timeout,
                          check=False, **options)


class Terminal:
    """The program at a pseudo-terminal, as a person sees it."""

    def __init__(self, *arguments, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
            os.execv(TERCET, [TERCET, "chat", *map(str, arguments)])
        self.seen = b""
        self.read = 0

    def type(self, text):
        os.write(self.fd, text.encode("utf-8") if isinstance(text, str) else text)

    def wait_for(self, pattern, seconds=100):
        """Waits until the output since the last match holds `pattern`."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern.encode("utf-8"), self.seen[self.read:], re.S)
            if found:
                text = self.seen[self.read:self.read + found.end()]
                self.read += found.end()
                return text.decode("utf-8", "replace")
            ready, _, _ = select.select([self.fd], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise AssertionError(f"no {pattern!r} in {self.seen[self.read:]!r}")
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError as error:
                raise AssertionError(f"ended before {pattern!r}: {self.seen[self.read:]!r}") from error

    def exit_code(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.fd], [], [], 0.05)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"still running: {self.seen[-500:]!r}")


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tercet-chat-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        subprocess.run([os.environ["MAKE_TEST_MODEL"], cls.folder], check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.model = cls.folder / "b158"
        cls.common = (cls.model, "--chat-template", "chatml", "--seed", 1, "-t", 1)

    def answers(self, *arguments, text, code=0):
        done = chat(*self.common, "--json", "-n", 8, *arguments, text=text)
        self.assertEqual(done.returncode, code, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    # Scripted

    def test_help_has_an_example(self):
        done = chat("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("tercet chat", done.stdout.split("Example")[1])

    def test_a_model_without_template_names_the_way_out(self):
        done = chat(self.model, text="a\n")
        self.assertEqual(done.returncode, 3)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        for word in ("--chat-template", "chatml", "llama3"):
            self.assertIn(word, done.stderr)
        done = chat(self.model, "--chat-template", "frobnicate", text="a\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("frobnicate", done.stderr)

    def test_turns_reuse_what_was_read(self):
        first, second, third = self.answers(text="the light\nthe house\nthe rock\n")[0]
        self.assertEqual(first["reused_tokens"], 0)
        self.assertEqual([first["role"], first["stop_reason"]], ["assistant", "max_tokens"])
        # All of the first prompt but its last token at least; the answer too if it encodes alike.
        self.assertGreaterEqual(second["reused_tokens"], first["prompt_tokens"] - 1)
        self.assertGreaterEqual(third["reused_tokens"], second["prompt_tokens"] - 1)

    def test_seeds_repeat_and_regen_differs(self):
        first, again, seeded = self.answers(text="the light\n/regen\n/seed 1\n/regen\n")[0]
        self.assertNotEqual(first["content"], again["content"])
        self.assertEqual(first["content"], seeded["content"])
        self.assertEqual(first["prompt_tokens"], again["prompt_tokens"])
        self.assertEqual(again["reused_tokens"], again["prompt_tokens"] - 1)
        self.assertEqual(self.answers(text="the light\n")[0][0]["content"], first["content"])

    def test_undo_clear_and_system(self):
        one = self.answers(text="the light\n")[0][0]["prompt_tokens"]
        answers, _ = self.answers(text="the light\n/undo\nthe light\n/clear\nthe light\n/system Be.\nthe light\n")
        self.assertEqual([a["prompt_tokens"] for a in answers[:3]], [one] * 3)
        self.assertGreater(answers[3]["prompt_tokens"], one)
        with_system = self.answers("--system", "Be.", text="the light\n/clear\n/system\nthe light\n")[0]
        self.assertGreater(with_system[0]["prompt_tokens"], one)
        self.assertEqual(with_system[1]["prompt_tokens"], one)

    def test_save_and_load(self):
        path = self.folder / "talk.json"
        answers, _ = self.answers("--system", "Sé", text=f"the light\n/save {path}\n")
        saved = json.loads(path.read_text(encoding="utf-8"))["messages"]
        self.assertEqual([m["role"] for m in saved], ["system", "user", "assistant"])
        self.assertEqual(saved[0]["content"], "Sé")
        self.assertEqual(saved[2]["content"], answers[0]["content"])
        loaded, _ = self.answers(text=f"/load {path}\nthe house\n")
        self.assertGreater(loaded[0]["prompt_tokens"], answers[0]["prompt_tokens"])
        path.write_text('{"messages": [{"role": "tool", "content": "x"}]}', encoding="utf-8")
        self.assertIn("messages[0].role", self.answers(text=f"/load {path}\n", code=3)[1])
        path.write_text('[', encoding="utf-8")
        self.assertIn(str(path), self.answers(text=f"/load {path}\n", code=3)[1])
        self.answers(text="/load /nowhere/x.json\n", code=4)

    def test_messages_of_several_lines(self):
        lines = "one\\\ntwo\n", '"""one\ntwo"""\n', '"""\none\ntwo\n"""\n'
        prompts = [chat(*self.common, "-n", 1, "--show-prompt", text=text).stderr for text in lines]
        for prompt in prompts:
            self.assertIn("<|im_start|>user\none\ntwo<|im_end|>\n<|im_start|>assistant\n", prompt)
        slash = chat(*self.common, "-n", 1, "--show-prompt", text="//exit\n").stderr
        self.assertIn("user\n/exit<|im_end|>", slash)

    def test_wrong_commands(self):
        for text, words in (("/frobnicate\n", ("/frobnicate", "/help")), ("/temp hot\n", ("/temp", "hot")),
                            ("/temp -1\n", ("--temp is -1",)), ("/seed x\n", ("/seed",)),
                            ("/save\n", ("/save",)), ("/undo\n", ("/undo",)), ("/regen\n", ("/regen",)),
                            ("/stats\n", ("/stats",))):
            _, errors = self.answers(text=text, code=2)
            for word in words:
                self.assertIn(word, errors)

    def test_single_answers(self):
        answers, _ = self.answers("--single", text="the light\nthe house\n")
        self.assertEqual(len(answers), 1)
        answers, _ = self.answers("--single", "-p", "the light", text="")
        self.assertEqual(len(answers), 1)
        path = self.folder / "message.txt"
        path.write_text("the light\n", encoding="utf-8")
        self.assertEqual(self.answers("-f", path, text="")[0][0]["content"], answers[0]["content"])

    def test_plain_output_is_the_answer_alone(self):
        done = chat(*self.common, "-n", 8, "-q", text="the light\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "")
        expected = self.answers(text="the light\n")[0][0]["content"]
        self.assertEqual(done.stdout, expected + "\n")

    def test_a_full_context_is_told_and_never_silent(self):
        _, errors = self.answers("-c", 60, text="the light\n" * 20, code=2)
        for word in ("60", "/clear", "--drop-oldest"):
            self.assertIn(word, errors)
        answers, errors = self.answers("-c", 150, "--drop-oldest", text="the light\n" * 8)
        self.assertEqual(len(answers), 8)
        self.assertIn("forgotten", errors)
        done = chat(*self.common, "-c", 150, "--json", "--ignore-eos", text="the light\n")
        self.assertEqual(json.loads(done.stdout)["stop_reason"], "context_full")
        self.assertIn("150", done.stderr)

    def test_variables_and_files_as_templates(self):
        path = self.folder / "own.jinja"
        path.write_text("{{ 'on' if flag else 'off' }} {{ name }} {{ messages[0].content }}", encoding="utf-8")
        done = chat(self.model, "--chat-template", path, "--template-var", "flag=true", "--template-var",
                    "name=me", "--show-prompt", "-n", 1, text="hi\n")
        self.assertIn("on me hi\n[", done.stderr)
        path.write_text("{% frobnicate %}", encoding="utf-8")
        done = chat(self.model, "--chat-template", path, text="hi\n")
        self.assertEqual(done.returncode, 3)
        self.assertIn("frobnicate", done.stderr)
        path.write_text("{{ raise_exception('no') }}", encoding="utf-8")
        self.assertEqual(chat(self.model, "--chat-template", path, text="hi\n").returncode, 3)

    def test_ctrl_c_in_a_script_ends_it(self):
        process = subprocess.Popen([TERCET, "chat", *map(str, self.common), "--ignore-eos", "-c", "100000"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"the light\n")
        process.stdin.flush()
        process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=100)
        self.assertEqual(process.returncode, 130)

    def test_templates_travel_with_the_model(self):
        source = self.folder / "with-template"
        shutil.copytree(self.model, source)
        (source / "chat_template.jinja").write_text("T{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
        target = self.folder / "with-template.gguf"
        subprocess.run([TERCET, "convert", source, target, "--type", "trit5"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        for model in (source, target):
            done = chat(model, "-n", 1, "--show-prompt", text="hi\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Thi\n[", done.stderr)

    # At a terminal

    def test_a_conversation_at_a_terminal(self):
        terminal = Terminal(*self.common, "-n", 6, env={"NO_COLOR": "1"})
        terminal.wait_for("/help.*> ")
        terminal.type("the light\n")
        terminal.wait_for(r"\(the answer ends here: -n 6\).*> ")
        terminal.type("/stats\n")
        terminal.wait_for("reused.*> ")
        terminal.type("/nothing\n")
        terminal.wait_for("error: there is no command '/nothing'.*> ")
        terminal.type("/help\n")
        terminal.wait_for("/regen.*> ")
        # Editing: the letter is taken back, and the history brings the line again.
        terminal.type("/undx\x7fo\n")
        terminal.wait_for("took back.*> ")
        terminal.type("\x1b[A\x1b[A\n")
        terminal.wait_for("/regen.*> ")
        terminal.type("caf\u00e9 \u6f22\n")
        terminal.wait_for("caf\u00e9 \u6f22.*ends here.*> ")
        self.assertNotIn(b"\x1b[2m", terminal.seen)
        terminal.type("\x04")
        self.assertEqual(terminal.exit_code(), 0)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        terminal = Terminal(*self.common, "--ignore-eos", "-c", 100000)
        terminal.wait_for("> ")
        terminal.type("the light\n")
        terminal.wait_for("the light.{40}")
        terminal.type("\x03")
        terminal.wait_for(r"\(stopped\).*> ")
        terminal.type("/exit\n")
        self.assertEqual(terminal.exit_code(), 0)

    def test_ctrl_c_at_the_prompt(self):
        terminal = Terminal(*self.common, "-n", 4)
        terminal.wait_for("> ")
        terminal.type("half a line\x03")
        terminal.wait_for("Ctrl-C again.*> ")
        terminal.type("the light\n")
        terminal.wait_for("ends here.*> ")
        terminal.type("\x03")
        terminal.wait_for("Ctrl-C again.*> ")
        terminal.type("\x03")
        self.assertEqual(terminal.exit_code(), 130)

    def test_control_characters_are_neutralised(self):
        path = self.folder / "escape.jinja"
        path.write_text("{{ '\\x1b[31m' }}", encoding="utf-8")
        terminal = Terminal(self.model, "--chat-template", path, "--show-prompt", "-n", 1)
        terminal.wait_for("> ")
        terminal.type("a\n")
        terminal.wait_for("\u241b\\[31m.*> ")
        terminal.type("\x04")
        self.assertEqual(terminal.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
