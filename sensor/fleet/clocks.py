"""Whether a sensor's clock differs from other clocks: from that of the receiver, and from those of other sensors.

A sensor whose clock is behind looks silent, though its lines come. Lines that lay somewhere come late as well, but then
all at once, or by and by less late. A clock runs: where accounts one after the other come late by the same time, it is
the clock that differs (or the way takes always as long). When a line came is told by the time that the receiver wrote
before it, else by the sensors that told something just before it in the same input: between three of them one may be
wrong. The time that the receiver wrote before their lines stands for their own.

It knows no clock itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median_low
from typing import Final, NamedTuple

from sensor.alerts.sensor_records import StatsRecord

LONGEST_INTERVAL_S: Final = 7200.0  # twice the longest that settings allow; who writes the lines may say anything
OTHERS_ASKED: Final = 15  # sensors that told something last
FEWEST_OTHERS: Final = 3
# The same time: clocks of heads often have whole seconds, and a sensor's own head has its own time.
ALIKE_NS: Final = 1_000_000_000
DIFFERENT_NS: Final = 30_000_000_000  # lines may be on the way for as long
LONGEST_HEAD: Final = 256
_SECONDS_DIGITS: Final = 10
_MOMENT: Final = re.compile(
    rb"(?<![\d.:-])(?:(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d))"
    rb"|(\d{13}|\d{10}(?:\.\d{1,9})?))(?![\d.:])"
)


class Received(NamedTuple):
    """When a line came by other clocks than its sensor's."""

    by_head_ns: int | None  # the receiver said it
    told: tuple[tuple[int, int], ...] = ()  # else what others told last before it: time and interval of each

    @property
    def least_ns(self) -> int:
        """It came then at the earliest."""
        return median_low(time_ns for time_ns, _ in self.told) if self.by_head_ns is None else self.by_head_ns

    @property
    def most_ns(self) -> int:
        """And then at the latest: the others would have told something once more."""
        latest = (time_ns + interval_ns for time_ns, interval_ns in self.told)
        return median_low(latest) if self.by_head_ns is None else self.by_head_ns


def head_ns(head: bytes) -> int | None:
    """The first moment of what stands before a line, None for none: RFC 3339, or seconds or milliseconds since 1970."""
    found = _MOMENT.search(head[:LONGEST_HEAD])
    if found is None:
        return None
    told, since = found.groups()
    if since is not None:
        whole, _, fraction = since.partition(b".")
        unit_ns = 1_000_000_000 if len(whole) == _SECONDS_DIGITS else 1_000_000
        return int(whole) * unit_ns + int(fraction.ljust(9, b"0"))
    try:
        return round(datetime.fromisoformat(told.decode().replace(",", ".")).timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        return None


@dataclass(slots=True)
class Neighbours:
    """What the sensors of one input told last: a clock that comes from most of them."""

    _told: dict[str, tuple[int, int]] = field(default_factory=dict)  # time and interval by name, the latest at the end

    def clear(self) -> None:
        """Begin with another input: of two, nobody knows which came first."""
        self._told.clear()

    def received(self, account: StatsRecord, by_head_ns: int | None) -> Received | None:
        """When an account came by those of others before it, None for too few; it is one of them from now on.

        by_head_ns: when it came as the receiver said, which is nearer to the truth than what its sensor says.
        """
        told, name = self._told, account.observer.name
        told.pop(name, None)
        found = Received(None, tuple(told.values())) if len(told) >= FEWEST_OTHERS else None
        told[name] = account.time_ns if by_head_ns is None else by_head_ns, _interval_ns(account)
        if len(told) > OTHERS_ASKED:
            del told[next(iter(told))]
        return found


def received_of(account: StatsRecord, head: bytes, neighbours: Neighbours) -> Received | None:
    """When an account came by another clock than its own, None where nothing tells it."""
    by_head = head_ns(head) if head else None
    by_others = neighbours.received(account, by_head)
    if by_head is None or abs(by_head - account.time_ns) < ALIKE_NS:
        return by_others
    return Received(by_head)


def clock_behind_ns(told_ns: Sequence[int], received: Sequence[Received | None], interval_ns: int) -> int:
    """How far a sensor's clock is behind others, below 0 where it is ahead, 0 where it does not differ or nobody knows.

    told_ns: times of its latest accounts by its own clock. received: when each came. interval_ns: how often it tells.
    """
    known = [came for came in received if came is not None]
    alike_ns = 2 * ALIKE_NS
    slack_ns = max(interval_ns, alike_ns)
    if len(known) < len(received) or len(told_ns) < 3 or max(told_ns) - min(told_ns) < 2 * slack_ns:
        return 0
    if any(came.by_head_ns is None for came in known):  # others told something up to an interval before
        alike_ns = slack_ns
    late = [came.least_ns - told for came, told in zip(known, told_ns, strict=True)]
    if max(late) - min(late) > alike_ns:
        return 0
    early = [told - came.most_ns for came, told in zip(known, told_ns, strict=True)]
    if min(late) > DIFFERENT_NS:
        return min(late)
    return -min(early) if min(early) > DIFFERENT_NS else 0


def interval_ns_of(accounts: Sequence[StatsRecord]) -> int:
    """How often it tells: the longest of its latest intervals, without what an end cut short; 0 where unknown."""
    return max((_interval_ns(account) for account in accounts if not account.final), default=0)


def _interval_ns(account: StatsRecord) -> int:
    told = account.interval_s
    return round(told * 1e9) if 0 < told <= LONGEST_INTERVAL_S else 0
