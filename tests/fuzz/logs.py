"""Flow logs as the fuzz changes them, read as a baseline, what counts flows, and a query read them."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from pyarrow import parquet

from flows.meter import Meter
from sensor.cli.flow_search import json_lines
from sensor.errors import InputError
from sensor.flow_log.query import flow_terms
from sensor.flow_log.reading import FlowLog
from sensor.flow_log.search import FlowSearch
from sensor.synth.generate import SCENARIOS, generate
from tests.fuzz.promises import require
from tests.support.flow_logs import judged, logged, part

QUERIES: Final = ("", "portscan", "verdict:attack lane:both")


@cache
def flow_logs() -> list[bytes]:
    packets = generate(SCENARIOS, 1, 0.2).packets
    from flows.block import block_of

    meter = Meter(4096)
    meter.feed(block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets]))
    records = meter.drain()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, rows in enumerate((5, 60)):
            path = logged(Path(scratch) / str(number), judged(part(records, 0, rows)))
            found.append(path.read_bytes())
            parquet.write_table(parquet.read_table(path), path, compression="none")  # so that changes reach the rows
            found.append(path.read_bytes())
    return found


def read_flow_log(path: Path) -> None:
    """Read one. Raises InputError."""
    log = FlowLog([path])
    for _ in (*log.batches(), *log.judged()):
        pass
    for query in QUERIES:
        for found in FlowSearch(log, flow_terms(query)).found():
            require(len(list(json_lines(found))) == len(found), "not a line for each flow")
    if log.problems:
        raise InputError("; ".join(log.problems))
