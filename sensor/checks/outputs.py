"""Whether what the sensor tells finds its way out: the file of alerts and the port of the metrics. Nothing is left."""

import errno
import os
import socket
import stat
from pathlib import Path

from sensor.checks.finding import Remark, Status, Subject
from sensor.errors import OutputError
from sensor.sinks.descriptors import APPEND, MODE, reason_of


def output(subject: Subject) -> Remark:
    """Open the file of alerts to append; one that the check had to make is removed again. Raises OutputError."""
    path = subject.config.output.file
    if path is None:
        return Remark("no file: alerts go to stdout, or to the screen on a terminal")
    try:
        made = _open(path)
    except OSError as error:
        if error.errno == errno.ENXIO and _is_pipe(path):
            return Remark(f"{path}: a pipe that nobody reads yet: the start waits for a reader", Status.WARNING)
        raise OutputError(f"{path}: cannot be opened for writing: {_reason(path, error)}") from error
    return Remark(f"{path}: can be made" if made else f"{path}: can be appended to")


def metrics(subject: Subject) -> Remark:
    """Bind the port of the metrics. Raises OutputError."""
    port = subject.config.stats.metrics_port
    if port is None:
        return Remark("no port set (stats.metrics_port)", Status.SKIPPED)
    from sensor.sinks.metrics import ADDRESS

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as serving:
        serving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the sensor does
        try:
            serving.bind((ADDRESS, port))
        except OSError as error:
            raise OutputError(
                f"stats.metrics_port {port}: {reason_of(error)} on {ADDRESS}, expected a port that is free"
            ) from error
    return Remark(f"{ADDRESS}:{port} is free")


def _open(path: Path) -> bool:
    """Open and close a file as the sensor does, but without waiting for a pipe's reader; whether it was made for that.

    What was made is removed. Raises OSError.
    """
    flags = APPEND | getattr(os, "O_NONBLOCK", 0)
    try:
        os.close(os.open(path, flags))
    except FileNotFoundError:
        target = path.resolve()  # a link to nothing is followed
        os.close(os.open(target, flags | os.O_CREAT | os.O_EXCL, MODE))
        target.unlink()
        return True
    return False


def _is_pipe(path: Path) -> bool:
    return stat.S_ISFIFO(path.stat().st_mode)


def _reason(path: Path, error: OSError) -> str:
    directory = path.resolve().parent
    if isinstance(error, FileNotFoundError) and not directory.exists():
        return f"there is no directory {directory}"
    return reason_of(error)
