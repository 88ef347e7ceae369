"""The list of checks, in the order of the sensor's start: the first failure is the one that it would stop at."""

from collections.abc import Iterator
from typing import Final

from sensor.checks.attach import attach
from sensor.checks.capture import capability, capture_filter, interface, offloads, ring
from sensor.checks.directories import flow_log, kept_packets
from sensor.checks.drift import drift
from sensor.checks.extras import extras
from sensor.checks.files import output, packets
from sensor.checks.fleet import fleet
from sensor.checks.geoip import geoip
from sensor.checks.memory import memory
from sensor.checks.metrics import metrics
from sensor.checks.model import bundle, cache, speed
from sensor.checks.outputs import outputs
from sensor.checks.privileges import user
from sensor.checks.result import Check, CheckContext, CheckResult, run_check
from sensor.checks.site import site

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("extras", extras),
    ("user", user),
    ("site", site),
    ("geoip", geoip),
    ("kernel cache", cache),
    ("bundle", bundle),
    ("memory", memory),
    ("fleet", fleet),
    ("drift", drift),
    ("capability", capability),
    ("interface", interface),
    ("filter", capture_filter),
    ("ring", ring),
    ("offloads", offloads),
    ("output", output),
    ("outputs", outputs),
    ("packets", packets),
    ("kept packets", kept_packets),
    ("flow log", flow_log),
    ("attach", attach),
    ("metrics", metrics),
)
SPEED: Final = ("speed", speed)  # which cannot fail


def run_checks(context: CheckContext, *, measured: bool = True) -> Iterator[CheckResult]:
    """Run the checks lazily, one for each result that is read; a failure does not end them.

    measured: with the measurement of speed, which takes a few seconds.
    """
    for name, check in (*CHECKS, SPEED) if measured else CHECKS:
        if check is not fleet or context.wanted is not None:  # who has no fleet need not hear of one
            yield run_check(name, check, context)
