"""FlowTable: labelled flows as a dataset reader gives them to the fit, whatever file they came from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Strings = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class FlowTable:
    """Labelled flow records, in the order of the file.

    values: (n, c) float64, finite, in the order of flows.columns.COLUMNS. host: (n, 2) int64, source address as two
    words (flows.batch). start_ns, end_ns: (n,) int64, first and last packet, nanoseconds since 1970 UTC. label: (n,)
    the dataset's own label; family: (n,) its family (training.labels), "" unlabelled; day: (n,) ISO date of the start,
    UTC. missing: columns unfit for any model: the file does not have them (0), or its program measured something else.
    repairs: how many values were changed or rows left out, by reason. sha256: of the file as it lies on disk.
    """

    values: NDArray[np.float64]
    host: Int64s
    start_ns: Int64s
    end_ns: Int64s
    label: Strings
    family: Strings
    day: Strings
    missing: tuple[str, ...]
    repairs: dict[str, int]
    sha256: str

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "FlowTable":
        """The chosen rows, in the order given."""
        return FlowTable(
            self.values[rows],
            self.host[rows],
            self.start_ns[rows],
            self.end_ns[rows],
            self.label[rows],
            self.family[rows],
            self.day[rows],
            self.missing,
            self.repairs,
            self.sha256,
        )
