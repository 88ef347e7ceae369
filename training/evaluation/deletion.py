"""Deletion test: do an alert's reasons name what made the alert?

The reasons are set to what is normal and everything is judged again; reasons that are right take the score below its
threshold. Samek et al., "Evaluating the Visualization of What a Deep Neural Network Has Learned", 2017 (there: pixels).

An alert is not a flow: it tells of a host's flagged flows by the one that speaks strongest, and the host's state holds
all of them. So the reasons are restored in every flow of the alert, the hosts' sequences are judged again from their
start, and that flow is looked at. A reason is a column with its siblings (flows.columns.SIBLINGS), named by one.
Beside this stand what tells whether it means anything (the columns alone, other reasons, as many columns at random) and
the strictest reading: one flow restored, the flagged ones before it left in the state of its host.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.columns import NAMES, reasons
from flows.context.columns import context_reasons
from models.attribution import Groups
from models.detector import FlowSteps, Vector
from models.fusion import BENIGN, Hybrid, Judgement
from training.arrays import Int64s, Mask
from training.datasets.table import FlowTable
from training.evaluation.figures import interval, rate_name, rounded
from training.evaluation.intervals import wilson
from training.measure import chunked_steps, chunks, has_masked, rows_of, steps_of
from training.sequences import FlowReports

MOST = 2000  # flows looked at one by one
QUIET_NS = 300_000_000_000  # the sensor closes an episode after so long without a flagged flow
FLOWS = 2  # that an alert needs: the evidence of one opens none
KEY_MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)  # odd, as int64

# Names the columns behind flagged rows: model, raw rows (m, c), lanes that spoke (m, 2), groups of positions of which
# one column each may be named, to positions (m, 3), as models.attribution.top_columns does.
Explain = Callable[[Hybrid, NDArray[np.float64], Mask, Groups], Int64s]


def deletion(
    hybrid: Hybrid, table: FlowTable, hosts: Mapping[str, Int64s], explain: Explain, seed: int
) -> dict[str, Any]:
    """Share of alerts whose three reasons, restored, take them below their threshold, at each of the model's rates.

    hosts: (n, 2) of each flow, by the name of the arrangement; the first one's flows are also looked at one by one, at
    the default rate.
    """
    told = table.reports()
    content: dict[str, Any] = {"columns": 0, "reasons": 0, "rates": {}, "flow_by_flow": None}
    for name, host in hosts.items():
        replay = Replay(hybrid, table, host, told)
        flagged = _flagged(replay)
        for rate, own in flagged.items():
            content["rates"].setdefault(rate_name(rate), {})[name] = _of_alerts(replay, rate, own, explain, seed)
        if content["flow_by_flow"] is None:
            content["columns"], content["reasons"] = len(replay.columns), len(replay.reasons)
            content["flow_by_flow"] = _flow_by_flow(replay, flagged[hybrid.default_rate], explain, seed)
    return content


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A table's reports as a model meets them from these hosts, to be judged as often as needed."""

    hybrid: Hybrid
    table: FlowTable
    host: Int64s
    told: FlowReports

    @property
    def reasons(self) -> tuple[tuple[int, ...], ...]:
        """Positions of the columns that make one reason of an alert by this model, of those that the table has."""
        with_context = self.width > len(NAMES) and self.table.values.shape[1] == self.width
        return self.hybrid.normal.among_used(context_reasons() if with_context else reasons())

    @property
    def width(self) -> int:
        """How many columns the rows have that the model judges."""
        return len(self.hybrid.normal.columns)

    @property
    def columns(self) -> tuple[tuple[int, ...], ...]:
        """The same columns, each by itself."""
        return tuple((column,) for group in self.reasons for column in group)

    def steps(self) -> Iterator[tuple[slice, FlowSteps]]:
        """All reports, a chunk at a time, in order."""
        return chunked_steps(self.table, self.host, self.told, self.hybrid.normal.columns)

    def steps_for(self, wanted: Int64s) -> Iterator[tuple[Int64s, FlowSteps]]:
        """The same of the wanted reports' hosts alone, whose states no other host bears on; with which they are."""
        told, hosts = self.told, np.unique(_keys(self.host[self.told.row[wanted]]))
        for span in chunks(told) if len(hosts) else ():
            key = _keys(self.host[told.row[span]])
            concerned = hosts[np.minimum(np.searchsorted(hosts, key), len(hosts) - 1)] == key
            if len(index := span.start + np.flatnonzero(concerned)):
                yield index, steps_of(self.table, self.host, told.take(index), self.hybrid.normal.columns)

    def values(self, index: Int64s) -> NDArray[np.float64]:
        """Raw rows of some reports, a copy."""
        told = self.told
        values = np.asarray(self.table.values[told.row[index]] if told.values is None else told.values[index])
        return rows_of(values, self.hybrid.normal.columns)

    def labels(self, index: Int64s) -> NDArray[np.str_]:
        """True labels of some reports."""
        return self.table.label[self.told.row[index]]


def _keys(host: Int64s) -> Int64s:
    """(m,) of addresses (m, 2); where two have the same, one that nobody wanted is judged too, and nothing changes."""
    keys: Int64s = host[:, 0] * KEY_MULTIPLIER + host[:, 1]
    return keys


@dataclass(frozen=True, slots=True, eq=False)
class Flagged:
    """What is flagged at a rate: report (m,), in order; lanes that spoke (m, 2): known, novel; strength (m,), lower is
    stronger, as the sensor ranks flows; label (m,), which attack the known lane names, -1 where it is silent.
    """

    report: Int64s
    lanes: Mask
    strength: Vector
    label: Int64s


def _flagged(replay: Replay) -> dict[float, Flagged]:
    """At each of the model's rates."""
    hybrid = replay.hybrid
    found: dict[float, list[Flagged]] = {rate: [] for rate in sorted(hybrid.thresholds)}
    hybrid.forget()
    for span, steps in replay.steps():
        judged = hybrid.judge(steps)
        for rate, parts in found.items():
            parts.append(_flagged_of(hybrid, judged, rate, span.start))
    hybrid.forget()
    return {rate: _joined(parts) for rate, parts in found.items()}


def _flagged_of(hybrid: Hybrid, judged: Judgement, rate: float, first: int) -> Flagged:
    """first: which report the first that was judged is."""
    cuts = hybrid.thresholds[rate]
    own = np.flatnonzero(hybrid.verdicts(judged.p_known, judged.p_novel, rate) != BENIGN)
    p = np.stack([judged.p_known[own], judged.p_novel[own]], axis=1)
    lanes = p < cuts
    relative = p / np.maximum(cuts, np.finfo(np.float64).tiny)
    strength = np.where(lanes[:, 0], relative[:, 0], 1 + relative[:, 1])
    return Flagged(own + first, lanes, strength, np.where(lanes[:, 0], judged.label[own], -1))


def _joined(parts: Sequence[Flagged]) -> Flagged:
    columns = zip(*((part.report, part.lanes, part.strength, part.label) for part in parts), strict=True)
    return Flagged(*(np.concatenate(column) for column in columns))


def _alerts(replay: Replay, flagged: Flagged) -> Int64s:
    """Which alert each flagged report is part of, (m,), numbered from 0; -1 where there are too few flows for one.

    Flows of one host that the known lane names alike, or that the novel lane alone flags, with no long silence between.
    """
    told = replay.told
    host, time = replay.host[told.row[flagged.report]], told.known_ns[flagged.report]
    order = np.lexsort((flagged.report, flagged.label, host[:, 1], host[:, 0]))
    key = np.column_stack([host, flagged.label])[order]
    starts = (key[1:] != key[:-1]).any(axis=1) | (np.diff(time[order]) > QUIET_NS)
    episode = np.empty(len(order), dtype=np.int64)
    episode[order] = np.concatenate([[0], np.cumsum(starts)])[: len(order)]
    flows = np.unique(np.column_stack([episode, told.row[flagged.report]]), axis=0)
    enough = np.bincount(flows[:, 0]) >= FLOWS
    numbered = np.where(enough, np.cumsum(enough) - 1, -1)
    alert: Int64s = numbered[episode]
    return alert


def _of_alerts(replay: Replay, rate: float, flagged: Flagged, explain: Explain, seed: int) -> dict[str, Any]:
    alert = _alerts(replay, flagged)
    count = int(alert.max(initial=-1)) + 1
    if not count:
        return {"alerts": 0, "share": None, "share_interval": None, "flows": None, "instead": {}, "by_class": {}}
    order = np.lexsort((flagged.report, flagged.strength, alert))
    exemplar = order[np.searchsorted(alert[order], np.arange(count))]
    report, lanes = flagged.report[exemplar], flagged.lanes[exemplar]
    values = replay.values(report)
    named = explain(replay.hybrid, values, lanes, replay.reasons)
    instead = {
        "columns_alone": _together(explain(replay.hybrid, values, lanes, replay.columns), replay.columns, replay.width),
        **_by_chance(named, replay, np.random.default_rng([seed, 4])),
    }
    of = np.full(len(replay.told), -1, dtype=np.int64)
    of[flagged.report] = alert
    clear = _again(replay, rate, of, _together(named, replay.reasons, replay.width))
    cleared, label = clear[report], replay.labels(report)
    return {
        "alerts": count,
        "share": rounded(float(cleared.mean())),
        "share_interval": interval(wilson(int(cleared.sum()), count)),
        "flows": rounded(float(np.mean(np.bincount(of[of >= 0], clear[of >= 0]) / np.bincount(of[of >= 0])))),
        "instead": {
            name: rounded(float(_again(replay, rate, of, restored)[report].mean()))
            for name, restored in instead.items()
        },
        "by_class": _by_class(label, cleared),
    }


def _together(columns: Int64s, groups: Sequence[Sequence[int]], width: int) -> Mask:
    """(m, width), the named columns with the others of their groups. columns: (m, k), -1 for none."""
    siblings = np.zeros((width, width), dtype=np.bool_)
    for group in groups:
        siblings[np.ix_(group, group)] = True
    np.fill_diagonal(siblings, val=True)
    together: Mask = np.any(siblings[columns] & (columns >= 0)[:, :, None], axis=1)
    return together


def _by_chance(named: Int64s, replay: Replay, rng: np.random.Generator) -> dict[str, Mask]:
    """What is restored in place of the reasons: three of the other reasons, and as many columns as the reasons hold."""
    all_reasons, all_columns = replay.reasons, replay.columns
    true = _together(named, all_reasons, replay.width)
    others, columns = np.zeros_like(true), np.zeros_like(true)
    for row, held in enumerate(true):
        free = [group for group in all_reasons if not held[list(group)].any()]
        for place in rng.permutation(len(free))[: named.shape[1]]:
            others[row, list(free[place])] = True
        drawn = rng.permutation(len(all_columns))[: held.sum()]
        columns[row, [all_columns[place][0] for place in drawn]] = True
    return {"other_reasons": others, "as_many_columns": columns}


def _again(replay: Replay, rate: float, of: Int64s, restored: Mask) -> Mask:
    """Which reports of alerts are not flagged, (m,), when all of an alert's have its columns restored.

    of: (m,) the alert of each report, -1 without. restored: (alerts, c).
    """
    hybrid = replay.hybrid
    clear = np.zeros(len(of), dtype=np.bool_)
    hybrid.forget()
    for index, steps in replay.steps_for(np.flatnonzero(of >= 0)):
        own = np.flatnonzero(of[index] >= 0)
        values = steps.values.copy()
        values[own] = np.where(restored[of[index][own]], hybrid.normal.median, values[own])
        again = hybrid.judge(replace(steps, values=values), rate)
        clear[index[own]] = again.verdict[own] == BENIGN
    hybrid.forget()
    return clear


def _by_class(label: NDArray[np.str_], cleared: Mask) -> dict[str, Any]:
    return {
        str(name): {"n": int((label == name).sum()), "share": rounded(float(cleared[label == name].mean()))}
        for name in np.unique(label)
    }


def _flow_by_flow(replay: Replay, flagged: Flagged, explain: Explain, seed: int) -> dict[str, Any]:
    """Share of flagged flows that clear when they alone are restored, at the default rate.

    A flow is looked at in its first flagged report; of very many, a seeded subsample. host_unknown: the same of those
    that are flagged without anything known of their host: what the state alone flags, no column of the flow explains.
    """
    hybrid = replay.hybrid
    chosen = np.unique(replay.told.row[flagged.report], return_index=True)[1]
    if len(chosen) > MOST:
        chosen = np.random.default_rng([seed, 4]).permutation(chosen)[:MOST]
    chosen = np.sort(chosen)
    report, lanes = flagged.report[chosen], flagged.lanes[chosen]
    true = replay.values(report)
    alone = _unknown(hybrid, true) != BENIGN
    content: dict[str, Any] = {"flows": len(chosen), "host_unknown": {"flows": int(alone.sum())}}
    for name, groups in (("reasons", replay.reasons), ("columns_alone", replay.columns)):
        named = _together(explain(hybrid, true, lanes, groups), groups, replay.width)
        restored = np.where(named, hybrid.normal.median, true)
        content[name] = _share(_beside(replay, report, restored) == BENIGN)
        content["host_unknown"][name] = _share(_unknown(hybrid, restored[alone]) == BENIGN)
    return content


def _share(cleared: Mask) -> float | None:
    return rounded(float(cleared.mean())) if len(cleared) else None


def _beside(replay: Replay, chosen: Int64s, restored: NDArray[np.float64]) -> NDArray[np.int8]:
    """Verdicts of the restored rows of the chosen reports, each in the state that its host then had.

    The restored step goes before the true one and leaves no trace: it does not advance.
    """
    hybrid = replay.hybrid
    verdicts = [np.empty(0, dtype=np.int8)]
    hybrid.forget()
    done = 0
    for index, steps in replay.steps_for(chosen):
        own = np.flatnonzero(np.isin(index, chosen))
        twice = np.sort(np.concatenate([np.arange(len(steps)), own]))
        first = np.flatnonzero(np.diff(twice, append=-1) == 0)
        values, advances = steps.values[twice], steps.advances[twice]
        values[first], advances[first] = restored[done : done + len(own)], False
        done += len(own)
        again = hybrid.judge(FlowSteps(values, steps.host[twice], steps.time_ns[twice], advances, steps.masked))
        verdicts.append(again.verdict[first])
    hybrid.forget()
    return np.concatenate(verdicts)


def _unknown(hybrid: Hybrid, values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Verdicts of rows, each the first thing ever seen of its host."""
    hybrid.forget()
    nobody = np.zeros((len(values), 2), dtype=np.int64)
    still = np.zeros(len(values), dtype=np.bool_)
    never = np.zeros(len(values), dtype=np.int64)
    return hybrid.judge(FlowSteps(values, nobody, never, still, has_masked(values))).verdict
