"""Check of the user that the sensor becomes, and trials by a process that drops its privileges as the sensor does."""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import CONFIG, OK, ConfigError, SensorError, reason_of

if TYPE_CHECKING:
    from sensor.process.privileges import User

LINUX: Final = sys.platform == "linux"
ENDING_S: Final = 5.0  # for the process of a trial that has answered
ANSWER_BYTES: Final = 4096  # PIPE_BUF: written to a pipe at once

Trial = Callable[[], str]  # why something cannot be done, or ""


def user(context: CheckContext) -> Observation:
    """Find the user that the sensor becomes once it captures, and try to become it. Raises ConfigError, SensorError."""
    if not LINUX:
        return Observation("the sensor stays who started it", CheckStatus.SKIPPED)
    becomes = owner_of(context)
    once_dropped(becomes, str)
    if becomes is None:
        return Observation("the sensor stays who started it, which is not root")
    return Observation(f"root starts it and it becomes {becomes.name} (uid {becomes.uid})")


def owner_of(context: CheckContext) -> "User | None":
    """The user that the sensor becomes; None where it keeps the one that started it. Raises ConfigError."""
    if not LINUX:
        return None
    from sensor.process.privileges import user_to_become

    return user_to_become(context.config.process.user)


def without_privileges(context: CheckContext, trial: Trial) -> str:
    """Result of a trial with the privileges of a running sensor; with our own where those cannot be dropped.

    The check of the user reports that case.
    """
    try:
        return once_dropped(owner_of(context), trial)
    except SensorError:
        return trial()


def once_dropped(becomes: "User | None", trial: Trial) -> str:
    """Result of a trial by a forked process that has dropped its privileges. Raises as drop does."""
    if not LINUX:
        return trial()
    reading, writing = os.pipe()
    from sensor.process.children import Child

    child = Child(partial(_answer, writing, becomes, trial))
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as answer:
            received = os.fsdecode(answer.read())
    finally:
        if child.ended(ENDING_S) is None:
            child.end()
    code, _, text = received.partition(" ")
    if code != str(OK):
        raise (ConfigError if code == str(CONFIG) else SensorError)(text or "no answer without privileges")
    return text


def _answer(writing: int, becomes: "User | None", trial: Trial) -> int:
    """Run a trial in the forked child; its exit code."""
    from sensor.process.children import settled
    from sensor.process.privileges import drop

    settled()
    sent = ""
    try:
        drop(becomes)
        sent = f"{OK} {trial()}"
    except SensorError as error:
        sent = f"{error.exit_code} {error}"
    except OSError as error:
        sent = f"{SensorError.exit_code} {reason_of(error)}"
    finally:
        os.write(writing, os.fsencode(sent)[:ANSWER_BYTES])
    return OK
