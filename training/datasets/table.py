"""FlowTable: labelled flows as a dataset reader gives them to the fit, whatever files they came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.columns import NAMES
from training.arrays import Int64s, Strings, Values
from training.datasets.rows import blocks, stacked, taken
from training.datasets.texts import texts_in
from training.errors import DatasetError
from training.label_map import LabelMap
from training.labels import BENIGN
from training.sequences import FlowReports, reports

UNLABELLED = ""
DAY_NS = 86_400_000_000_000
SEQUENCES = "sequences of a host's flows (each flow is judged by itself)"


@dataclass(frozen=True, slots=True)
class FlowTable:
    """Labelled flow records, in the order that the reader states.

    The arrays of a large table lie in temporary files that go with it.
    """

    # (n, c) float64, in the order of flows.columns.COLUMNS and, of rows with context, flows.context.columns after them
    values: NDArray[np.float64]
    # (n, 2) int64, source address as two words (flows.batch); one for each flow alone where the files have none
    host: Int64s
    start_ns: Int64s  # (n,) int64, first packet, nanoseconds since 1970 UTC; 0 where the files have no times
    end_ns: Int64s  # (n,) int64, last packet
    label: Strings  # (n,) the dataset's own label
    family: Strings  # (n,) its family (training.labels), "" unlabelled
    day: Strings  # (n,) ISO date of the start, UTC; the file's name where the files have no times
    # Columns unfit for any model: the file does not have them (0), or its program measured something else
    missing: tuple[str, ...]
    repairs: dict[str, int]  # how many values were changed or rows left out, by reason
    sha256: str  # of the file as it lies on disk; of a directory, the digest of its files' digests
    dst_port: Int64s  # (n,) int64, for comparison only, no model sees it; -1 where the header has none
    path: Path = Path()  # file or directory
    has_hosts: bool = True
    has_times: bool = True
    label_map: LabelMap | None = None  # by which labels were read
    reported: FlowReports | None = None  # the meter's own reports, None where the files hold finished flows alone
    names: tuple[str, ...] = NAMES  # of the columns of values

    @property
    def left_out(self) -> str:
        """What cannot be told of these flows, and for want of what; "" where nothing is wanting."""
        if not self.has_times:
            return f"no source addresses and no start times: {SEQUENCES}, re-homing, days and hours are left out"
        if not self.has_hosts:
            return f"no source addresses: {SEQUENCES} and re-homing are left out"
        return ""

    def __len__(self) -> int:
        return len(self.values)

    def reports(self) -> FlowReports:
        """When flows are reported and what the reports hold: the meter's own, or imitated from finished flows."""
        return reports(self.values, self.start_ns, self.end_ns) if self.reported is None else self.reported

    def first_values(self) -> Values:
        """What each flow's first report holds, (n, c) float64; the finished flow where the files have nothing else."""
        if self.reported is None or self.reported.values is None:
            return self.values
        first = np.empty(len(self), dtype=np.int64)
        first[self.reported.row[self.reported.advances]] = np.flatnonzero(self.reported.advances)
        return taken(self.reported.values, first)

    def columns(self, names: Sequence[str]) -> Values:
        """Columns by their names, (n, len(names)) float64, NaN throughout where the dataset does not have one."""
        chosen = np.full((len(self), len(names)), np.nan)
        for place, name in enumerate(names):
            if name in self.names and name not in self.missing:
                chosen[:, place] = self.values[:, self.names.index(name)]
        return chosen

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "FlowTable":
        """The chosen rows, in the order given. Raises ValueError for a row chosen twice where reports are at hand."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64, copy=False)
        return FlowTable(
            taken(self.values, chosen),
            taken(self.host, chosen),
            taken(self.start_ns, chosen),
            taken(self.end_ns, chosen),
            taken(self.label, chosen),
            taken(self.family, chosen),
            taken(self.day, chosen),
            self.missing,
            self.repairs,
            self.sha256,
            taken(self.dst_port, chosen),
            self.path,
            self.has_hosts,
            self.has_times,
            self.label_map,
            None if self.reported is None else _reports_of(self.reported, chosen, len(self)),
            self.names,
        )


def _reports_of(told: FlowReports, rows: Int64s, flows: int) -> FlowReports:
    """The reports of some of a table's flows, which are renumbered in the order given."""
    place = np.full(flows, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    if (place >= 0).sum() != len(rows):
        raise ValueError("found a flow chosen twice, expected each once: it would have no reports the second time")
    kept = np.flatnonzero(place[told.row] >= 0)
    values = None if told.values is None else taken(told.values, kept)
    return FlowReports(place[told.row[kept]], told.known_ns[kept], told.advances[kept], values)


def days_of(start_ns: Int64s) -> Strings:
    """ISO date of each start, (n,)."""
    found = [np.unique(start_ns[rows] // DAY_NS) for rows in blocks(len(start_ns))]
    days = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))
    names = days.astype("datetime64[D]").astype(np.str_)
    parts = (names[np.searchsorted(days, start_ns[rows] // DAY_NS)] for rows in blocks(len(start_ns)))
    return stacked(parts, start_ns.shape, names.dtype)


def require_labels(table: FlowTable) -> None:
    """Raise DatasetError for flows that nobody has labelled."""
    unlabelled = int((table.family == UNLABELLED).sum())
    if unlabelled:
        raise DatasetError(table.path, f"{unlabelled:,} flows have no label; expected one for each", column="Label")


def require_normal_and_attacks(table: FlowTable) -> None:
    """Raise DatasetError for a table that lacks labels, or normal traffic, or attacks: nothing can be told apart."""
    require_labels(table)
    require_both_classes(table)


def require_both_classes(table: FlowTable) -> None:
    """Raise DatasetError for a table that lacks normal traffic or attacks; flows without a label are not looked at."""
    found = [family for family in texts_in(table.family).tolist() if family != UNLABELLED]
    if not found:
        problem = f"has no flows{' with a label' if len(table) else ''}; expected normal traffic and attacks"
        raise DatasetError(table.path, problem, column="Label")
    if BENIGN not in found:
        problem = f"has no normal traffic, only {', '.join(found)}; expected flows labelled {BENIGN} as well"
        raise DatasetError(table.path, problem, column="Label")
    if len(found) == 1:
        problem = f"has a single class, {BENIGN}; expected flows of at least one attack as well"
        raise DatasetError(table.path, problem, column="Label")
