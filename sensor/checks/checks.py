"""All checks in their order: what others rest on comes first."""

from collections.abc import Iterator
from typing import Final

from sensor.checks.capture import capability, capture_filter, interface, offloads, ring, user
from sensor.checks.finding import Check, Finding, Subject, finding_of
from sensor.checks.outputs import metrics, output
from sensor.checks.speed import bundle, cache, speed

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("kernel cache", cache),
    ("bundle", bundle),
    ("output", output),
    ("metrics", metrics),
    ("filter", capture_filter),
    ("interface", interface),
    ("capability", capability),
    ("user", user),
    ("offloads", offloads),
    ("ring", ring),
    ("speed", speed),
)


def findings(subject: Subject) -> Iterator[Finding]:
    """One after another, each after the one before has been told; a failure does not end them."""
    for name, check in CHECKS:
        yield finding_of(name, check, subject)
