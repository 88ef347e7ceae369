"""A complete table of flows has the context that its flows had as records in the order of their ends."""

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_PORT,
    END_NS,
    END_REASON,
    IP_VERSION,
    NEW_PACKETS,
    REPORT,
    SNAPSHOT,
    SRC_HIGH,
    SRC_PORT,
    START_NS,
    FlowBatch,
)
from flows.block import block_of
from flows.columns import INDEX
from flows.context.context import Context
from flows.context.tables import records_of_table
from flows.meter import Meter, concatenate
from sensor.synth.generate import generate
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN


def test_a_complete_table_gives_what_its_records_gave() -> None:
    packets = generate([NORMAL, PORTSCAN, SSH_GUESSING], seed=5, minutes=3.0).packets
    meter = Meter(65_536)
    stamps = [packet.ts_ns // 1000 * 1000 for packet in packets]  # durations are of µs
    block = block_of([packet.frame for packet in packets], stamps)
    batch = concatenate([meter.feed(block), meter.drain()])
    ended = batch.identity[:, END_REASON] != SNAPSHOT
    identity, values = batch.identity[ended], batch.values[ended]
    identity[:, REPORT] = 0
    identity[:, NEW_PACKETS] = values[:, INDEX["fwd_packets"]] + values[:, INDEX["bwd_packets"]]
    by_end = np.argsort(identity[:, END_NS], kind="stable")
    expected = Context(4096, 1).observe(FlowBatch(identity[by_end], values[by_end]))

    shuffled = np.random.default_rng(3).permutation(len(values))
    told, rows = identity[shuffled], values[shuffled]
    records, order = records_of_table(
        told[:, SRC_HIGH : SRC_HIGH + 2], told[:, DST_HIGH : DST_HIGH + 2], told[:, IP_VERSION],
        told[:, [SRC_PORT, DST_PORT]], told[:, START_NS], rows,
    )  # fmt: skip
    assert (records.values == rows[order]).all()
    context = np.empty_like(expected)
    context[order] = Context(4096, 1).observe(records)
    place = np.empty(len(by_end), dtype=np.int64)
    place[by_end] = np.arange(len(by_end))
    assert np.allclose(context, expected[place[shuffled]], rtol=1e-6, atol=1e-6)
