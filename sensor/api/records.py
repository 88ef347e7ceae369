"""Records: rows as numbers, ready to be scored, whatever kind of row they came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.attribution import UNKNOWN_HOST
from models.detector import Steps
from sensor.api.body import kind
from sensor.api.problems import Flaw, Problem, unprocessable

SOURCE, TIME = "source", "time"  # of any row: whose it is, and when it began
LATEST_S = (2**63 - 1) // 10**9  # what 64 bits of ns hold


@dataclass(frozen=True, slots=True)
class Records:
    """n rows in the order they came in.

    values: (n, c) float64 in the order of the bundle's contract, finite. host: (n, 2) int64 and time_ns: (n,) int64,
    whose sequence a row belongs to and when it began; None where rows stand for themselves. assumed: names of columns
    that the model looks at and rows of this kind do not have: they were taken to be as in normal traffic.
    """

    values: NDArray[np.float64]
    host: NDArray[np.int64] | None = None
    time_ns: NDArray[np.int64] | None = None
    assumed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def steps(self) -> Steps:
        """As detectors take them."""
        n = len(self)
        if self.host is None or self.time_ns is None:
            unknown = np.full((n, 2), UNKNOWN_HOST, dtype=np.int64)
            return Steps(self.values, unknown, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_))
        return Steps(self.values, self.host, self.time_ns, np.ones(n, dtype=np.bool_))


class RecordForm(Protocol):
    """One kind of rows.

    name: for people. names: every name that a row may have. texts: of those, what stays text where all cells are text.
    takes_flows: whether flow records of the meter are such rows.
    """

    name: str
    takes_flows: bool
    names: frozenset[str]
    texts: frozenset[str]

    def columns(self, first: Sequence[str]) -> tuple[Sequence[str], bool]:
        """Names of a table's columns, and whether its first line is a header. first: that line, without blanks."""

    def records(self, rows: Sequence[dict[str, Any]]) -> Records:
        """Rows, at least one, as numbers. Raises Problem, naming what is wrong and where."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row."""

    def example(self) -> dict[str, Any]:
        """A row that the form takes."""


def hosts_of(addresses: Sequence[Any], column: str) -> NDArray[np.int64]:
    """Addresses as two signed words, (n, 2). Raises Problem."""
    known: dict[Any, tuple[int, int]] = {}
    for row, found in enumerate(addresses):
        if type(found) is str and found in known:
            continue
        try:
            number = int(ip_address(found.strip()))
        except (ValueError, AttributeError):
            text = repr(found)[:80] if isinstance(found, str) else kind(found)
            raise _no(f"{text} is no IPv4 or IPv6 address", row, column) from None
        known[found] = _signed(number >> 64), _signed(number & (1 << 64) - 1)
    return np.array([known[found] for found in addresses], dtype=np.int64)


def times_of(times: Sequence[Any], column: str, forms: Sequence[str] = ()) -> NDArray[np.int64]:
    """Moments in ns since 1970, (n,). Raises Problem.

    A moment is a number of seconds since 1970, or text: ISO 8601 (UTC where it does not say) or, where one of them
    fits, in the strftime forms given.
    """
    made = np.empty(len(times), dtype=np.int64)
    known: dict[Any, int] = {}  # by text alone: True is a key equal to 1
    for row, found in enumerate(times):
        if type(found) is str and found in known:
            made[row] = known[found]
            continue
        seconds = _seconds(found, forms)
        if seconds is None or not 0 <= seconds < LATEST_S:
            text = repr(found)[:80] if isinstance(found, str) else kind(found) if seconds is None else f"{found!r:.40}"
            example = "seconds since 1970 or ISO 8601 such as 2017-07-03T11:57:41.826Z"
            raise _no(f"{text} is no time between 1970 and 2262, expected {example}", row, column)
        made[row] = round(seconds * 1e6) * 1000
        if type(found) is str:
            known[found] = int(made[row])
    return made


def _seconds(found: Any, forms: Sequence[str]) -> float | None:
    if type(found) in (int, float):
        return float(found)
    if type(found) is not str:
        return None
    try:
        moment = datetime.fromisoformat(found.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    for form in forms:
        try:
            return datetime.strptime(found.strip(), form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def _no(detail: str, row: int, column: str) -> Problem:
    return unprocessable([Flaw(detail, row, column)], "a row cannot be used")


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
