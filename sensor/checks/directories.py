"""Checks of directories that the sensor fills: kept packets, the flow log. They are left as they were found."""

import os
from functools import partial
from pathlib import Path

from sensor.checks.privileges import without_privileges
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import OutputError, reason_of
from sensor.files.alone import InUseError, lock_alone, unlock


def kept_packets(context: CheckContext) -> Observation:
    """Try the directory of alert captures, which is for one sensor alone. Raises OutputError."""
    directory = context.config.keep_packets.directory
    if directory is None:
        return Observation("no directory set (keep_packets.directory)", CheckStatus.SKIPPED)
    return _tried(directory, context, f"packets cannot be kept in {directory}", alone=True)


def flow_log(context: CheckContext) -> Observation:
    """Try the directory of the flow log. Raises OutputError."""
    directory = context.config.flow_log.directory
    if directory is None:
        return Observation("no directory set (flow_log.directory)", CheckStatus.SKIPPED)
    return _tried(directory, context, f"flows cannot be kept in {directory}", alone=False)


def _tried(directory: Path, context: CheckContext, words: str, *, alone: bool) -> Observation:
    made = refuse_unusable(directory, context, words, alone=alone)
    return Observation(f"{directory}: can be {'made' if made else 'written to'}")


def refuse_unusable(directory: Path, context: CheckContext, words: str, *, alone: bool) -> bool:
    """Raise OutputError where a directory cannot be made, or not be used without privileges; whether it is to be made.

    words: with which the error begins. alone: no other process may work in it.
    """
    missing: Path | None = None
    place = directory.absolute()
    while not os.path.exists(place) and place != place.parent:
        missing, place = place, place.parent
    if not os.path.isdir(place):
        raise OutputError(f"{words}: {place} is no directory")
    if missing is not None:
        try:
            missing.mkdir(mode=0o750)
            missing.rmdir()
        except OSError as error:
            raise OutputError(f"{words}: {missing} cannot be made: {reason_of(error)}") from error
    elif alone:
        _refuse_used(place, words)
    if why := without_privileges(context, partial(_unusable, place, os.X_OK if missing else os.W_OK | os.X_OK)):
        raise OutputError(f"{words}: once its privileges have gone, the sensor {why}")
    return missing is not None


def _refuse_used(directory: Path, words: str) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:  # which whoever drops its privileges is told of
        return
    try:
        lock_alone(descriptor)
    except InUseError as error:
        raise OutputError(f"{words}: {error.strerror}, expected a directory of its own") from error
    finally:
        unlock(descriptor)


def _unusable(place: Path, mode: int) -> str:
    """Why this process cannot work in a directory, or ""."""
    return "" if os.access(place, mode) else f"may not {'write to' if mode & os.W_OK else 'enter'} {place}"
