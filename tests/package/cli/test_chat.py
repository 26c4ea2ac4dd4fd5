"""A conversation in a pipe and a terminal, and a large language model served by the command."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from companion import models
from tests.package.serving.chat_models import Letters, tiny_model


class Recorded:
    """Stands for a large language model: it notes what it is given and repeats the last words."""

    context_length, tokenizer = 100, Letters()

    def __init__(self, interrupted=False):
        self.asked, self.options, self.interrupted = [], [], interrupted

    def stream(self, messages, **options):
        text = messages[-1]["content"]
        if len(text) > self.context_length:
            raise ValueError("The prompt has too many tokens. Shorten it.")
        self.asked.append([(message["role"], message["content"]) for message in messages])
        self.options.append(options)
        return _Echo(text, self.interrupted)


class _Echo:
    def __init__(self, text, interrupted):
        self.pieces, self.written, self.interrupted = list(text.upper()), "", interrupted

    def __iter__(self):
        for piece in self.pieces:
            self.written += piece
            yield piece
            if self.interrupted:
                raise KeyboardInterrupt

    @property
    def answer(self):
        return models.Answer(self.written, (), 0, "stop")


@pytest.fixture
def talk(run, monkeypatch):
    """Runs the command with a model and what is typed; returns exit code, stdout, stderr."""

    def talk(model, typed, *words):
        monkeypatch.setattr(models, "load_language_model", lambda *_, **__: model, raising=False)
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        return run("chat", *words)

    return talk


def test_each_line_of_a_pipe_gets_one_answer_and_quit_ends(talk):
    model = Recorded()
    assert talk(model, "tea\n\n你好 🍵\n/quit\nmore\n") == (0, "TEA\n\n你好 🍵\n", "")
    assert model.asked[1] == [("user", "tea"), ("assistant", "TEA"), ("user", "你好 🍵")]


def test_the_end_of_the_input_ends_and_the_last_line_needs_no_newline(talk):
    assert talk(Recorded(), "tea")[:2] == (0, "TEA\n")
    assert talk(Recorded(), "")[:2] == (0, "")


def test_the_options_reach_the_model(talk):
    model = Recorded()
    words = ["--system", "Be short.", "--temperature", "0.5", "--max-tokens", "9", "--seed", "3"]
    talk(model, "a\nb\n", *words)
    assert model.asked[0][0] == ("system", "Be short.")
    assert {options["temperature"] for options in model.options} == {0.5}
    assert {options["max_tokens"] for options in model.options} == {9}
    assert [options["seed"] for options in model.options] == [3, 4]


def test_the_oldest_turns_are_left_out_once_the_context_is_full_which_is_said_once(talk):
    model = Recorded()
    lines = [letter * 15 for letter in "abcdef"]
    _, out, err = talk(model, "\n".join(lines), "--system", "Be short.", "--max-tokens", "20")
    assert out.split() == [line.upper() for line in lines]
    assert err.count("oldest turns are left out") == 1
    for asked in model.asked:
        assert asked[0] == ("system", "Be short.")
        assert asked[1][0] == "user"
        assert sum(len(content) for _, content in asked) <= 100 - 20
    assert model.asked[-1][-1] == ("user", "f" * 15)
    assert ("user", "a" * 15) not in model.asked[-1]


def test_a_message_that_is_refused_is_forgotten_and_the_next_is_answered(talk):
    model = Recorded()
    code, out, err = talk(model, "x" * 101 + "\ntea\n")
    assert (code, out) == (0, "\nTEA\n")
    assert "too many tokens" in err
    assert model.asked == [[("user", "tea")]]


def test_an_interruption_ends_the_answer_and_not_the_conversation(talk):
    model = Recorded(interrupted=True)
    code, out, _ = talk(model, "tea\ncoffee\n")
    assert (code, out) == (0, "T …\nC …\n")
    assert model.asked[1][1] == ("assistant", "T")


def test_what_could_steer_the_terminal_is_not_shown(talk):
    assert talk(Recorded(), "a\x1b[2Jb\n")[1] == "A\ufffd[2JB\n"


class Terminal(io.StringIO):
    """Stands for a terminal in which the user also presses Ctrl+C."""

    def isatty(self):
        return True


def test_in_a_terminal_ctrl_c_at_the_prompt_says_how_to_end(talk, monkeypatch):
    typed = iter(["tea", KeyboardInterrupt, "milk", EOFError])

    def ask(prompt=""):
        found = next(typed)
        if isinstance(found, str):
            return found
        raise found

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(io, "StringIO", Terminal)
    code, out, err = talk(Recorded(), "")
    assert code == 0
    assert out.split() == ["TEA", "MILK"]
    assert "Ctrl+C stops an answer" in err
    assert err.count("/quit or the end of the input ends.") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chat", "smolm2"], "There is no language model 'smolm2'"),
        (["chat", "none.gguf"], "none.gguf"),
        (["chat", "--max-tokens", "0"], "--max-tokens: give a whole number"),
        (["chat", "--weights", "int4"], "--weights"),
        (["serve", "smollm2", "--threshold", "0.5"], "--threshold is for classifiers"),
        (["serve", "models/none", "--weights", "int8"], "--weights is for language models"),
        (["serve", "none.gguf"], "none.gguf"),
    ],
)
def test_a_wrong_use_is_named(run, monkeypatch, words, says):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code, out, err = run(*words)
    assert code in (1, 2)
    assert out == ""
    assert says in err


@pytest.mark.slow
def test_a_file_is_served_under_its_name_until_it_is_interrupted(tmp_path):
    tiny_model(tmp_path)
    command = [sys.executable, "-m", "companion.cli", "serve", "tiny.gguf", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as served:
        try:
            url = served.stdout.readline().split()[3].rstrip(".")
            body = json.dumps({"model": "tiny", "prompt": "Tea", "max_tokens": 3}).encode()
            with urllib.request.urlopen(f"{url}/completions", body) as answer:
                found = json.load(answer)
        finally:
            served.send_signal(signal.SIGINT)
        rest = served.stdout.read()
    assert found["usage"]["prompt_tokens"] == len("Tea")
    assert (served.returncode, rest) == (0, "Ended: every request was answered.\n")
