"""Samples, which is what models score, and the contract of the row formats that they are parsed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.attribution import UNKNOWN_HOST
from models.detector import FlowSteps
from sensor.api.body import json_type
from sensor.api.problems import ErrorDetail, Problem, unprocessable

SOURCE, TIME = "source", "time"  # columns of any row format: the address whose sequence a row is in, its start
MAX_TIME_S = (2**63 - 1) // 10**9  # the largest in 64 bits of ns
MAX_ADDRESS = 128  # characters, zone and blanks included


@dataclass(frozen=True, slots=True)
class Samples:
    """n rows as numbers, in the order of the request."""

    values: NDArray[np.float64]  # (n, c) in the order of the bundle's contract, finite but for those masked
    host: NDArray[np.int64] | None = None  # (n, 2) address whose sequence a row is in, None where rows are independent
    time_ns: NDArray[np.int64] | None = None  # (n,) start since 1970, None as host is
    imputed: tuple[str, ...] = ()  # columns that the model uses and such rows lack: medians of normal traffic
    masked: tuple[str, ...] = ()  # columns that the model uses and of which these rows know nothing: NaN

    def __len__(self) -> int:
        return len(self.values)

    def steps(self) -> FlowSteps:
        """The samples as detectors take them."""
        n = len(self)
        if self.host is None or self.time_ns is None:
            unknown = np.full((n, 2), UNKNOWN_HOST, dtype=np.int64)
            nobody = (unknown, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_))
            return FlowSteps(self.values, *nobody, masked=bool(self.masked))
        return FlowSteps(self.values, self.host, self.time_ns, np.ones(n, dtype=np.bool_), masked=bool(self.masked))


class RowFormat(Protocol):
    """A format of rows: their columns, and how they are parsed into samples."""

    name: str  # for people
    column_names: frozenset[str]  # every name that a row may have
    text_columns: frozenset[str]  # of those, the ones that are not parsed as numbers where all cells are text (CSV)

    def table_columns(self, first_line: Sequence[str]) -> tuple[Sequence[str], bool]:
        """Names of a table's columns, and whether the first line is a header.

        first_line: cells of the table's first line, stripped.
        """

    def parse(self, rows: Sequence[dict[str, Any]]) -> Samples:
        """Parse rows, at least one. Raises Problem 422 with the first errors and their places."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema of one row."""

    def example(self) -> dict[str, Any]:
        """A row that `parse` accepts."""


def parse_addresses(addresses: Sequence[Any], column: str) -> NDArray[np.int64]:
    """IPv4 and IPv6 addresses as two signed 64-bit words, (n, 2). Raises Problem 422."""
    known: dict[Any, tuple[int, int]] = {}
    for row, found in enumerate(addresses):
        if type(found) is str and found in known:
            continue
        try:
            number = int(ip_address(_short(found.strip())))
        except (ValueError, AttributeError):
            text = repr(found)[:80] if isinstance(found, str) else json_type(found)
            raise _unusable(f"{text} is no IPv4 or IPv6 address", row, column) from None
        known[found] = _signed(number >> 64), _signed(number & (1 << 64) - 1)
    return np.array([known[found] for found in addresses], dtype=np.int64)


def parse_times(times: Sequence[Any], column: str, formats: Sequence[str] = ()) -> NDArray[np.int64]:
    """Times in ns since 1970, (n,). Raises Problem 422.

    A time is a number of seconds since 1970, or text: ISO 8601 (UTC without an offset), or else one of these strptime
    formats, or else such a number.
    """
    times_ns = np.empty(len(times), dtype=np.int64)
    known: dict[Any, int] = {}  # by text alone: True is a key equal to 1
    for row, found in enumerate(times):
        if type(found) is str and found in known:
            times_ns[row] = known[found]
            continue
        seconds = _parse_seconds(found, formats)
        if seconds is None or not 0 <= seconds < MAX_TIME_S:
            text = (
                repr(found)[:80]
                if isinstance(found, str)
                else json_type(found)
                if seconds is None
                else f"{found!r:.40}"
            )
            example = "seconds since 1970 or ISO 8601 such as 2017-07-03T11:57:41.826Z"
            raise _unusable(f"{text} is no time between 1970 and 2262, expected {example}", row, column)
        times_ns[row] = round(seconds * 1e6) * 1000
        if type(found) is str:
            known[found] = int(times_ns[row])
    return times_ns


def _parse_seconds(found: Any, formats: Sequence[str]) -> float | None:
    if type(found) in (int, float):
        return float(found)
    if type(found) is not str:
        return None
    try:
        moment = datetime.fromisoformat(found.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    for time_format in formats:
        try:
            return datetime.strptime(found.strip(), time_format).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    try:
        return float(found)  # of a table, in which all cells are text
    except ValueError:
        return None


def _unusable(detail: str, row: int, column: str) -> Problem:
    return unprocessable([ErrorDetail(detail, row, column)], "a row cannot be used")


def _short(text: str) -> str:
    """A text. Raises ValueError for a long one, which ip_address would take apart at every point and colon."""
    if len(text) > MAX_ADDRESS:
        raise ValueError
    return text


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
