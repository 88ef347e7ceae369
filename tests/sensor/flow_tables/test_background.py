"""Writing a table in a thread of its own: the same rows, and no error is lost."""

from pathlib import Path

import numpy as np
import pytest

from flows.batch import IDENTITY_WIDTH, SRC_PORT, FlowBatch
from flows.columns import COLUMNS
from flows.dialects import NATIVE
from sensor.errors import OutputError
from sensor.flow_tables.background import in_background
from sensor.flow_tables.table import open_table


def batch(*ports: int) -> FlowBatch:
    identity = np.zeros((len(ports), IDENTITY_WIDTH), dtype=np.int64)
    identity[:, SRC_PORT] = ports
    return FlowBatch(identity, np.zeros((len(ports), len(COLUMNS))))


def ports_of(path: Path) -> list[int]:
    lines = path.read_text().splitlines()
    column = lines[0].split(",").index("src_port")
    return [int(line.split(",")[column]) for line in lines[1:]]


def test_rows_come_in_the_order_in_which_they_were_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with open_table(path, NATIVE) as sink, in_background(sink) as table:
        for first in range(0, 40_000, 100):
            table.write(batch(*range(first, first + 100)), flush=first % 700 == 0)
    assert ports_of(path) == list(range(40_000))
    assert table.written == 40_000


def test_an_output_that_fails_is_told_to_whoever_hands_rows_over() -> None:
    def fill() -> None:
        with open_table(Path("/dev/full"), NATIVE) as sink, in_background(sink) as table:
            for _ in range(10_000):  # more than may wait: nobody may hang
                table.write(batch(*range(100)))

    with pytest.raises(OutputError, match="no space left"):
        fill()


def test_a_run_that_breaks_off_leaves_no_table(tmp_path: Path) -> None:
    def break_off() -> None:
        with open_table(tmp_path / "t.csv", NATIVE) as sink, in_background(sink) as table:
            table.write(batch(1, 2, 3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert list(tmp_path.iterdir()) == []
