"""What a check looks at and what it finds. Knows no check."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.errors import OK, SensorError

if TYPE_CHECKING:
    from flows.meter import Meter
    from models.fusion import Hybrid
    from sensor.judging.judge import Judge
    from sensor.settings.config import Config


class Status(StrEnum):
    """How a check ended. A warning keeps nothing from running; what was skipped could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. detail: lines below it. exit_code: of a failure, else 0."""

    name: str
    status: Status
    message: str
    detail: tuple[str, ...] = ()
    exit_code: int = OK


@dataclass(frozen=True, slots=True)
class Remark:
    """What a check says that did not fail."""

    message: str
    status: Status = Status.OK


@dataclass(slots=True)
class Subject:
    """The sensor as it would be started. packets: the file they are kept in. hybrid: the model, once it was loaded.

    cache: what was said of the directory of compiled kernels when it was chosen, which can be done only once.
    """

    config: "Config"
    interfaces: tuple[str, ...]
    cache: Remark
    load: "Callable[[Config], Hybrid]"
    new_meter: "Callable[[Config], Meter]"
    new_judge: "Callable[[Config, Hybrid], Judge]"
    packets: Path | None = None
    hybrid: "Hybrid | None" = None


Check = Callable[[Subject], Remark]  # raises SensorError for a failure


def finding_of(name: str, check: Check, subject: Subject) -> Finding:
    """What a check finds."""
    try:
        remark = check(subject)
    except SensorError as error:
        return failure(name, error)
    return Finding(name, remark.status, remark.message)


def failure(name: str, error: SensorError) -> Finding:
    """The finding that an error is."""
    return Finding(name, Status.FAILED, str(error), error.detail, error.exit_code)
