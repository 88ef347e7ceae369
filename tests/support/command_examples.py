"""Calls of the command in texts for people (help, README, pages of docs/), held to what the command line takes."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer.main

from sensor.cli import app

GROUP: Any = typer.main.get_command(app)
_OPERATORS = re.compile(r"[;&|]+")
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
_SHELLS = ("", "sh", "console", "bash")


def examples(text: str) -> Iterator[list[str]]:
    """Words of each call of the sensor in a text of commands, as a shell would part them."""
    for line in text.replace("\\\n", " ").splitlines():
        if "flowvigil" not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # an apostrophe: a sentence
            continue
        yield from (call[1:] for call in _calls(words) if call and call[0].rpartition("/")[2] == "flowvigil")


def in_blocks(page: str) -> Iterator[list[str]]:
    """Those in the blocks of commands of a Markdown page."""
    for block in _FENCED.finditer(page):
        if block[2] in _SHELLS:
            yield from examples(block[3].replace("\n$ ", "\n").removeprefix("$ "))
    for indented in _INDENTED.finditer(_FENCED.sub("", page)):
        yield from examples(indented[0])


def take(call: list[str]) -> None:
    """Have the command line read a call without running it. Raises what click raises of one that it does not take."""
    command, words = GROUP, list(call)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    with command.make_context("flowvigil", words):
        pass


def _calls(words: list[str]) -> Iterator[list[str]]:
    """Commands of a line, without sudo and without where their streams go."""
    call: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if skip or word in (">", ">>", "<"):
            skip = not skip
        elif _OPERATORS.fullmatch(word):
            yield call[1:] if call[:1] == ["sudo"] else call
            call = []
        else:
            call.append(word)
