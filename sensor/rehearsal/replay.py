"""Records through a judge to whole alerts, each with the moment at which a sensor would have told it.

It knows no truth: what an alert is about is flows.matching's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import END_NS, END_SHIFT_NS, IDENTITY_WIDTH, REPORTED_NS, FlowBatch, Identity
from sensor.alerts.alert import Alert
from sensor.alerts.alert_flow import AlertFlow
from sensor.judging.judge import Judge
from sensor.run.detection import in_parts

_TIMES: Final = (END_NS, END_SHIFT_NS, REPORTED_NS)


@dataclass(frozen=True, slots=True)
class ReplayedAlert:
    """An alert as its last line tells it, and the flows it rests on."""

    opened_ns: int  # the meter's clock when it had reported what opened it, so that a sensor would have told by then
    last: Alert
    flows: tuple[tuple[int, ...], ...]  # words of FlowBatch.identity of reports of its flows


def replay(judge: Judge, batches: Iterable[FlowBatch]) -> list[ReplayedAlert]:
    """The alerts on records, in the order of their opening; the model begins and ends without state.

    batches: in the order of their reports. How many flows come with an alert is the judge's setting (flows_per_alert).
    """
    judge.hybrid.forget()
    opened: dict[str, Alert] = {}
    last: dict[str, Alert] = {}
    flows: dict[str, list[tuple[int, ...]]] = {}
    times: list[Identity] = []

    def take(items: Sequence[Alert | AlertFlow]) -> None:
        for item in items:
            if isinstance(item, Alert):
                opened.setdefault(item.id, item)
                last[item.id] = item
            else:
                flows.setdefault(item.alert_id, []).append(tuple(item.identity))

    for batch in batches:
        if len(batch):
            times.append(batch.identity[:, _TIMES])
        for part in in_parts(batch):
            take(judge.judge(part))
    take(judge.finish())
    judge.hybrid.forget()
    if not opened:
        return []
    told_ns = told_at(_identity(times), np.array([first.time_ns for first in opened.values()], dtype=np.int64))
    return [
        ReplayedAlert(int(at_ns), last[name], tuple(flows.get(name, ())))
        for name, at_ns in zip(opened, told_ns, strict=True)
    ]


def told_at(identity: Identity, time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The meter's clock when it reported the first record with so new a packet, (k,) ns of each traffic time.

    A flow is reported a while after its packets: when it has been silent, was closed, or has run for some time.
    """
    newest = np.maximum.accumulate(identity[:, END_NS] + identity[:, END_SHIFT_NS])
    first = np.minimum(np.searchsorted(newest, time_ns), len(identity) - 1)
    told_ns: NDArray[np.int64] = np.maximum(time_ns, identity[first, REPORTED_NS])
    return told_ns


def _identity(times: Sequence[Identity]) -> Identity:
    """Identities with the words of _TIMES alone, from those words of all records."""
    every = np.concatenate(times)
    identity = np.zeros((len(every), IDENTITY_WIDTH), dtype=np.int64)
    identity[:, _TIMES] = every
    return identity
