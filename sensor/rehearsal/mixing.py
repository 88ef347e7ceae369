"""Packets of an episode among those of a site, in the order of time, before any meter sees them.

A copy in memory: nothing is sent, and no file is changed.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from flows.batch import FlowBatch
from flows.block import PacketBlock
from flows.meter import Meter
from sensor.metering.due import DueRecords
from sensor.metering.turns import END_NS
from sensor.sources.captures.merging import Part, merged_parts


def mixed(site: Iterable[PacketBlock], added: PacketBlock) -> Iterator[PacketBlock]:
    """The blocks of a site with further packets among them; of equal times the site's packets come first.

    site: in the order of time (PacketBlock.arrival_ns). added: by its stamps; what is later than the site's last packet
    comes behind it.
    """
    taken = 0
    for block in site:
        if not len(block):
            continue
        arrival = block.arrival_ns
        until = int(np.searchsorted(added.ts_ns, arrival[-1], side="left"))
        if until <= taken:
            yield block
            continue
        due = added.select(slice(taken, until))
        taken = until
        newest = np.maximum.accumulate(arrival)
        yield merged_parts([Part(block, newest, True), Part(due, due.ts_ns, True)]).block
    if taken < len(added):
        yield added.select(slice(taken, None))


def metered(blocks: Iterable[PacketBlock], meter: Meter) -> Iterator[FlowBatch]:
    """The records of packets, in the order that a run has them in."""
    due = DueRecords()
    for block in blocks:
        due.add(meter.feed(block), meter.now_ns)
        yield due.all()
    due.add(meter.drain(), END_NS)
    yield due.all()
