"""Which flows of captures that are attacks as a whole may be fitted on as an attack.

A label of a whole capture is none of its flows: ordinary traffic is among them. Flows of an alert that names a
technique which is right for the capture have the shape of that technique, as an alert has no name without one. They
alone get a label; all others stay without, and are fitted on neither as an attack nor as normal traffic. What no shape
tells is not learnt from such captures.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flows.matching import KEY, key_of
from training.datasets.captures.metered import CaptureTable
from training.evaluation.networks.judged import JudgedAlert, JudgedCapture
from training.labels import technique_family


def with_agreeing_flows(table: CaptureTable, judged: Sequence[JudgedCapture]) -> CaptureTable:
    """The table with labels on those flows of captures labelled as a whole that rightly named alerts rest on.

    judged: what was said of all captures of the table, in the order of its index. A flow is of the family of the
    technique that its alert names, of the first alert's where it is of several.
    """
    label, family = table.flows.label.astype(object), table.flows.family.astype(object)
    for number, own in enumerate(judged):
        if own.capture.kind == "attack":
            for alert in reversed([alert for alert in own.alerts if alert.right]):
                rows = _flows_of(alert, table, number)
                label[rows], family[rows] = alert.raised.technique, technique_family(alert.raised.technique)
    return replace(table, flows=replace(table.flows, label=label.astype(np.str_), family=family.astype(np.str_)))


def _flows_of(alert: JudgedAlert, table: CaptureTable, number: int) -> list[int]:
    """Rows of the flows that an alert on a capture rests on."""
    reports = table.report_rows(number)
    keys = map(tuple, table.identity[reports][:, KEY].tolist())
    row = dict(zip(keys, table.flows.reports().row[reports].tolist(), strict=True))
    return sorted({row[key] for words in alert.raised.flows if (key := key_of(words)) in row})
