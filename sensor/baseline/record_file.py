"""Flow records kept in a file without a name, to be gone through several times: it is gone when its process is."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import numpy as np

from flows.batch import IDENTITY_WIDTH, FlowBatch
from flows.columns import NAMES

AT_ONCE: Final = 8192  # records that are read back together


class RecordFile:
    """Records in the order in which they were added."""

    def __init__(self, directory: Path) -> None:
        """directory: of the file, some 820 bytes a record. Raises OSError."""
        self._identity: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # as long as this is
        self._values: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        self._records = 0

    def __len__(self) -> int:
        return self._records

    def add(self, batch: FlowBatch) -> None:
        """Keep these records after the others. Raises OSError."""
        self._identity.write(np.ascontiguousarray(batch.identity, dtype=np.int64).data)
        self._values.write(np.ascontiguousarray(batch.values, dtype=np.float64).data)
        self._records += len(batch)

    def flush(self) -> None:
        """Have all of them in the file. Raises OSError."""
        self._identity.flush()
        self._values.flush()

    def batches(self) -> Iterator[FlowBatch]:
        """All records, from the first, in parts. One after the other: the file has one place. Raises OSError."""
        self._identity.seek(0)
        self._values.seek(0)
        for first in range(0, self._records, AT_ONCE):
            n = min(AT_ONCE, self._records - first)
            identity = np.fromfile(self._identity, np.int64, n * IDENTITY_WIDTH).reshape(n, IDENTITY_WIDTH)
            values = np.fromfile(self._values, np.float64, n * len(NAMES)).reshape(n, len(NAMES))
            yield FlowBatch(identity, values)

    def close(self) -> None:
        """Let go of the file, also where not all could be written."""
        for file in (self._identity, self._values):
            with suppress(OSError):
                file.close()
