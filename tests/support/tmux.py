"""A shell in a terminal of tmux, and the sensor started in it by its keys."""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import FLOWVIGIL, surroundings

LONG_S = 60.0  # it may have to compile


class Pane:
    """A shell in a terminal of tmux."""

    def __init__(self, directory: Path, width: int, height: int, environment: dict[str, str]) -> None:
        self._tmux = ("tmux", "-S", str(directory / "tmux"), "-f", "/dev/null")
        self.run("new-session", "-d", "-x", str(width), "-y", str(height), "sh", env=environment)

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=20, env=env
        )
        return done.stdout

    def start(self, *arguments: str, before: str = "") -> None:
        self.keys(
            f"{before} {shlex.join((*FLOWVIGIL, *arguments))}; echo code=$?; stty -a | tr ' ;' '\\n\\n' > stty", "Enter"
        )

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.run("send-keys", *(("-l",) if len(key) > 1 and " " in key else ()), key)

    def shows(self, *words: str, within_s: float = 20.0) -> str:
        """The screen, once it shows all of these."""
        deadline = time.monotonic() + within_s
        while True:
            screen = self.run("capture-pane", "-p")
            if all(word in screen for word in words):
                return screen
            assert time.monotonic() < deadline, f"not {words} in\n{screen}"
            time.sleep(0.05)


@contextmanager
def opened(directory: Path) -> Iterator[Pane]:
    """A shell at work in a directory, where it may write."""
    environment = surroundings(PS1="$ ", TERM="xterm-256color") | {"HOME": os.environ.get("HOME", "/root")}
    environment.pop("COLUMNS")
    made = Pane(directory, 80, 24, environment)
    made.keys(f"cd {shlex.quote(str(directory))} && clear", "Enter")
    try:
        yield made
    finally:
        made.run("kill-server")


def as_it_was(directory: Path) -> bool:
    """Whether the terminal takes lines and shows what is typed."""
    deadline = time.monotonic() + 20
    while not (directory / "stty").exists() or "echoke" not in (directory / "stty").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    words = (directory / "stty").read_text().split()
    return "icanon" in words and "echo" in words
