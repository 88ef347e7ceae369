"""Scored rows: what a bundle's members and its baselines say of every flow, at the thresholds stored in the bundle.

Nothing is fitted or chosen here, and no label is looked at: the same flows get the same scores whatever else is in the
table (members that keep a state per host look at the host's earlier flows, as they do in the sensor).
A flow counts once: its score is the highest over its reports, its p-value the lowest, its verdict the gravest. A
connection record is a row like a flow, reported once and by nobody.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.baselines import Baselines
from models.calibration import Calibration
from models.detector import Classifier, FlowSteps, Vector
from models.fusion import BENIGN, CASCADE, Hybrid, Judgement
from models.rules import ColumnThreshold
from training.arrays import Int64s, Mask, Strings
from training.datasets.rows import blocks, empty, stacked, together
from training.datasets.table import FlowTable
from training.measure import CHUNK, HYBRID, chunked_steps, has_masked, rows_of
from training.reporting import Report

BISECTIONS = 80
BASELINE_SUFFIX = " (baseline)"
FIXED = 7  # arrays of a Scored that do not hang on its members


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Flows in the order of their table, and what was said of each."""

    label: Strings  # (n,) as in their table
    family: Strings  # (n,) as in their table
    scores: Mapping[str, Vector]  # (n,) float64 of each member, hybrid first, higher is more anomalous
    p_values: Mapping[str, Vector]  # (n,) of each member that has one (all but the hybrid)
    p_known: Vector  # (n,) of the known lane
    p_novel: Vector  # (n,) of the novel lane
    # (n,) the larger of both lanes in one report, the lowest of it: below a rate where the gated rule speaks
    p_cascade: Vector
    named: NDArray[np.int64]  # (n,) index into labels, the known lane's likeliest attack in the report it was surest of
    verdicts: Mapping[float, NDArray[np.int8]]  # (n,) int8 by nominal rate, the gravest over the reports
    labels: tuple[str, ...]
    cuts: Mapping[float, tuple[float, float]]  # p-values (known, novel) by rate, from the bundle
    probabilities: frozenset[str]  # members whose score is the probability of an attack
    baselines: frozenset[str]  # which members are no part of the hybrid
    # By member and rate, the lowest score whose p-value is below the rate, None where no score is
    score_cuts: Mapping[str, Mapping[float, float | None]]
    default_rate: float
    novel: Mask | None = None  # (n,) attacks of a type that the fit had none of, None where types are not told apart

    def __len__(self) -> int:
        return len(self.label)

    @property
    def members(self) -> tuple[str, ...]:
        """The hybrid, its voters, then the baselines."""
        return tuple(self.scores)

    @property
    def voters(self) -> tuple[str, ...]:
        """The detectors that the hybrid is made of."""
        return tuple(name for name in self.scores if name != HYBRID and name not in self.baselines)

    @property
    def rates(self) -> tuple[float, ...]:
        """Nominal rates with stored thresholds, ascending."""
        return tuple(sorted(self.cuts))

    @property
    def lanes_of_several(self) -> dict[str, Vector]:
        """p-values of the lanes, by name, that are not those of a single voter."""
        lanes = {"known lane": self.p_known, "novel lane": self.p_novel}
        voters = [self.p_values[name] for name in self.voters]
        return {name: p for name, p in lanes.items() if not any(np.array_equal(p, own) for own in voters)}

    def found(self, member: str, rate: float) -> Mask:
        """Flows that a member flags: p below the rate; the hybrid, by any of its lanes."""
        if member == HYBRID:
            flagged: Mask = self.verdicts[rate] != BENIGN
        else:
            flagged = self.p_values[member] < rate
        return flagged

    def take(self, rows: Int64s | Mask) -> "ScoredRows":
        """The chosen flows, in the order given."""
        return self._with(lambda column: column[rows])

    def joined(self, other: "ScoredRows") -> "ScoredRows":
        """These rows and others that another fit of the same members judged at the same rates.

        Fits know different names, so these are put together; a score means another thing to each, so no cut is left.
        """
        labels = tuple(dict.fromkeys((*self.labels, *other.labels)))
        renamed = np.array([labels.index(name) for name in other.labels], dtype=np.int64)
        columns = iter(_columns(replace(other, named=renamed[other.named])))
        both = self._with(lambda column: np.concatenate([column, next(columns)]))
        uncut: dict[str, dict[float, float | None]] = {
            name: dict.fromkeys(own) for name, own in self.score_cuts.items()
        }
        return replace(both, labels=labels, score_cuts=uncut)

    def _with(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "ScoredRows":
        changed = [change(column) for column in _columns(self)]
        fixed, members = changed[:FIXED], iter(changed[FIXED:])
        scores = {name: next(members) for name in self.scores}
        p_values = {name: next(members) for name in self.p_values}
        verdicts = {rate: next(members) for rate in self.verdicts}
        label, family, p_known, p_novel, p_cascade, named, novel = fixed
        return replace(
            self,
            label=label,
            family=family,
            scores=scores,
            p_values=p_values,
            p_known=p_known,
            p_novel=p_novel,
            p_cascade=p_cascade,
            named=named,
            verdicts=verdicts,
            novel=None if self.novel is None else novel,
        )


def _columns(scored: ScoredRows) -> list[NDArray[Any]]:
    """All arrays of one entry a flow, in a fixed order, FIXED of them whatever the members are."""
    novel = np.zeros(len(scored), dtype=np.bool_) if scored.novel is None else scored.novel
    fixed = [scored.label, scored.family, scored.p_known, scored.p_novel, scored.p_cascade, scored.named, novel]
    return [*fixed, *scored.scores.values(), *scored.p_values.values(), *scored.verdicts.values()]


def scored(hybrid: Hybrid, baselines: Baselines | None, table: FlowTable, host: Int64s, report: Report) -> ScoredRows:
    """Judge a table in the order in which its flows become known, the hosts' states carried from report to report.

    host: (n, 2) int64, the source address of each flow. The hybrid is left without state.
    """
    told = table.reports()

    def steps() -> Iterator[tuple[Int64s, FlowSteps]]:
        for chosen, steps in chunked_steps(table, host, told, hybrid.normal.columns):
            yield told.row[chosen], steps
            if len(told) > CHUNK:
                report(f"  judged {chosen.stop:,} of {len(told):,} reports")

    plain = {} if baselines is None else _plain_scores(hybrid, baselines, table)
    return scored_steps(hybrid, steps(), baselines, plain, (table.label, table.family))


def _plain_scores(hybrid: Hybrid, baselines: Baselines, table: FlowTable) -> Mapping[str, Vector]:
    """What the baselines, which see rows as the hybrid's detectors do, say of each flow."""
    parts = []
    for at in range(0, max(1, len(table)), CHUNK):
        part = slice(at, at + CHUNK)
        values = rows_of(table.values[part], hybrid.normal.columns)
        parts.append(baselines.scores(hybrid.filled(values) if has_masked(values) else values, table.dst_port[part]))
    return {name: together([part[name] for part in parts]) for name in parts[0]}


def scored_steps(
    hybrid: Hybrid,
    steps: Iterable[tuple[Int64s, FlowSteps]],
    baselines: Baselines | None,
    plain: Mapping[str, Vector],
    truth: tuple[Strings, Strings],
) -> ScoredRows:
    """Judge rows in the order of their steps, each with the rows (m,) that its steps are of.

    plain: (n,) scores of each row by the baselines' names. truth: (n,) label and family of each row.
    """
    label, family = truth
    lanes = _Lanes(hybrid, len(label))
    hybrid.forget()
    for row, part in steps:
        lanes.take(row, hybrid.judge(part))
    hybrid.forget()
    calibrations = {m.detector.name: m.calibration for m in (*hybrid.known, *hybrid.novel)}
    probabilities = {m.detector.name for m in hybrid.known if isinstance(m.detector, Classifier)}
    scores = dict(lanes.scores)
    taken = frozenset((HYBRID, *scores))
    for member in () if baselines is None else baselines.members:
        # A voter and a baseline may be of one kind and yet two models.
        own = member.name + BASELINE_SUFFIX if member.name in taken else member.name
        scores[own], calibrations[own] = plain[member.name], member.calibration
        if not isinstance(member.detector, ColumnThreshold):
            probabilities.add(own)
    return ScoredRows(
        label=label,
        family=family,
        scores={HYBRID: _in_blocks(partial(ranking, hybrid), lanes.p_known, lanes.p_novel), **scores},
        p_values={name: _in_blocks(calibrations[name].p_value, values) for name, values in scores.items()},
        p_known=lanes.p_known,
        p_novel=lanes.p_novel,
        p_cascade=lanes.p_cascade,
        named=lanes.named,
        verdicts=lanes.verdicts,
        labels=hybrid.labels,
        cuts=dict(hybrid.thresholds),
        probabilities=frozenset(probabilities),
        baselines=frozenset(scores) - frozenset(lanes.scores),
        score_cuts={
            name: {rate: score_cut(calibration, rate) for rate in sorted(hybrid.thresholds)}
            for name, calibration in calibrations.items()
        },
        default_rate=hybrid.default_rate,
    )


def _in_blocks(reckoned: Callable[..., Vector], *columns: Vector) -> Vector:
    """What is reckoned of each row by itself, (n,) float64; where they are many, in a temporary file."""
    n = len(columns[0])
    return stacked((reckoned(*(column[rows] for column in columns)) for rows in blocks(n)), (n,), np.dtype(np.float64))


def ranking(hybrid: Hybrid, p_known: Vector, p_novel: Vector) -> Vector:
    """The hybrid's score, for curves: how many powers of ten a lane lies below its cut at the default rate.

    The larger of both lanes counts, so that the score is positive exactly where the hybrid speaks at the default rate;
    in a cascade only the novel lane, without which nothing speaks. Where the lanes' shares of the budget are the same
    at every rate, so are the order and one cut for each of them. A lane of no budget never counts. (n,) float64.
    """
    cuts = hybrid.thresholds[hybrid.default_rate]
    lanes = zip(cuts, (p_known, p_novel), strict=True)
    margins = [np.log10(cut / p) for cut, p in list(lanes)[hybrid.fusion == CASCADE :] if cut > 0]
    if not margins:
        return np.zeros(len(p_known))
    return np.asarray(np.max(margins, axis=0), dtype=np.float64)


def score_cut(calibration: Calibration, rate: float) -> float | None:
    """Lowest score whose p-value is below the rate, within float64's resolution; None where no score is."""
    low = float(calibration.scores[0])
    spread = max(float(calibration.scores[-1]) - low, 1e-9)
    high = 1.0 if calibration.log_odds else low + spread
    while calibration.p_value(np.array([high]))[0] >= rate:
        if calibration.log_odds or high > low + 1e9 * spread:
            return None
        high = low + 2 * (high - low)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = calibration.p_value(np.array([middle]))[0] < rate
        low, high = (low, middle) if below else (middle, high)
    return high


class _Lanes:
    """Running extremes of each flow over its reports."""

    def __init__(self, hybrid: Hybrid, flows: int) -> None:
        names = [member.detector.name for member in (*hybrid.known, *hybrid.novel)]
        self.scores = {name: _full(flows, -np.inf) for name in names}
        self.p_known, self.p_novel, self.p_cascade = (_full(flows, 1.0) for _ in range(3))
        self.named = np.zeros(flows, dtype=np.int64)
        self.verdicts = {rate: np.full(flows, BENIGN, dtype=np.int8) for rate in sorted(hybrid.thresholds)}
        self._hybrid = hybrid
        self._surest = _full(flows, np.inf)

    def take(self, row: Int64s, judged: Judgement) -> None:
        """row: (m,) the flow of each judged report."""
        for name, values in judged.scores.items():
            np.maximum.at(self.scores[name], row, values)
        # Surest last, the earliest last among equals: the last of several writes to one flow stays.
        order = np.lexsort((-np.arange(len(row)), -judged.p_known))
        order = order[judged.p_known[order] < self._surest[row[order]]]
        self.named[row[order]] = judged.label[order]
        np.minimum.at(self._surest, row, judged.p_known)
        np.minimum.at(self.p_known, row, judged.p_known)
        np.minimum.at(self.p_novel, row, judged.p_novel)
        np.minimum.at(self.p_cascade, row, np.maximum(judged.p_known, judged.p_novel))
        for rate, verdict in self.verdicts.items():
            np.maximum.at(verdict, row, self._hybrid.verdicts(judged.p_known, judged.p_novel, rate))


def _full(flows: int, value: float) -> Vector:
    """(n,) float64; where they are many, in a temporary file."""
    column = empty((flows,), np.float64)
    column.fill(value)
    return column
