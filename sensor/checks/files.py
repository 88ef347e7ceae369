"""Checks of the files that the sensor writes: alerts and packets. They are left as they were found."""

import errno
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.checks.privileges import Trial, owner_of, without_privileges
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError, OutputError, reason_of
from sensor.files.held import held, target_of
from sensor.files.ownership import APPEND, MODE
from sensor.files.special import is_special

if TYPE_CHECKING:
    from sensor.packets.packet_files import PacketFiles


def output(context: CheckContext) -> Observation:
    """Open the file of alerts to append; one that the check created is removed again. Raises OutputError."""
    path = context.config.output.file
    if path is None:
        return Observation("no file: alerts go to stdout, or to the screen on a terminal")
    observation = open_to_append(path, context)
    if observation.status is CheckStatus.OK and (why := without_privileges(context, partial(_cannot_reopen, path))):
        return Observation(
            f"{observation.message}, but not opened again when the settings are read again or after a log rotation: "
            f"once its privileges have gone, the sensor {why}",
            CheckStatus.WARNING,
        )
    return observation


def packets(context: CheckContext) -> Observation:
    """Open the capture file to write, and leave it as it is; of files in turn the first one. Raises OutputError."""
    if context.packets is None:
        return Observation("no file named (--write)", CheckStatus.SKIPPED)
    observation = open_to_append(context.packets.free_path(time.time_ns()), context)
    if context.packets.rotates:
        refuse_rotation(context.packets, partial(without_privileges, context))
    return observation


def refuse_rotation(files: "PacketFiles", tried: Callable[[Trial], str]) -> None:
    """Raise OutputError where the sensor could make the first of these files only, while it has its privileges.

    tried: result of a trial without them.
    """
    directory = files.path.absolute().parent
    if not os.path.isdir(directory):
        raise OutputError(f"{files.path}: packets cannot be written: there is no directory {directory}")
    why = tried(partial(_cannot_make, files.free_path(time.time_ns(), 1)))
    if why:
        raise OutputError(
            f"{files.path}: packets cannot be written to files in turn: once its privileges have gone, the sensor "
            f"cannot make {why}, expected a directory in which its user can"
        )


def open_to_append(path: Path, context: CheckContext) -> Observation:
    """Open and close a file to append, and leave it as it was. Raises OutputError."""
    try:
        found = try_to_open(path, given_away=_gives_away(context))
    except OSError as error:
        raise OutputError(f"{path}: cannot be opened for writing: {_reason(path, error)}") from error
    if found is None:
        return Observation(f"{path}: a pipe, which waits for its reader: too much is lost", CheckStatus.WARNING)
    made, full = found
    if full:
        return Observation(f"{path}: can be opened, but its file system has no space left", CheckStatus.WARNING)
    return Observation(f"{path}: can be made" if made else f"{path}: can be written to")


def try_to_open(path: Path, *, given_away: bool) -> tuple[bool, bool] | None:
    """Open and close a file as the sensor does, and leave it as it was. Raises OSError.

    given_away: a file that is created gets another owner, so it must not be the target of a link. Returns whether the
    file was created, and whether its file system is full; None of a pipe. No pipe and no device is opened: whoever
    reads a pipe would take that for the end.
    """
    if is_special(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return None if path.is_fifo() else (False, False)
    flags = APPEND | getattr(os, "O_NONBLOCK", 0)
    exists = os.path.exists(path)
    with held(path, to_create=True) if given_away and not exists else held(target_of(path)) as place:
        if exists:
            # The kernel may refuse O_CREAT for another user's file in a directory such as /tmp.
            return False, _close_and_is_full(place.open(flags if given_away else flags | os.O_CREAT, MODE))
        descriptor = place.open(flags | os.O_CREAT | os.O_EXCL, MODE)
        place.unlink()
    return True, _close_and_is_full(descriptor)


def _close_and_is_full(descriptor: int) -> bool:
    """Close a file; returns whether it is a regular one on a full file system."""
    try:
        if not hasattr(os, "fstatvfs") or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        room = os.fstatvfs(descriptor)
        return room.f_blocks > 0 and room.f_bavail == 0
    finally:
        os.close(descriptor)


def _gives_away(context: CheckContext) -> bool:
    try:
        return owner_of(context) is not None
    except ConfigError:  # which the check of the user reports
        return False


def _reason(path: Path, error: OSError) -> str:
    directory = Path(os.path.realpath(path)).parent
    if isinstance(error, FileNotFoundError) and not os.path.exists(directory):
        return f"there is no directory {directory}"
    if isinstance(error, FileExistsError):
        return "a link that leads nowhere, which is not followed for another user"
    return reason_of(error)


def _cannot_reopen(path: Path) -> str:
    """Why this process cannot open the file again, also after it was renamed, or ""."""
    directory = path.absolute().parent
    if os.access(path, os.F_OK):
        if not os.path.isfile(path):
            return ""
        if not os.access(path, os.W_OK):
            return f"may not write to {path}"
    return "" if os.access(directory, os.W_OK | os.X_OK) else f"may not make files in {directory}"


def _cannot_make(path: Path) -> str:
    """The path and why this process cannot make a file there, or ""."""
    try:
        try_to_open(path, given_away=False)
    except OSError as error:
        return f"{path}: {reason_of(error)}"
    return ""
