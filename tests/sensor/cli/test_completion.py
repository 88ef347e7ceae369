"""Completion in real shells, interactive ones on a terminal where that is what matters."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command import FLOWVIGIL, surroundings

pytestmark = pytest.mark.ux

PATIENCE_S = 20.0
PROMPT = "ready> "
ASK = "_FLOWVIGIL_COMPLETE=source_{} flowvigil"


@pytest.fixture
def shell_environment(tmp_path: Path) -> dict[str, str]:
    """Where `flowvigil` is the command of this tree."""
    program = tmp_path / "bin" / "flowvigil"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(FLOWVIGIL)} "$@"\n')
    program.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    path = f"{program.parent}:{os.environ['PATH']}"
    return surroundings(PATH=path, HOME=str(home), TERM="dumb", PS1=PROMPT, COLUMNS="200")


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"needs {shell}")


def typed(shell: list[str], steps: list[tuple[str, str]], environment: dict[str, str]) -> str:
    """All that a shell on a terminal shows. steps: what is typed, and what must be shown before the next is typed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(shell[0], shell, environment)  # noqa: S606  # pty.fork has no other way
    shown = ""
    try:
        for keys, expected in [("", PROMPT), *steps]:
            os.write(terminal, keys.encode())
            from_here = len(shown)
            deadline = time.monotonic() + PATIENCE_S
            while expected not in shown[from_here:] and time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.1)[0]:
                    shown += os.read(terminal, 4096).decode(errors="replace")
            assert expected in shown[from_here:], shown
    finally:
        os.close(terminal)  # the shell is hung up on
        os.waitpid(child, 0)
    return shown


@needs("bash")
def test_bash_on_a_terminal_completes_commands_options_and_their_values(shell_environment: dict[str, str]) -> None:
    steps = [
        (f'eval "$({ASK.format("bash")})"\n', PROMPT),
        ("flowvigil eval\t", "flowvigil evaluate "),
        ("--prot\t", "--protocol "),
        ("leave\t", "leave-one-out "),
    ]
    typed(["bash", "--norc", "-i"], steps, shell_environment)


@needs("bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("flowvigil", "re"), {"read", "rehearse", "report"}),
        (("flowvigil", "config", ""), {"show", "check"}),
        (("flowvigil", "read", "--fail"), {"--fail-on"}),
        (("flowvigil", "read", "--fail-on", ""), {"attack", "uncertain"}),
        (("flowvigil", "flows", "--dialect", "c"), {"cic2017"}),
        (("flowvigil", "read", "--set", "meter.i"), {"meter.idle_timeout_s="}),
        (("flowvigil", "--log-format", ""), {"text", "json"}),
    ],
)
def test_bash_is_given_what_fits(words: tuple[str, ...], expected: set[str], shell_environment: dict[str, str]) -> None:
    script = (
        f'eval "$({ASK.format("bash")})"\n'
        f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}\n"
        '_flowvigil_completion flowvigil; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    run = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=shell_environment, timeout=60, check=True
    )
    assert set(run.stdout.split()) == expected
    assert run.stderr == ""


@needs("fish")
def test_fish_is_given_what_fits(shell_environment: dict[str, str]) -> None:
    script = f"env {ASK.format('fish')} | source; complete -C 'flowvigil re'"
    run = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        env=shell_environment,
        timeout=60,
        check=True,
    )
    assert {line.split("\t")[0] for line in run.stdout.splitlines()} == {"read", "rehearse", "report"}


@needs("zsh")
def test_zsh_on_a_terminal_completes_a_command(shell_environment: dict[str, str]) -> None:
    steps = [
        ("autoload -Uz compinit; compinit -u -D\n", PROMPT),
        (f'eval "$({ASK.format("zsh")})"\n', PROMPT),
        ("flowvigil eval\t", "uate"),
    ]
    typed(["zsh", "-f", "-i"], steps, shell_environment)
