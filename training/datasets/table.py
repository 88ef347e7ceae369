"""FlowTable: labelled flows as a dataset reader gives them to the fit, whatever files they came from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.arrays import Int64s, Strings
from training.datasets.rows import taken
from training.errors import DatasetError
from training.label_map import LabelMap
from training.labels import BENIGN

UNLABELLED = ""
SEQUENCES = "sequences of a host's flows (each flow is judged by itself)"


@dataclass(frozen=True, slots=True)
class FlowTable:
    """Labelled flow records, in the order that the reader states.

    The arrays of a large table lie in temporary files that go with it.
    """

    values: NDArray[np.float64]  # (n, c) float64, finite, in the order of flows.columns.COLUMNS
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

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "FlowTable":
        """The chosen rows, in the order given."""
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
        )


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
    found = [family for family in np.unique(table.family).tolist() if family != UNLABELLED]
    if not found:
        problem = f"has no flows{' with a label' if len(table) else ''}; expected normal traffic and attacks"
        raise DatasetError(table.path, problem, column="Label")
    if BENIGN not in found:
        problem = f"has no normal traffic, only {', '.join(found)}; expected flows labelled {BENIGN} as well"
        raise DatasetError(table.path, problem, column="Label")
    if len(found) == 1:
        problem = f"has a single class, {BENIGN}; expected flows of at least one attack as well"
        raise DatasetError(table.path, problem, column="Label")
