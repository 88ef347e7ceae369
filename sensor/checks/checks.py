"""All checks in the order of the sensor's start, so that the first failure is the one that it would stop at."""

from collections.abc import Iterator
from typing import Final

from sensor.checks.attach import attach
from sensor.checks.capture import capability, capture_filter, interface, offloads, ring
from sensor.checks.destinations import outputs
from sensor.checks.finding import Check, Finding, Subject, finding_of
from sensor.checks.outputs import metrics, output, packets, user
from sensor.checks.speed import bundle, cache, speed

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("user", user),
    ("kernel cache", cache),
    ("bundle", bundle),
    ("capability", capability),
    ("interface", interface),
    ("filter", capture_filter),
    ("ring", ring),
    ("offloads", offloads),
    ("output", output),
    ("outputs", outputs),
    ("packets", packets),
    ("attach", attach),
    ("metrics", metrics),
)
SPEED: Final = ("speed", speed)  # which cannot fail


def findings(subject: Subject, *, measured: bool = True) -> Iterator[Finding]:
    """One after another, each after the one before has been told; a failure does not end them.

    measured: with the measurement of speed, which takes a few seconds.
    """
    for name, check in (*CHECKS, SPEED) if measured else CHECKS:
        yield finding_of(name, check, subject)
