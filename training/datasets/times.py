"""When flows began, from the times that flow tables carry.

The programs write the local time of the machine they ran on and do not say which: times are taken as UTC.
"""

import numpy as np

from training.arrays import Int64s
from training.datasets.text import Repairs, TextTable, shown

ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ")
WITH_HALVES = ("%d/%m/%Y %I:%M:%S %p",)
# The second one is what a spreadsheet made of the first.
WITHOUT_HALVES = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
FORMS: dict[str, tuple[str, ...]] = {
    "native": ISO,
    "cic2017": (*ISO, *WITH_HALVES, *WITHOUT_HALVES),
    "tot": (*ISO, *WITH_HALVES, *WITHOUT_HALVES),
    "v4": (*ISO, *WITH_HALVES),
    "python": ISO,
}
EXAMPLES: dict[str, str] = {
    "native": "2017-07-03T11:57:41.826651Z",
    "cic2017": "03/07/2017 08:57:41",
    "tot": "03/07/2017 08:57:41 AM",
    "v4": "2017-07-03 11:57:41.826651 or 03/07/2017 11:57:41 AM (UTC)",
    "python": "2017-07-03 11:57:41",
}
LONGEST_US = 100 * 365 * 86_400_000_000  # of a flow
# What 64 bits of ns hold, with room for the longest flow that begins then and a day in which it is reported.
LATEST_US = (2**63 - 1) // 1000 - LONGEST_US - 86_400_000_000
HOUR_NS = 3_600_000_000_000
# The traffic was recorded in working hours, 8 to 18: hours 8 to 12 are what they say, 1 to 5 are past noon.
AFTERNOON = (1, 2, 3, 4, 5)
UNDECIDED = (6, 7)


class StartTimes:
    """Reads the start times of one file, table by table. All times of a file have one form, which the first rows tell.

    The forms exclude each other: no text is a time in two of them.
    """

    def __init__(self, dialect: str) -> None:
        self._forms = FORMS[dialect]
        self._example = EXAMPLES[dialect]

    def read(self, table: TextTable, name: str) -> Int64s:
        """Start of each flow, (n,) ns since 1970, as written. Raises DatasetError with the line of what is no time."""
        import polars as pl

        text = table.text(name)
        tried = []
        for form in self._forms:
            times = text.str.to_datetime(form, time_unit="us", strict=False)
            if not times.null_count():
                self._forms = (form,)
                return _in_ns(times.cast(pl.Int64).to_numpy(), table, name)
            tried.append(times.is_null())
        row = int(min(tried, key=lambda bad: bad.sum()).arg_max() or 0)  # where the form fails that fits best
        raise table.error(f"{shown(text[row])} is not a time like {self._example}", row, name)

    @property
    def lack_halves(self) -> bool:
        """Whether the times of the file are of twelve hours and do not say which twelve."""
        return self._forms[0] in WITHOUT_HALVES

    def settled(self, start_ns: Int64s, repairs: Repairs) -> Int64s:
        """All times of the file, once they are read.

        Times of twelve hours that do not say which twelve are put into working hours; how many were moved, and how many
        could be either and were left in the morning, goes into repairs.
        """
        return _in_working_hours(start_ns, repairs) if self.lack_halves else start_ns


def _in_ns(start_us: Int64s, table: TextTable, name: str) -> Int64s:
    outside = (start_us < 0) | (start_us > LATEST_US)
    if outside.any():
        row = int(np.argmax(outside))
        raise table.error(f"{shown(table.text(name)[row])} is not between 1970 and 2162", row, name)
    return start_us.astype(np.int64) * 1000


def _in_working_hours(start_ns: Int64s, repairs: Repairs) -> Int64s:
    hour = start_ns // HOUR_NS % 24
    if ((hour == 0) | (hour > 12)).any():  # of 24 hours after all
        return start_ns
    moved, undecided = np.isin(hour, AFTERNOON), np.isin(hour, UNDECIDED)
    for rows, reason in (
        (moved, "times of 12 hours without AM or PM, 1 to 5 -> afternoon"),
        (undecided, "times of 12 hours without AM or PM, 6 or 7, left in the morning"),
    ):
        if rows.any():
            repairs[reason] += int(rows.sum())
    return np.where(moved, start_ns + 12 * HOUR_NS, start_ns)
