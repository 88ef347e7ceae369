"""What flows of captures that are an attack as a whole are fitted on as: of each of them nobody says whose it is.

`leave_out`: nothing, they stay without a label. `attack`, or names of families that it is done for (most of a scan or a
flood is the attack's, most of an infected host's traffic is not): the attack's family, but for what every network sends
whatever happens on it, which stays without one: discovery, groups and routing (flows.roles.UNJUDGED), errors, names and
times asked, unless the attack is one that is made of such packets. Figures never count these labels
(training.evaluation.networks.judged).
"""

from dataclasses import replace
from typing import Final

import numpy as np

from flows.batch import DST_PORT, PROTOCOL, SRC_PORT, FlowBatch
from flows.roles import ICMP, ICMP6, TCP, UDP, UNJUDGED, role_of
from training.arrays import Mask, Strings
from training.datasets.captures.metered import CaptureTable
from training.datasets.rows import taken
from training.datasets.table import UNLABELLED
from training.datasets.texts import coded_texts
from training.networks_recipe import Whole

DNS, NTP = 53, 123
# Made of questions and answers, or of echoes, which elsewhere are the company that any traffic keeps.
OF_QUESTIONS: Final = frozenset({"Reflection", "DDoS", "DoS", "Tunnel", "Exfiltration", "Infiltration"})
OF_ERRORS: Final = frozenset({"DDoS", "DoS", "PortScan", "Tunnel", "Exfiltration"})


def with_labels(table: CaptureTable, rule: Whole) -> CaptureTable:
    """The table with labels on the flows of captures labelled as a whole, as the rule says."""
    if rule == "leave_out":
        return table
    label, family = _Texts(table.flows.label), _Texts(table.flows.family)
    for number, capture in enumerate(table.index.captures):
        if capture.kind == "attack" and capture.family != UNLABELLED and (rule == "attack" or capture.family in rule):
            rows = table.rows(number)
            own = ~_background(table, number, capture.family)
            label.put(rows, own, capture.group)
            family.put(rows, own, capture.family)
    return replace(table, flows=replace(table.flows, label=label.all(), family=family.all()))


class _Texts:
    """Texts of rows, to be replaced."""

    def __init__(self, texts: Strings) -> None:
        names, self._codes = coded_texts(texts)
        self._names: list[str] = names.tolist()

    def put(self, rows: slice, own: Mask, text: str) -> None:
        """Have the rows' own ones say this, and the others among them nothing."""
        self._codes[rows] = np.where(own, self._code(text), self._code(UNLABELLED))

    def all(self) -> Strings:
        """What each row says."""
        return taken(np.array(self._names, dtype=np.str_), self._codes)

    def _code(self, text: str) -> int:
        if text not in self._names:
            self._names.append(text)
        return self._names.index(text)


def _background(table: CaptureTable, capture: int, family: str) -> Mask:
    """(n,) of the flows of a capture: what would be there without the attack as well, by each flow's last report."""
    records, first = table.records(capture), table.rows(capture).start
    row = table.flows.reports().row[table.report_rows(capture)] - first
    found = np.zeros(table.rows(capture).stop - first, dtype=np.bool_)
    for place in range(len(records)):
        found[row[place]] = _is_background(records, place, family)
    return found


def _is_background(records: FlowBatch, i: int, family: str) -> bool:
    if role_of(records.identity, records.values, i) == UNJUDGED:
        return True
    protocol = int(records.identity[i, PROTOCOL])
    if protocol in (ICMP, ICMP6):
        return family not in OF_ERRORS
    ports = {int(records.identity[i, SRC_PORT]), int(records.identity[i, DST_PORT])}
    return protocol in (TCP, UDP) and bool(ports & {DNS, NTP}) and family not in OF_QUESTIONS
