"""Exit codes, the errors that carry them, one class for each reaction of the command line, and reasons of OSErrors."""

import errno
import re

OK, INTERNAL, USAGE, CONFIG, MODEL, CAPTURE, INPUT, OUTPUT, CLUSTER = range(9)
NO_MATCH = INTERNAL  # of a search that found nothing, as of grep; a fault is told on stderr
FAIL_ON, NOT_MET, INTERRUPTED, BROKEN_PIPE = 10, 11, 130, 141
# Each with the word of the short list and what it says.
EXIT_CODES = (
    (OK, "ok", "The command did what it was asked to."),
    (
        INTERNAL,
        "internal",
        "A fault of this program, told on stderr; FLOWVIGIL_TRACEBACK=1 shows where. Of alerts search: no match.",
    ),
    (USAGE, "usage", "The command line is wrong, or a package that the command needs is not installed."),
    (CONFIG, "config", "A setting is unknown, of the wrong type or out of range, or asks for what is not there."),
    (MODEL, "model", "A bundle is missing, damaged, or fitted on other features."),
    (CAPTURE, "capture", "An interface does not exist, may not be captured on, or has failed."),
    (INPUT, "input", "An input is missing, foreign, empty or cut short; what could be read was."),
    (OUTPUT, "output", "An output could not be opened or lost records."),
    (
        CLUSTER,
        "cluster",
        "A cluster cannot be reached, has gone or has no worker to use; what was read is kept, and --resume goes on.",
    ),
    (FAIL_ON, "--fail-on", "What --fail-on names was found. Goes before code 6, after all others."),
    (NOT_MET, "not met", "What was asked of the sensor does not hold, such as a self-test that fails."),
    (INTERRUPTED, "interrupted", "Stopped by the user before the input's end."),
    (BROKEN_PIPE, "broken pipe", "Who read the output went away, such as head."),
)

_OF_THE_LIBRARY = re.compile(r"\[ssl[^]]*\] | ?\(_ssl\.c:\d+\)")  # the place in OpenSSL's binding that raised the error


class SensorError(Exception):
    """A stop with one line for the operator: what was found, where, and what was expected.

    detail: lines that are shown below it as they are laid out, such as a text and a mark under the place that is wrong.
    """

    exit_code = INTERNAL
    detail: tuple[str, ...] = ()


class ConfigError(SensorError):
    """A setting that is unknown, of the wrong type or out of range."""

    exit_code = CONFIG


class ModelError(SensorError):
    """A bundle that is damaged, foreign, or fitted on another feature contract."""

    exit_code = MODEL


class CaptureError(SensorError):
    """An interface that does not exist or a capture that is not permitted."""

    exit_code = CAPTURE


class InputError(SensorError):
    """A capture that is missing, foreign, empty or cut short; others: one line for each further one."""

    exit_code = INPUT

    def __init__(self, problem: str, *others: str) -> None:
        super().__init__(problem)
        self.others = others


class OutputError(SensorError):
    """An output that cannot be opened or lost records."""

    exit_code = OUTPUT


def reason_of(error: OSError) -> str:
    """The system's reason for an error, in lower case, for the end of a message."""
    if error.errno == errno.ENOSPC:
        return "no space left"
    return _OF_THE_LIBRARY.sub("", (error.strerror or str(error)).lower()).rstrip(".")
