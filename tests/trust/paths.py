"""What root writes while whoever owns the directories on the way exchanges them for links, as fast as it can."""

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from sensor.api.listening import ListenAddress, listening_socket
from sensor.attach.place import listen
from sensor.cli.kept_of_captures import whole_directory
from sensor.errors import SensorError
from sensor.files.exchange import exchange
from sensor.files.ownership import APPEND, CREATE, make_owned_directory, open_owned
from sensor.files.replacing import BusyError, ReplacedDirectory
from sensor.files.unfinished import create_locked, whole_file
from sensor.flow_log.directory import LogDirectory
from sensor.flow_log.files import LogName
from sensor.jobs.run_directory import Capture, Identity, RunDirectory
from sensor.outputs.spool import Spool
from sensor.packets.directory import PacketDirectory
from sensor.packets.packet_files import PacketFiles
from sensor.packets.rotation import RotatingWriter
from sensor.process.privileges import User
from tests.trust.claim import Claim, NotTriedError, Outcome

NOBODY: Final = User("nobody", 65534, 65534)
SECRET: Final = b"root's own\n"
KEPT: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ.pcapng"  # a name as kept packets have
SERVED: Final = "api.sock"
TIMES: Final = 150  # that each writer writes at scale 1


def appended(place: Path, _number: int) -> None:
    """An output that stands there already, or is made."""
    os.close(open_owned(place / "alerts.jsonl", APPEND, NOBODY))


def appended_as_root(place: Path, _number: int) -> None:
    """The same of a run that stays root."""
    descriptor = open_owned(place / "alerts.jsonl", APPEND, None)
    os.write(descriptor, b"line\n")
    os.close(descriptor)


def created(place: Path, number: int) -> None:
    """A file of packets (--write)."""
    os.close(open_owned(place / f"new-{number}", CREATE | os.O_EXCL, NOBODY))


def directory_made(place: Path, number: int) -> None:
    """A directory of kept packets or flows, with one above it."""
    make_owned_directory(place / f"made-{number}" / "inner", NOBODY)


def packets_kept(place: Path, number: int) -> None:
    """Captures of alerts, of which the oldest give way."""
    directory = PacketDirectory(place, 3)
    directory.write(KEPT, b"abc")
    directory.write(f"{number:026}".translate(str.maketrans("0123456789", "ABCDEFGHIJ")) + ".pcapng", b"abc")
    directory.close()


def packets_rotated(place: Path, number: int) -> None:
    """Files of all packets, of which the oldest are removed."""
    writer = RotatingWriter(PacketFiles(place / f"rotated-{number}", size_bytes=1, files=1), 1, NOBODY)
    writer._begin_next(2, 0)
    writer.close()


def flows_logged(place: Path, number: int) -> None:
    """Files of a flow log, which get their names when they are whole."""
    directory, name = LogDirectory(place, 1), LogName(number, f"{number:016x}", 1)
    os.close(create_locked(directory.unfinished(name)))
    directory.finish(name, 1)


def spooled(place: Path, number: int) -> None:
    """Lines that wait for a receiver."""
    spool = Spool(place / f"spool-{number % 3}", 1 << 20)
    spool.append([b"{}\n"])
    spool.close()


def page_written(place: Path, _number: int) -> None:
    """A report, a table or a model: whole, or not at all."""
    with whole_file(place / "alerts.jsonl") as stream:
        stream.write(b"page")


def bundle_replaced(place: Path, _number: int) -> None:
    """A bundle (baseline -o, promote), which gets the owners of the one before."""

    def write(fresh: Path) -> None:
        (fresh / "manifest.json").write_bytes(b"{}")

    directory = ReplacedDirectory(place / "bundle")
    with directory.locked():
        if directory.name.exists():
            directory.replace(write)
        else:
            directory.create(write)


def socket_made(place: Path, number: int) -> None:
    """The socket of attached terminals."""
    listen(place / f"attach-{number}.sock", NOBODY, None).leave()


def api_served(place: Path, _number: int) -> None:
    """The socket of the API, at a name that root's directory has, too."""
    with listening_socket(ListenAddress("", 0, place / SERVED)):
        return


def run_begun(place: Path, number: int) -> None:
    """The directory of a run over captures (--run)."""
    capture = Capture("a.pcap", 1)
    with RunDirectory(place / f"run-{number}").held(Identity("1", "b", "s", {}), resume=False) as run:
        run.make_room([capture])
        with whole_file(run.part(capture)) as lines:
            lines.write(b"{}\n")
        run.keep_end(capture, {"sha256": ""})
        run.discard(capture)


def packets_of_a_capture(place: Path, number: int) -> None:
    """Packets that one of many captures keeps, in a directory that gets its name at the end."""
    with whole_directory(place / f"capture-{number % 3}") as making:
        directory = PacketDirectory(making, 1 << 20)
        directory.write(KEPT, b"abc")
        directory.close()


WRITERS: Final = (
    appended, appended_as_root, created, directory_made, packets_kept, packets_rotated, flows_logged, spooled,
    page_written, bundle_replaced, socket_made, api_served, run_begun, packets_of_a_capture,
)  # fmt: skip


def renamers(scale: float) -> Outcome:
    """Every writer against a process that exchanges a directory, and a file in it, for links to root's."""
    if os.geteuid():
        raise NotTriedError("needs root")
    times, tries, done, failures = max(10, round(TIMES * scale)), 0, 0, []
    for writer in WRITERS:
        with places() as (attacked, roots), attacker(attacked):
            before, given = account(roots), ""
            for number in range(times):
                tries += 1
                with suppress(OSError, SensorError, BusyError):
                    writer(attacked / "place", number)
                    done += 1
                given = changed(before, account(roots))
                if given:
                    failures.append(f"{writer.__name__}, try {number}: {given}")
                    break
    return Outcome(tries, failures, f"{done:,} of {tries:,} went through, the others were refused in a line")


def changed(before: dict[str, tuple[int, int, bytes]], now: dict[str, tuple[int, int, bytes]]) -> str:
    """What became of root's files, "" for nothing."""
    for name in {*before, *now}:
        if before.get(name) != now.get(name):
            return f"{name}: was {before.get(name)}, is {now.get(name)} (uid, gid, content)"
    return ""


def account(roots: Path) -> dict[str, tuple[int, int, bytes]]:
    """Owner and content of everything below a directory of root's."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for path in [roots, *roots.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(roots))] = status.st_uid, status.st_gid, content
    return found


@contextmanager
def places() -> Iterator[tuple[Path, Path]]:
    """A directory of nobody's, with a place in it and a link to root's directory, which has the same names in it."""
    base = Path(mkdtemp(prefix="flowvigil-trust-"))
    base.chmod(0o755)
    try:
        roots, attacked = base / "roots", base / "attacked"
        roots.mkdir()
        for name in ("alerts.jsonl", KEPT, "manifest.json", SERVED):
            (roots / name).write_bytes(SECRET)
        (roots / "bundle").mkdir()
        (roots / "bundle" / "manifest.json").write_bytes(SECRET)
        for made in (attacked, attacked / "place", attacked / "place" / "bundle"):
            made.mkdir()
            os.chown(made, NOBODY.uid, NOBODY.gid)
        (attacked / "link").symlink_to(roots)
        for link in ("file-link", "new-link"):
            (attacked / "place" / link).symlink_to(roots / "alerts.jsonl")
        (attacked / "place" / "alerts.jsonl").write_bytes(b"")
        os.chown(attacked / "place" / "alerts.jsonl", NOBODY.uid, NOBODY.gid)
        yield attacked, roots
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def attacker(attacked: Path) -> Iterator[None]:
    """A process of nobody's that exchanges names on and on, at a pace that changes."""
    process = os.fork()
    if not process:
        os.setgroups([])
        os.setresgid(NOBODY.gid, NOBODY.gid, NOBODY.gid)
        os.setresuid(NOBODY.uid, NOBODY.uid, NOBODY.uid)
        exchange_names(attacked)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def exchange_names(attacked: Path) -> None:
    """Until this process is killed, or after a minute or two."""
    place, link = attacked / "place", attacked / "link"
    until, number = time.monotonic() + 300, 0
    while time.monotonic() < until:
        number += 1
        with suppress(OSError):
            exchange(place, link)
        for fresh in attacked.glob("place/.bundle.new-*"):  # what a bundle is written into
            with suppress(OSError):
                os.rename(fresh, attacked / f"taken-{number}")
                fresh.symlink_to(attacked.parent / "roots")
        with suppress(OSError):
            exchange(place / "alerts.jsonl", place / "file-link")
        if number % 3 == 0:
            time.sleep(0.0002 * (number % 7))
    os._exit(0)


CLAIMS: Final = (
    Claim(
        "renamers",
        "A sensor that is started as root writes to no file of root's and gives none away, while whoever owns a "
        "directory on the way exchanges it, and files in it, for links.",
        "races",
        renamers,
        minutes=0.7,
        needs="root",
    ),
)
