"""Flow logs as files, from records that a test has made."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from flows.batch import END_NS, REPORTED_NS, START_NS, FlowBatch
from models.fusion import Judgement
from sensor.flow_log.columns import JudgedBy, JudgedRecords
from sensor.flow_log.file_writer import LogFileWriter
from sensor.flow_log.files import LogName

BY = JudgedBy("tested", "ab" * 32, 0.01, (0.005, 0.004), ("BENIGN", "PortScan", "DoS"), ("lstm", "forest"))
RUN = "0123456789abcdef"


def judged(records: FlowBatch, by: JudgedBy = BY, seed: int = 3, **circumstances: int) -> JudgedRecords:
    """Records with words of no meaning about each."""
    draw, n = np.random.default_rng(seed), len(records)
    said = Judgement(
        verdict=draw.integers(0, 3, n).astype(np.int8),
        p_known=draw.uniform(1e-9, 1, n),
        p_novel=draw.uniform(1e-9, 1, n),
        scores={name: draw.normal(size=n) for name in by.detectors},
        label=draw.integers(0, len(by.labels), n),
        judged=draw.random(n) < 0.8,
    )
    return JudgedRecords(records, said, by, **circumstances)


def logged(directory: Path, *groups: JudgedRecords, run: str = RUN, number: int = 1) -> Path:
    """A file of a flow log with a row group each."""
    directory.mkdir(exist_ok=True)
    writer = LogFileWriter(directory / ".unfinished", groups[0].by, {"run": run})
    for group in groups:
        writer.write([group])
    writer.finish()
    first_s = int(groups[0].records.identity[0, REPORTED_NS]) // 10**9
    writer.path.rename(path := directory / str(LogName(first_s, run, number)))
    writer.close()
    return path


def part(records: FlowBatch, first: int, end: int | None = None) -> FlowBatch:
    return FlowBatch(records.identity[first:end], records.values[first:end])


def moved(records: FlowBatch, seconds: float) -> FlowBatch:
    """The same records later."""
    identity = records.identity.copy()
    for word in (START_NS, END_NS, REPORTED_NS):
        identity[:, word] += round(seconds * 1e9)
    return replace(records, identity=identity)


def together(batches: Sequence[FlowBatch]) -> FlowBatch:
    identity, values = ([getattr(batch, name) for batch in batches] for name in ("identity", "values"))
    return FlowBatch(np.concatenate(identity), np.concatenate(values))


def same(one: FlowBatch, other: FlowBatch) -> bool:
    """Whether two batches have the same bits."""
    return one.identity.tobytes() == other.identity.tobytes() and one.values.tobytes() == other.values.tobytes()


def changed(path: Path, name: str, value: object) -> Path:
    """A file with another value in the middle row of a column, its own type and metadata kept."""
    table = parquet.read_table(path)
    at = table.column_names.index(name)
    field = table.schema.field(at)
    kind = pa.int64() if pa.types.is_timestamp(field.type) else field.type
    cells = table.column(at).cast(kind).to_pylist()
    cells[len(cells) // 2] = value
    column = pa.array(cells, kind).cast(field.type)
    parquet.write_table(table.set_column(at, field, column), path)
    return path


def about(path: Path, **changes: object) -> Path:
    """A file that says other things of itself."""
    table = parquet.read_table(path)
    said = json.loads(table.schema.metadata[b"flowvigil"]) | changes
    parquet.write_table(table.replace_schema_metadata({b"flowvigil": json.dumps(said).encode()}), path)
    return path
