"""Check of the site's notes: whether they can be read, now and later, and what is odd about them."""

import time
from functools import partial
from itertools import islice
from pathlib import Path

from sensor.alerts.spread import counted
from sensor.checks.privileges import without_privileges
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError
from sensor.site.file import read_notes
from sensor.site.overlaps import oddities

SHOWN = 20


def site(context: CheckContext) -> Observation:
    """Read site.file; name rules that have expired, that another one covers, or that overlap. Raises ConfigError."""
    path = context.config.site.file
    if path is None:
        return Observation("no notes set (site.file)", CheckStatus.SKIPPED)
    notes = read_notes(path)
    counts = ((len(notes.assets), "asset"), (len(notes.rules), "rule"), (len(notes.marks), "mark"))
    found = f"{path}: {', '.join(counted(count, what) for count, what in counts)}"
    odd = oddities(notes, time.time_ns())
    told = [f"{path}, {words}" for words in islice(odd, SHOWN)]
    if more := sum(1 for _ in odd):  # of thousands of rules millions of pairs may overlap
        told.append(f"and {more:,} more")
    if why := without_privileges(context, partial(_cannot_read, path)):
        told.append(f"SIGHUP will take over no changes, as without its privileges the sensor cannot read it: {why}")
    return Observation(found, CheckStatus.WARNING if told else CheckStatus.OK, tuple(told))


def _cannot_read(path: Path) -> str:
    try:
        read_notes(path)
    except ConfigError as error:
        return str(error)[:200]
    return ""
