"""What a check receives and what it returns; it knows no check."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sensor.errors import OK, SensorError
from sensor.process.kernel_cache import COMPLETE

if TYPE_CHECKING:
    from flows.meter import Meter
    from models.fusion import Hybrid
    from sensor.judging.judge import Judge
    from sensor.packets.packet_files import PacketFiles
    from sensor.settings.config import Config


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"  # the sensor starts all the same
    FAILED = "failed"  # the sensor would stop here
    SKIPPED = "skipped"  # not applicable here, or it needs what another check found missing


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check, a line of the report."""

    name: str
    status: CheckStatus
    message: str
    detail: tuple[str, ...] = ()  # lines below the message
    exit_code: int = OK  # of the sensor that would stop with this failure


@dataclass(frozen=True, slots=True)
class Observation:
    """What a check that did not fail observed."""

    message: str
    status: CheckStatus = CheckStatus.OK
    detail: tuple[str, ...] = ()  # lines below the message


@dataclass(slots=True)
class CheckContext:
    """The sensor as it would be started: what all checks share."""

    config: "Config"
    interfaces: tuple[str, ...]
    cache: Observation  # of the choice of the kernel cache, which is made only once in a process
    load: "Callable[[Config], Hybrid]"
    new_meter: "Callable[[Config], Meter]"
    new_judge: "Callable[[Config, Hybrid], Judge]"
    packets: "PacketFiles | None" = None  # the capture files to write (--write)
    shifts_are_watched: bool = False  # whether shifts of scores within a day are (sensor.drift.shifts)
    # SHA-256 of the manifest that the fleet's list wants this sensor to run on, and who says so; None: nobody does.
    wanted: "tuple[str, str] | None" = None
    kernels: str = COMPLETE  # mark in the cache of those that the sensor needs
    hybrid: "Hybrid | None" = None  # the model, once the check of the bundle has loaded it


Check = Callable[[CheckContext], Observation]  # raises SensorError for a failure


def run_check(name: str, check: Check, context: CheckContext) -> CheckResult:
    """Run a check; a SensorError that it raises becomes a failed result."""
    try:
        observation = check(context)
    except SensorError as error:
        return failed_result(name, error)
    return CheckResult(name, observation.status, observation.message, observation.detail)


def failed_result(name: str, error: SensorError) -> CheckResult:
    """The result of a check that raised an error."""
    return CheckResult(name, CheckStatus.FAILED, str(error), error.detail, error.exit_code)
