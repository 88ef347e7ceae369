"""Whom the sensor becomes, and whether what it tells then finds its way out: its files and the port of the metrics.

Nothing is left. What the sensor does only once its privileges have gone is tried in a process that gives them up too.
"""

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.checks.finding import Remark, Status, Subject
from sensor.errors import CONFIG, OK, ConfigError, OutputError, SensorError
from sensor.files.descriptors import APPEND, MODE, reason_of

if TYPE_CHECKING:
    from sensor.process.privileges import User

LINUX: Final = sys.platform == "linux"
ANSWER: Final = 4096  # bytes that a pipe takes at once

Question = Callable[[], str]


def user(subject: Subject) -> Remark:
    """Find the user that the sensor becomes once it captures, and become it. Raises ConfigError, SensorError."""
    if not LINUX:
        return Remark("the sensor stays who started it", Status.SKIPPED)
    becomes = owner_of(subject)
    _once_dropped(becomes, str)
    if becomes is None:
        return Remark("the sensor stays who started it, which is not root")
    return Remark(f"root starts it and it becomes {becomes.name} (uid {becomes.uid})")


def output(subject: Subject) -> Remark:
    """Open the file of alerts to append; one that the check had to make is removed again. Raises OutputError."""
    path = subject.config.output.file
    if path is None:
        return Remark("no file: alerts go to stdout, or to the screen on a terminal")
    remark = opened(path, subject)
    if remark.status is Status.OK and (why := without_privileges(subject, partial(_not_again, path))):
        return Remark(
            f"{remark.message}, but not opened again when the settings are read again or after a log rotation: "
            f"once its privileges have gone, the sensor {why}",
            Status.WARNING,
        )
    return remark


def packets(subject: Subject) -> Remark:
    """Open the file that packets are kept in, and leave it as it is. Raises OutputError."""
    if subject.packets is None:
        return Remark("no file named (--write)", Status.SKIPPED)
    return opened(subject.packets, subject)


def metrics(subject: Subject) -> Remark:
    """Listen on the port of the metrics. Raises ConfigError."""
    port = subject.config.stats.metrics_port
    if port is None:
        return Remark("no port set (stats.metrics_port)", Status.SKIPPED)
    from sensor.progress.prometheus import ADDRESS

    if why := without_privileges(subject, partial(_not_served, ADDRESS, port)):
        raise ConfigError(f"stats.metrics_port {port}: {why} on {ADDRESS}, expected a port that is free")
    return Remark(f"{ADDRESS}:{port} is free")


def opened(path: Path, subject: Subject) -> Remark:
    """Open a file to append, and leave it as it was. Raises OutputError."""
    try:
        made, full = _open(path, given_away=_gives_away(subject))
    except OSError as error:
        if error.errno == errno.ENXIO and _is_pipe(path):
            return Remark(f"{path}: a pipe that nobody reads yet: the start waits for a reader", Status.WARNING)
        raise OutputError(f"{path}: cannot be opened for writing: {_reason(path, error)}") from error
    if full:
        return Remark(f"{path}: can be opened, but its file system has no space left", Status.WARNING)
    return Remark(f"{path}: can be made" if made else f"{path}: can be written to")


def _open(path: Path, *, given_away: bool) -> tuple[bool, bool]:
    """Open and close a file as the sensor does, but without waiting for a pipe's reader, or truncating it.

    given_away: what is made gets another owner, so it may not be where a link leads to. Returns whether the file was
    made, which is undone, and whether it has no room. Raises OSError.
    """
    flags = APPEND | getattr(os, "O_NONBLOCK", 0)
    if path.exists():
        # The kernel may refuse O_CREAT for another user's file in a directory such as /tmp.
        return False, _closed(os.open(path, flags if given_away else flags | os.O_CREAT, MODE))
    target = path if given_away else os.path.realpath(path)
    descriptor = os.open(target, flags | os.O_CREAT | os.O_EXCL, MODE)
    os.unlink(target)
    return True, _closed(descriptor)


def _closed(descriptor: int) -> bool:
    """Close a file; whether it is one on a file system without space."""
    try:
        if not hasattr(os, "fstatvfs") or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        room = os.fstatvfs(descriptor)
        return room.f_blocks > 0 and room.f_bavail == 0
    finally:
        os.close(descriptor)


def _gives_away(subject: Subject) -> bool:
    try:
        return owner_of(subject) is not None
    except ConfigError:  # of which the user's own check tells
        return False


def _is_pipe(path: Path) -> bool:
    return stat.S_ISFIFO(path.stat().st_mode)


def _reason(path: Path, error: OSError) -> str:
    directory = Path(os.path.realpath(path)).parent
    if isinstance(error, FileNotFoundError) and not directory.exists():
        return f"there is no directory {directory}"
    if isinstance(error, FileExistsError):
        return "a link that leads nowhere, which is not followed for another user"
    return reason_of(error)


def _not_again(path: Path) -> str:
    """Why the file cannot be opened again by who asks, also after it was renamed; nothing when it can."""
    directory = path.absolute().parent
    if os.access(path, os.F_OK):
        if not path.is_file():
            return ""
        if not os.access(path, os.W_OK):
            return f"may not write to {path}"
    return "" if os.access(directory, os.W_OK | os.X_OK) else f"may not make files in {directory}"


def _not_served(address: str, port: int) -> str:
    """Why nobody can be served at a port by who asks; nothing when they can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as serving:
        serving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the sensor does
        try:
            serving.bind((address, port))
            serving.listen()
        except OSError as error:
            return reason_of(error)
    return ""


def owner_of(subject: Subject) -> "User | None":
    """Whom the sensor becomes, None where it stays who started it. Raises ConfigError."""
    if not LINUX:
        return None
    from sensor.process.privileges import user_to_become

    return user_to_become(subject.config.process.user)


def without_privileges(subject: Subject, question: Question) -> str:
    """The answer of a sensor at work; of this process where it cannot become one, which is told elsewhere."""
    if not LINUX:
        return question()
    try:
        return _once_dropped(owner_of(subject), question)
    except SensorError:
        return question()


def _once_dropped(becomes: "User | None", question: Question) -> str:
    """The answer of a process of its own that has given up its privileges. Raises ConfigError, SensorError as drop."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _answer_and_end(writing, becomes, question)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = os.fsdecode(answer.read())
    os.waitpid(child, 0)
    code, _, text = said.partition(" ")
    if code != str(OK):
        raise (ConfigError if code == str(CONFIG) else SensorError)(text or "no answer without privileges")
    return text


def _answer_and_end(writing: int, becomes: "User | None", question: Question) -> None:
    """In the child: nothing of the parent's goes on here, whatever happens."""
    from sensor.process.privileges import drop

    said = ""
    try:
        drop(becomes)
        said = f"{OK} {question()}"
    except SensorError as error:
        said = f"{error.exit_code} {error}"
    except OSError as error:
        said = f"{SensorError.exit_code} {reason_of(error)}"
    finally:
        os.write(writing, os.fsencode(said)[:ANSWER])
        os._exit(0)
