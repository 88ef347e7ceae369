"""kill -9 of commands that write a file or a bundle: whoever looks finds the old one or the new one."""

import hashlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from flows.columns import feature_contract
from flows.context.columns import context_contract
from flows.kdd.columns import kdd_contract
from tests.support.command import started
from tests.trust.claim import Claim, Outcome
from tests.trust.kills import made_capture, moved, write_synthetic


def killed_files(scale: float) -> Outcome:
    """`flows` and `report`, which write a file each: the old one or the new one."""
    chance, failures, killed = Random(19), list[str](), 0
    with tempfile.TemporaryDirectory(prefix="trust-kills-") as scratch:
        capture = Path(scratch) / "capture.pcap"
        base = made_capture(capture)
        for name, command in (("x.csv", "flows"), ("x.parquet", "flows"), ("x.html", "report")):
            target = Path(scratch) / name

            rows = set[int]()  # that a whole one has

            def whole(target: Path = target, rows: set[int] = rows) -> str:
                rows.add(rows_of(target.read_bytes()))
                return (
                    "" if min(rows) == max(rows) > 0 else f"{target.name} has {min(rows)} rows, a whole one {max(rows)}"
                )

            def moved_on(number: int) -> None:
                capture.write_bytes(moved(base, 600 * number))

            tried = Killed([command, str(capture), "-q", "-o", str(target)], target, whole, moved_on)
            killed += tried.kill(round(100 * scale), chance)
            failures += tried.failures
    return Outcome(killed, failures, "a CSV, a Parquet table and a page, a third each")


def killed_bundles(scale: float) -> Outcome:
    """`baseline` and `train`, which write a bundle each."""
    from tests.support.kdd_tables import as_kdd_text, kdd_table, recipe_text

    chance, failures, killed = Random(20), list[str](), 0
    with tempfile.TemporaryDirectory(prefix="trust-kills-") as scratch:
        directory = Path(scratch)
        normal = directory / "normal.pcap"
        write_synthetic(normal, "--scenario", "normal", "--minutes", "14")
        records = as_kdd_text(kdd_table(), directory / "train.txt").read_bytes()
        recipe = directory / "recipe.yaml"
        recipe.write_text(recipe_text(hashlib.sha256(records).hexdigest()))
        commands = {
            "site": ["baseline", "default", str(normal)],
            "mine": ["train", str(recipe), "--data", str(directory)],
        }
        for name, arguments in commands.items():
            target = directory / name

            def loads(target: Path = target) -> str:
                return unloadable(target)

            tried = Killed([*arguments, "-o", str(target)], target, loads)
            killed += tried.kill(round(100 * scale), chance)
            failures += tried.failures
    return Outcome(killed, failures, "half of them while the bundle was being written")


def killed_promotions(scale: float) -> Outcome:
    """What `promote` does once it has compared, and --rollback, of a directory that a sensor runs on."""
    from models.bundle import load_bundle
    from sensor.cli.build import bundle_path
    from sensor.cli.promoting import put_in_place
    from sensor.files.replacing import ReplacedDirectory
    from sensor.settings.config import Config
    from tests.support.killed import killed_after

    chance, failures, seen, kills = Random(21), list[str](), set[str](), round(100 * scale)
    with tempfile.TemporaryDirectory(prefix="trust-kills-") as scratch:
        site = Path(scratch) / "site"
        shutil.copytree(bundle_path(None), site)
        paths = [bundle_path(None), bundle_path(Path("cic2017"))]
        challengers = [(path, load_bundle(path, feature_contract(), context_contract())) for path in paths]
        directory = ReplacedDirectory(site)
        began = time.monotonic()
        put_in_place(directory, *challengers[1], {}, Config())
        once_s = time.monotonic() - began

        def promote(number: int) -> None:
            with directory.locked():
                if number % 4 == 3:
                    directory.restore()
                else:
                    put_in_place(directory, *challengers[number % 2], {}, Config())

        for _ in range(kills):
            killed_after(promote, chance, once_s)
            for path in (site, directory.previous):
                if failure := unloadable(path):
                    failures.append(failure)
            seen.add(load_bundle(site, feature_contract(), context_contract()).model_id)
    return Outcome(kills, failures, f"the directory led to {' or '.join(sorted(seen))}")


class Killed:
    """One command, killed again and again while what it writes is replaced."""

    def __init__(
        self,
        arguments: list[str],
        target: Path,
        faulty: Callable[[], str],
        prepare: Callable[[int], None] = lambda _: None,
    ) -> None:
        """faulty: what is wrong with the target, "" where it is the old one or the new one. prepare: before a start."""
        self.failures: list[str] = []
        self._arguments, self._target, self._faulty, self._prepare = arguments, target, faulty, prepare
        self._starts = 0

    def kill(self, count: int, chance: Random) -> int:
        """Kill it so often, half of the times once it has begun to write, and let it end, which removes leftovers."""
        typical_s = min(self._run(), self._run())
        killed = 0
        while killed < count and len(self.failures) < 5:
            process = self._start()
            if chance.random() < 0.5:
                self._wait_for_writing(process)
                moment = 0.01 * chance.random()
            else:
                moment = typical_s * chance.random()
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
            if process.returncode == -signal.SIGKILL:
                killed += 1
            elif process.returncode != 0:
                self.failures.append(f"{self._arguments[0]} ended with {process.returncode}")
            if fault := self._faulty():
                self.failures.append(f"{self._arguments[0]}: {fault}")
        self._run()
        if left := [path.name for path in self._leftovers()]:
            self.failures.append(f"{self._arguments[0]} left {left[0]}")
        return killed

    def _run(self) -> float:
        began = time.monotonic()
        process = self._start()
        _, errors = process.communicate(timeout=600)
        if process.returncode != 0:
            self.failures.append(f"{self._arguments[0]} ended with {process.returncode}: {errors[-300:]!r}")
        return time.monotonic() - began

    def _start(self) -> "subprocess.Popen[bytes]":
        self._starts += 1
        self._prepare(self._starts)
        return started(*self._arguments)

    def _wait_for_writing(self, process: "subprocess.Popen[bytes]") -> None:
        """Until something is written beside the target that was not there at the start."""
        before = set(self._leftovers())
        while process.poll() is None and not any(map(has_content, set(self._leftovers()) - before)):
            time.sleep(0.0005)

    def _leftovers(self) -> list[Path]:
        return list(self._target.parent.glob(f".{self._target.name}.*"))


def has_content(path: Path) -> bool:
    """Whether it is there and not empty."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def rows_of(content: bytes) -> int:
    """Rows of a table of our own, of a page 1; 0 where it has not its end, or no rows."""
    if content.startswith(b"PAR1"):
        from pyarrow import BufferReader, parquet

        return int(parquet.read_metadata(BufferReader(content)).num_rows) if content.endswith(b"PAR1") else 0
    if content.startswith(b"<!"):
        return int(content.rstrip().endswith(b"</html>"))
    lines = content.split(b"\n")
    return len(lines) - 2 if lines[-1] == b"" and len({line.count(b",") for line in lines[:-1]}) == 1 else 0


def unloadable(directory: Path) -> str:
    """Why a bundle cannot be loaded, "" where it can."""
    from models.bundle import BundleError, load_bundle

    contracts = feature_contract(), context_contract(), kdd_contract(content=True)
    try:
        load_bundle(directory, *contracts)
    except BundleError as error:
        return str(error)
    return ""


CLAIMS = (
    Claim(
        "killed-files",
        "A table or a page whose writer is killed is the old one or the new one; the next run removes what is left.",
        "kills",
        killed_files,
        minutes=3,
    ),
    Claim(
        "killed-promotions",
        "A bundle being promoted or rolled back is the old one or the new one at any moment.",
        "kills",
        killed_promotions,
    ),
    Claim(
        "killed-bundles",
        "A bundle that a killed baseline or train was to write is the old one or the new one.",
        "kills",
        killed_bundles,
        minutes=15,
        long=True,
    ),
)
