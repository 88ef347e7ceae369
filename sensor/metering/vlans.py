"""Sessions whose two directions have different VLAN tags: a mirror that tags one side, or a router between two VLANs.

With tags in the key of a flow each is two flows that nobody answered. They are found among flows of one direction, so
nothing is looked up before a tag was seen.
"""

from collections import OrderedDict
from typing import Final

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IP_VERSION,
    PROTOCOL,
    REPORT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    VLAN,
    FlowBatch,
)

MAX_REMEMBERED: Final = 65_536  # flows of one direction


class SplitSessions:
    """Counts them over the records of a run."""

    def __init__(self) -> None:
        self.count = 0
        self._tagged = False
        # Tags of the latest flows without an answer, by who talked. Ordered: of a plain dict the first is found behind
        # all that were removed before it.
        self._tags: OrderedDict[tuple[int, ...], int] = OrderedDict()

    def add(self, records: FlowBatch) -> None:
        """Look at each flow when it is reported for the first time."""
        self._tagged = self._tagged or bool(records.identity[:, VLAN].any())
        if not self._tagged:
            return
        answers = records.column("fwd_packets") == 0  # what begins with a SYN+ACK has the other side as originator
        one_way = (answers | (records.column("bwd_packets") == 0)) & (records.identity[:, REPORT] == 0)
        for row, answer in zip(records.identity[one_way].tolist(), answers[one_way].tolist(), strict=True):
            source = row[SRC_HIGH], row[SRC_LOW], row[SRC_PORT]
            target = row[DST_HIGH], row[DST_LOW], row[DST_PORT]
            if answer:
                source, target = target, source
            common = row[PROTOCOL], row[IP_VERSION]
            answered = self._tags.get((*common, *target, *source))
            if answered is not None and answered != row[VLAN]:
                self.count += 1
                del self._tags[(*common, *target, *source)]
                continue
            if len(self._tags) >= MAX_REMEMBERED:
                self._tags.popitem(last=False)
            self._tags[(*common, *source, *target)] = row[VLAN]
