"""Labelled captures through the sensor's own meter, as one table of flows with every report that the sensor would see.

A capture is metered by whoever calls: this room knows records, no packets. Every host is one of its capture: the same
address in two captures is two hosts, and no sequence runs from one capture into the next.

A row is the record and, after it, its context (flows.context), which begins anew with each capture.

Flows of a benign capture are normal, those of a labelled one what its truth says. Of a capture that is an attack as a
whole nobody says which flows are the attack's, and ordinary traffic is among them: such flows have no label
(family ""), so nothing is fitted on them as an attack or as normal traffic, and the capture is judged as one episode.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.batch import (
    DST_PORT,
    END_NS,
    END_SHIFT_NS,
    IDENTITY_WIDTH,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SRC_HIGH,
    SRC_LOW,
    START_NS,
    START_SHIFT_NS,
    WITH_PORTS,
    FlowBatch,
    Identity,
)
from flows.columns import NAMES
from flows.context.columns import CONTEXT_NAMES
from flows.context.context import Context
from flows.matching import KEY, NO_EPISODE, matched
from flows.truth import BENIGN as TRUTH_BENIGN
from training import memory
from training.arrays import Int64s, Strings, Values
from training.datasets.captures.index import CaptureIndex, LabelledCapture
from training.datasets.captures.truth import UNKNOWN, truth_of
from training.datasets.rows import Rows, taken, together
from training.datasets.table import UNLABELLED, FlowTable, days_of
from training.errors import DatasetError
from training.labels import BENIGN, right_names, technique_family
from training.reporting import Report
from training.sequences import FlowReports

# A capture to its records, as a judge of the sensor gets them, and a line for each problem with it. Raises DatasetError
# for what is no capture.
Metering = Callable[[Path], tuple[FlowBatch, Sequence[str]]]

ROW_NAMES = (*NAMES, *CONTEXT_NAMES)  # of the columns of a row
CONTEXT_HOSTS = 16_384  # whose context is kept: episodes.capacity_hosts of the sensor's default settings
NO_PORT = -1
WHOLE = "flows of captures labelled as a whole, without a label of their own"
UNTOLD = "flows that no truth tells of, without a label"


@dataclass(frozen=True, slots=True)
class TruthEpisode:
    """An attack that is to be found: one of a truth, or a capture that is one as a whole."""

    capture: int  # number in the index
    name: str  # of the truth's scenario, or of the capture
    group: str  # under which its figures are told: the family, or the capture's group
    family: str  # training.labels; "" where the index names no technique
    right: frozenset[str]  # ids of techniques, parents, by any of which an alert names it rightly
    start_ns: int  # its first packet, of a whole capture the first that was metered
    flows: int  # of the meter; of a whole capture all


@dataclass(frozen=True, slots=True, eq=False)
class CaptureTable:
    """All flows of an index, capture after capture, in the order of their first reports."""

    index: CaptureIndex
    flows: FlowTable  # with the meter's reports, in the order in which each capture's were made
    identity: Identity  # (m, IDENTITY_WIDTH) of each report
    capture: Int64s  # (n,) number of each flow's capture
    episode: Int64s  # (n,) number of the episode that a flow is told to be of, NO_EPISODE of none
    episodes: tuple[TruthEpisode, ...]
    reports_until: Int64s  # (k,) how many reports there are up to the end of each capture
    problems: tuple[str, ...]  # captures that could not be read to their end, a line each

    def __len__(self) -> int:
        return len(self.flows)

    @property
    def network(self) -> Strings:
        """Name of each flow's network, (n,)."""
        return taken(np.array([capture.network for capture in self.index.captures]), self.capture)

    def records(self, capture: int) -> FlowBatch:
        """The records of a capture as a judge of the sensor gets them."""
        rows, values = self.report_rows(capture), self.flows.reports().values
        assert values is not None  # noqa: S101  # the meter's own reports have theirs
        return FlowBatch(self.identity[rows], np.ascontiguousarray(values[rows, : len(NAMES)]))

    def report_rows(self, capture: int) -> slice:
        """The reports of a capture."""
        end = int(self.reports_until[capture])
        return slice(int(self.reports_until[capture - 1]) if capture else 0, end)

    def rows(self, capture: int) -> slice:
        """The flows of a capture."""
        first, end = np.searchsorted(self.capture, (capture, capture + 1))
        return slice(int(first), int(end))


@dataclass(frozen=True, slots=True, eq=False)
class _Capture:
    """One capture as it was metered, and what is known of each of its flows."""

    flow: Int64s  # (m,) number of each report's flow, by their first reports
    last: Int64s  # (n,) the last report of each flow
    label: Strings  # (n,)
    family: Strings  # (n,)
    episode: Int64s  # (n,) number in episodes, NO_EPISODE of none
    episodes: tuple[TruthEpisode, ...]


def read_captures(index: CaptureIndex, meter: Metering, report: Report) -> CaptureTable:
    """Meter every capture of an index, and put their flows into one table.

    Raises DatasetError for a capture or a truth that cannot be read, and where no capture holds a flow.
    """
    with closing(Rows(IDENTITY_WIDTH, np.int64)) as identity, closing(Rows(len(ROW_NAMES))) as values:
        return _read_captures(index, meter, report, identity, values)


def _read_captures(index: CaptureIndex, meter: Metering, report: Report, identity: Rows, values: Rows) -> CaptureTable:
    """identity, values: of all reports, still empty."""
    problems: list[str] = []
    parts: list[_Capture] = []
    repairs: Counter[str] = Counter({WHOLE: 0, UNTOLD: 0})
    for number, capture in enumerate(index.captures):
        records, found = meter(capture.path)
        problems += found
        parts.append(_captured(number, capture, records))
        identity.append(records.identity)
        values.append(with_context(records))
        memory.check(f"metering {len(index.captures):,} captures")
        untold = int((parts[-1].family == UNLABELLED).sum())
        repairs[WHOLE if capture.kind == "attack" else UNTOLD] += untold
        if (number + 1) % 100 == 0:
            report(f"  metered {number + 1:,} of {len(index.captures):,} captures")
    for problem in problems:
        report(problem)
    if not any(len(part.last) for part in parts):
        raise DatasetError(index.path, "names captures without a flow; expected IP packets")
    return _table(index, parts, identity.whole(), values.whole(), dict(repairs), tuple(problems))


def flow_numbers(identity: Identity) -> Int64s:
    """Which flow each report is of, (m,) int64: 0, 1, … in the order of the flows' first reports.

    identity: (m, IDENTITY_WIDTH), in the order of the reports.
    """
    order = np.lexsort((np.arange(len(identity)), *(identity[:, word] for word in reversed(KEY))))
    first = identity[order, REPORT] == 0
    number = np.empty(len(identity), dtype=np.int64)
    number[order] = np.cumsum(first) - 1
    begins = np.empty(len(identity), dtype=np.bool_)
    begins[order] = first
    place = np.empty(int(begins.sum()), dtype=np.int64)
    place[number[begins]] = np.arange(len(place))
    numbers: Int64s = place[number]
    return numbers


def with_context(records: FlowBatch) -> Values:
    """Rows of all records of a capture, their context after their values: (m, c) float64."""
    # No record makes more than one row in any table, so that a smaller one gives the same to a small capture.
    hosts = min(max(len(records), 1), CONTEXT_HOSTS)
    return Context(hosts, 1).columns(records)


def _captured(number: int, capture: LabelledCapture, records: FlowBatch) -> _Capture:
    flow = flow_numbers(records.identity)
    flows = int(flow.max()) + 1 if len(flow) else 0
    last = np.zeros(flows, dtype=np.int64)
    last[flow] = np.arange(len(flow))  # of several writes the last one stays
    label, family, episode, episodes = _labels(number, capture, records.identity, last)
    return _Capture(flow, last, label, family, episode, episodes)


def _labels(
    number: int, capture: LabelledCapture, identity: Identity, last: Int64s
) -> tuple[Strings, Strings, Int64s, tuple[TruthEpisode, ...]]:
    """Label, family and episode of each flow, and the episodes of a capture."""
    n = len(last)
    nothing = np.full(n, NO_EPISODE, dtype=np.int64)
    if capture.truth is not None:
        return _by_truth(number, capture.truth, identity[last])
    if capture.kind == "benign":
        return np.full(n, BENIGN), np.full(n, BENIGN), nothing, ()
    start_ns = int(identity[:, START_NS].min()) if n else 0
    whole = TruthEpisode(number, capture.name, capture.group, capture.family, capture.expect, start_ns, n)
    return np.full(n, capture.group), np.full(n, UNLABELLED), nothing, (whole,)


def _by_truth(number: int, path: Path, identity: Identity) -> tuple[Strings, Strings, Int64s, tuple[TruthEpisode, ...]]:
    truths = truth_of(path)
    found = matched(identity, truths)
    of_truth = [(truth.scenario, truth.technique) for truth in truths]
    attacks = sorted({told for truth, told in zip(truths, of_truth, strict=True) if _is_attack(truth.technique)})
    number_of = {told: place for place, told in enumerate(attacks)}
    names = [technique if technique != TRUTH_BENIGN else BENIGN for _, technique in of_truth]
    families = [_family(technique) for _, technique in of_truth]
    numbers = [number_of.get(told, NO_EPISODE) for told in of_truth]
    begins: dict[int, int] = {}
    for truth, place in zip(truths, numbers, strict=True):
        begins[place] = min(begins.get(place, truth.start_ns), truth.start_ns)
    # One more entry at the end is of flows that no truth tells of: they are found at -1.
    episode = np.array([*numbers, NO_EPISODE], dtype=np.int64)[found]
    episodes = []
    for place, (scenario, technique) in enumerate(attacks):
        family = technique_family(technique)
        flows = int((episode == place).sum())
        episodes.append(TruthEpisode(number, scenario, family, family, right_names(technique), begins[place], flows))
    return np.array([*names, UNKNOWN])[found], np.array([*families, UNLABELLED])[found], episode, tuple(episodes)


def _is_attack(technique: str) -> bool:
    return technique not in (TRUTH_BENIGN, UNKNOWN)


def _family(technique: str) -> str:
    if technique == TRUTH_BENIGN:
        return BENIGN
    return technique_family(technique) if technique != UNKNOWN else UNLABELLED


def _table(
    index: CaptureIndex,
    parts: Sequence[_Capture],
    identity: Identity,
    values: Values,
    repairs: dict[str, int],
    problems: tuple[str, ...],
) -> CaptureTable:
    flows = np.array([len(part.last) for part in parts], dtype=np.int64)
    reports = np.array([len(part.flow) for part in parts], dtype=np.int64)
    first_flow, first_episode = np.cumsum(flows) - flows, _offsets([len(part.episodes) for part in parts])
    last = np.concatenate(
        [part.last + first for part, first in zip(parts, np.cumsum(reports) - reports, strict=True)], dtype=np.int64
    )
    of_flow = taken(identity, last)
    start_ns = of_flow[:, START_NS] + of_flow[:, START_SHIFT_NS]
    with_port = np.isin(of_flow[:, PROTOCOL], sorted(WITH_PORTS))
    told = FlowReports(
        row=np.concatenate([part.flow + first for part, first in zip(parts, first_flow, strict=True)], dtype=np.int64),
        known_ns=identity[:, REPORTED_NS],
        advances=identity[:, REPORT] == 0,
        values=values,
    )
    capture = np.repeat(np.arange(len(parts)), flows)
    table = FlowTable(
        values=taken(values, last),
        host=_hosts(of_flow, capture),
        start_ns=start_ns,
        end_ns=of_flow[:, END_NS] + of_flow[:, END_SHIFT_NS],
        label=together([part.label for part in parts]),
        family=together([part.family for part in parts]),
        day=days_of(start_ns),
        missing=(),
        repairs=repairs,
        sha256=index.sha256,
        dst_port=np.where(with_port, of_flow[:, DST_PORT], NO_PORT),
        path=index.path,
        reported=told,
        names=ROW_NAMES,
    )
    episode = np.concatenate(
        [
            np.where(part.episode < 0, NO_EPISODE, part.episode + at)
            for part, at in zip(parts, first_episode, strict=True)
        ]
    )
    return CaptureTable(
        index, table, identity, capture, episode, tuple(_all_episodes(parts)), np.cumsum(reports), problems
    )


def _all_episodes(parts: Sequence[_Capture]) -> Iterator[TruthEpisode]:
    for part in parts:
        yield from part.episodes


def _offsets(counts: list[int]) -> list[int]:
    """How many come before each."""
    return [sum(counts[:place]) for place in range(len(counts))]


def _hosts(identity: Identity, capture: Int64s) -> Int64s:
    """(n, 2) int64: number of the capture, and of the source address in all captures."""
    _, number = np.unique(identity[:, [SRC_HIGH, SRC_LOW]], axis=0, return_inverse=True)
    return np.stack([capture, number.reshape(-1).astype(np.int64)], axis=1)
