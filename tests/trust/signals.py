"""Signals at random moments over the commands: each ends in order, with its code, and leaves nothing behind."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sensor.cli.build import bundle_path
from sensor.cli.bundle_output import OF_BUNDLES
from sensor.errors import INTERRUPTED, OK
from tests.support.command import DEMO, launched, surroundings
from tests.support.kdd_tables import as_kdd_text, kdd_table, recipe_text
from tests.trust.claim import Claim, Outcome

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WITHIN_S: Final = 2.0  # of processor time and waiting on a quiet machine
PATIENCE: Final = 10  # times as long where others use the machine
STARTING_S: Final = 2.0  # until a command's own handlers are there, on a busy machine
OLD: Final = b"what was there before\n"


@dataclass(frozen=True, slots=True)
class Try:
    """A command, and what it writes."""

    words: tuple[str, ...]
    output: str = ""  # a file in the working directory, which exists before
    codes: tuple[int, ...] = ()  # with which it ends beside that of an interrupt and 0


COMMANDS: Final = (
    Try(("read", str(DEMO), "-o", "alerts.jsonl")),
    Try(("read", "-", "-o", "alerts.jsonl")),
    Try(("read", "many", "-o", "alerts.jsonl")),
    Try(("read", "pipe")),
    Try(("flows", str(DEMO), "-o", "out.csv"), "out.csv"),
    Try(("flows", "-", "-o", "out.csv"), "out.csv"),
    Try(("report", str(DEMO), "-o", "out.html"), "out.html"),
    Try(("rehearse", str(DEMO), "-o", "out.html"), "out.html", codes=(11,)),
    Try(("baseline", "default", str(DEMO), "-o", "site", "--page", "out.html"), "out.html", codes=(6,)),
    Try(("selftest",), codes=(11,)),
    Try(("check", str(DEMO))),
    Try(("alerts", "tail", "-f", "many.jsonl")),
    Try(("alerts", "convert", "-"), codes=(2,)),
    Try(("alerts", "stats", "many.jsonl"), codes=(6,)),
    Try(("alerts", "search", "many.jsonl", "scan"), codes=(6,)),
    Try(("serve", "--listen", "127.0.0.1:0")),
    Try(("schema", "alert")),
    Try(("explore", "train.txt", "-o", "out.html"), "out.html"),
    Try(("train", "recipe.yaml", "--data", ".", "-o", "site")),
    Try(("evaluate", "nsl-kdd", "train.txt", "-o", "out.html"), "out.html"),
    Try(("promote", "cic2017", "--over", "bundle"), codes=(11,)),
    Try(("check", "--json", "-o", "alerts.jsonl")),
)


def random_signals(scale: float) -> Outcome:
    """Signals to commands that have run for a random time."""
    chance, failures, longest = random.Random(18), [], 0.0
    tries = max(len(COMMANDS), round(len(COMMANDS) * 8 * scale))
    for number in range(tries):
        one, sent = COMMANDS[number % len(COMMANDS)], chance.choice(SIGNALS)
        after_s = chance.choice((0.3, 1.0, 3.0)) * chance.random()
        try:
            longest = max(longest, send_one(one, sent, after_s, twice=not number % 5))
        except AssertionError as error:
            failures.append(f"{' '.join(one.words)[:60]}, {sent.name} after {after_s:.2f} s: {str(error)[:300]}")
    return Outcome(tries, failures, f"ended after {longest:.1f} s at most")


def send_one(one: Try, sent: signal.Signals, after_s: float, *, twice: bool) -> float:
    """Run a command and send it a signal; how long it went on. Raises AssertionError."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        before = arranged(directory, one)
        process = launched(
            one.words, (), surroundings(), cwd=directory, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            time.sleep(after_s)
            had_ended = process.poll() is not None
            began = time.monotonic()
            process.send_signal(sent)
            if twice:
                process.send_signal(sent)
            stderr = ended_within(process, WITHIN_S * PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        seconds = time.monotonic() - began
        assert "Traceback" not in stderr, stderr
        assert "ignored" not in stderr, stderr
        code = process.returncode
        # before the first line of the program the signal does what it does by itself
        allowed = {INTERRUPTED, OK, *one.codes, *((-sent,) if after_s < STARTING_S else ())}
        assert had_ended or code in allowed, f"code {code}: {stderr}"
        check_files(directory, one, before, killed=twice or code == -sent)
        return seconds


def ended_within(process: "subprocess.Popen[bytes]", seconds: float) -> str:
    """Wait until it ends, with its standard input open; what it said on stderr."""
    stdin, process.stdin = process.stdin, None
    try:
        _, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"runs {seconds:.0f} s later") from None
    finally:
        if stdin is not None:
            stdin.close()
    return stderr.decode(errors="replace")


def arranged(directory: Path, one: Try) -> set[str]:
    """What the commands read, and what is there before they write; the names."""
    if "many" in one.words:
        (directory / "many").mkdir()
        for number in range(200):
            (directory / "many" / f"{number}.pcap.gz").symlink_to(DEMO)
    if "many.jsonl" in one.words:
        (directory / "many.jsonl").write_bytes(b"{}\n" * 200_000)
    if "pipe" in one.words:
        os.mkfifo(directory / "pipe")
    if "train.txt" in one.words or "recipe.yaml" in one.words:
        records = as_kdd_text(kdd_table(), directory / "train.txt").read_bytes()
        (directory / "recipe.yaml").write_text(recipe_text(hashlib.sha256(records).hexdigest()))
    if "bundle" in one.words:
        shutil.copytree(bundle_path(None), directory / "bundle")
    if one.output:
        (directory / one.output).write_bytes(OLD)
    return set(os.listdir(directory))


def check_files(directory: Path, one: Try, before: set[str], *, killed: bool) -> None:
    """Old or new files, whole lines, and no leftovers but those of a process that was ended on the spot."""
    if one.output:
        content = (directory / one.output).read_bytes()
        assert content == OLD or content[-1:] in (b"\n", b">"), content[-80:]
        assert content, "the output is empty"
    alerts = directory / "alerts.jsonl"
    if alerts.exists():
        content = alerts.read_bytes()
        assert killed or not content or content.endswith(b"\n"), content[-80:]
    left = {name for name in os.listdir(directory) if name not in before} - {"alerts.jsonl", "site"}
    assert killed or not left, f"left behind: {left}"
    if (directory / "site").exists():
        assert set(os.listdir(directory / "site")) <= {*OF_BUNDLES}, os.listdir(directory / "site")


CLAIMS: Final = (
    Claim(
        "random-signals",
        "SIGINT, SIGTERM and SIGHUP at any moment end every command in order, with code 130 or as it would have ended, "
        "no traceback, the old or the new file, and nothing left behind; a second one ends it at once.",
        "signals",
        random_signals,
        minutes=3.0,
    ),
)
