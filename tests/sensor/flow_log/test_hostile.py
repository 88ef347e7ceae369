"""Flow logs that a stranger has made to do harm: each is read, or named in one line, by whoever asks."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from flows.batch import END_NS, END_SHIFT_NS, START_NS, FlowBatch
from sensor.flow_log.query import flow_terms
from sensor.flow_log.reading import FlowLog
from sensor.flow_log.search import FlowSearch
from tests.support.flow_files import many_shapes
from tests.support.flow_logs import about, judged, logged, part

QUERIES = ("", "portscan", "verdict:attack", "lane:both")
Change = Callable[[Path], None]


def problems(path: Path) -> list[str]:
    """What all that a flow log is read for says of it."""
    log = FlowLog([path])
    for _ in log.batches():
        pass
    for _ in log.judged():
        pass
    for query in QUERIES:
        for _ in FlowSearch(log, flow_terms(query)).found():
            pass
    return log.problems


def unpacked(path: Path) -> bytearray:
    """The file as bytes, rewritten so that a changed one reaches the rows."""
    parquet.write_table(parquet.read_table(path), path, compression="none")
    return bytearray(path.read_bytes())


def no_letters(text: bytes) -> Change:
    """A text becomes bytes that are no UTF-8."""

    def change(path: Path) -> None:
        path.write_bytes(bytes(unpacked(path)).replace(text, b"\xff\xfe" + text[2:]))

    return change


def beyond_the_dictionary(name: str) -> Change:
    """The last rows of a column of text say that theirs is one which is not in the dictionary."""

    def change(path: Path) -> None:
        content, group = unpacked(path), parquet.read_metadata(path).row_group(0)
        columns = (group.column(at) for at in range(group.num_columns))
        column = next(column for column in columns if column.path_in_schema == name)
        end = column.dictionary_page_offset + column.total_compressed_size
        content[end - 2 : end] = b"\xff\xff"
        path.write_bytes(content)

    return change


def judge_says(**changes: Any) -> Change:
    """Who judged says something else of itself."""

    def change(path: Path) -> None:
        said = json.loads(parquet.read_schema(path).metadata[b"flowvigil"])["judge"]
        about(path, judge=said | changes)

    return change


def log_says(**changes: Any) -> Change:
    """The log says something else of itself."""

    def change(path: Path) -> None:
        about(path, **changes)

    return change


def nested(depth: int) -> Any:
    found: Any = "tested"
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_letters(b"PortScan"), "damaged: "),
        (no_letters(b"benign"), "damaged: "),
        (no_letters(b"idle timeout"), "damaged: "),
        (beyond_the_dictionary("label"), "damaged: "),
        (beyond_the_dictionary("verdict"), "damaged: "),
        (judge_says(rate=10**400), "found no word of who judged"),
        (judge_says(cuts=[-(10**400), 1]), "found no word of who judged"),
        (judge_says(model=nested(900)), "found no word of who judged"),
        (judge_says(labels=[nested(900)]), "found no word of who judged"),
        (log_says(columns=nested(900)), "found a flow-log/1 with values of another meaning (of list)"),
    ],
)
def test_a_hostile_log_is_named_in_one_line(tmp_path: Path, change: Change, said: str) -> None:
    path = logged(tmp_path, judged(part(many_shapes(), 0, 20)))
    assert not problems(path)
    change(path)
    found = problems(path)
    assert found
    assert all(problem.startswith(f"{path}: {said}") and problem.isprintable() for problem in found)


def test_a_time_before_1970_by_the_clock_is_refused(tmp_path: Path) -> None:
    records = part(many_shapes(), 0, 5)
    identity = records.identity.copy()
    identity[3, END_SHIFT_NS] = -identity[3, END_NS] - 1
    assert identity[3, END_NS] >= identity[3, START_NS]
    path = logged(tmp_path, judged(FlowBatch(identity, records.values)))
    log = FlowLog([path])
    assert not list(log.batches())
    assert "expected times of a clock that never goes back" in log.problems[0]


def test_a_long_text_takes_no_memory_of_the_rows_that_are_asked(tmp_path: Path) -> None:
    path = logged(tmp_path, judged(part(many_shapes(), 0, 1)))
    rows = parquet.read_table(path).take(pa.array(np.zeros(8192, dtype=np.int32)))
    at = rows.column_names.index("label")
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(8192, dtype=np.int32)), pa.array(["x" * 100_000]))
    parquet.write_table(rows.set_column(at, rows.schema.field(at), long), path, row_group_size=8192)
    assert path.stat().st_size < 1 << 20
    script = (
        "import pyarrow as pa\nfrom sensor.flow_log.query import flow_terms\n"
        "from sensor.flow_log.reading import FlowLog\nfrom sensor.flow_log.search import FlowSearch\n"
        f"search = FlowSearch(FlowLog([{str(path)!r}]), flow_terms('xx'))\n"
        "assert sum(map(len, search.found())) == 8192\n"
        "print(pa.default_memory_pool().max_memory())\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert int(result.stdout) < 80 << 20
