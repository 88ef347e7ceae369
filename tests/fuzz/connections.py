"""What must hold of KDD connection records and of their windows, whatever records the meter gave.

The windows stay over all rounds, with room for few hosts: destinations are forgotten, recent connections give way, and
every round's clock is unlike the one before.
"""

import numpy as np
from numpy.typing import NDArray

from flows.batch import FlowBatch
from flows.kdd.columns import FLAGS, PROTOCOLS, SERVICES, UNKNOWN, kdd_columns
from flows.kdd.meter import Connections, ConnectionStats
from flows.kdd.windows import H_HIGH, H_LOW, H_WORDS, LAST_IN_TIME, LAST_TO_HOST, W_HOSTS
from flows.meter import concatenate
from tests.fuzz.promises import require

HOSTS = LAST_TO_HOST + 1  # as few as there may be
COLUMNS = kdd_columns(content=False)
MOST = float(1 << 53)  # the last whole number that a float64 tells from the next
LIMITS = {
    "protocol_type": (UNKNOWN, len(PROTOCOLS) - 1), "service": (0, len(SERVICES) - 1), "flag": (0, len(FLAGS) - 1),
    "count": (1, LAST_IN_TIME), "srv_count": (1, LAST_IN_TIME), "dst_host_count": (1, LAST_TO_HOST),
    "dst_host_srv_count": (1, LAST_TO_HOST), "wrong_fragment": (0, 0xFFFF),
}  # fmt: skip
BOUNDS = [LIMITS.get(each.name, (0, 1 if each.kind in ("truth", "share") else MOST)) for each in COLUMNS]
LEAST, GREATEST = (np.array(bound, dtype=float) for bound in zip(*BOUNDS, strict=True))
WHOLE = np.array([each.kind != "share" for each in COLUMNS])


class WatchedConnections:
    """Windows that are looked at after each batch."""

    def __init__(self) -> None:
        self._connections = Connections(HOSTS)
        self._bytes = self._size()

    @property
    def stats(self) -> ConnectionStats:
        """Counts over all rounds."""
        return self._connections.stats

    def columns(self, batch: FlowBatch) -> NDArray[np.float64]:
        """Records of a batch. Raises BrokenPromiseError, or what a kernel raises."""
        rows = self._connections.columns(batch)
        check_rows(rows, len(batch))
        self._check_windows()
        return rows

    def _size(self) -> int:
        return sum(array.nbytes for array in self._connections._windows)

    def _check_windows(self) -> None:
        """No more hosts than there is room for, each in a row of its own, in the order of their addresses."""
        _, _, hosts, order, _, _, registers = self._connections._windows
        used = int(registers[W_HOSTS])
        require(self._size() == self._bytes and 0 <= used <= HOSTS, f"the windows hold {used} hosts of {HOSTS}")
        rows = order[:used].tolist()
        require(len(set(rows)) == used and set(rows) <= set(range(HOSTS)), "two hosts in one row")
        table = hosts.reshape(HOSTS, H_WORDS)[rows][:, [H_HIGH, H_LOW]].tolist()
        require(table == sorted(table), "hosts are out of order")


def check_rows(rows: NDArray[np.float64], count: int) -> None:
    """Rows of the columns that need no payload, each number one that its column can have."""
    require(rows.shape == (count, len(COLUMNS)), f"{rows.shape} connection records of {count} flow records")
    require(np.isfinite(rows).all(), "a column of a connection is not finite")
    outside = (rows < LEAST) | (rows > GREATEST) | (WHOLE & (rows != np.rint(rows)))
    wrong = [column.name for column, bad in zip(COLUMNS, outside.any(axis=0), strict=True) if bad]
    require(not wrong, f"columns of connections outside what they can be: {wrong}")


def check_connections(pieces: WatchedConnections, whole: WatchedConnections, batches: list[FlowBatch]) -> None:
    """The same connections in pieces and at once. Raises BrokenPromiseError, or what a kernel raises."""
    rows = [pieces.columns(batch) for batch in batches]
    once = whole.columns(concatenate(batches))
    require(np.array_equal(np.concatenate(rows), once), "connections differ between batches and all records at once")
