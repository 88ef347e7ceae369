"""Figures of a hybrid model on attack flows that it has not been fitted on, at thresholds from normal traffic.

Thresholds and false-positive rate never come from the same flows: calibrations are fitted on one half of the day's
normal traffic and the rate is counted on the other, then the other way round, and both are averaged.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.columns import NAMES
from flows.context.columns import without_context
from models.calibration import Calibration, fit_calibration
from models.detector import Detector, FlowSteps, Vector
from models.fusion import Hybrid, Judgement
from models.votes import fisher, voted
from training import memory
from training.arrays import Mask, Strings, Values
from training.datasets.table import UNLABELLED, FlowTable
from training.datasets.texts import texts_in
from training.labels import BENIGN
from training.sequences import FlowReports, rehomed

HALVES_SEED = 20170706
STOPPING_HOSTS = 24
CHUNK = 1 << 16  # reports judged at a time: a table may be a memory map
STOPPING_SEED = 20170707
HYBRID = "hybrid"
UNSEEN, LATER, FITTED = "unseen families", "later flows", "fitted attacks"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one detector, or the hybrid, finds at a nominal false-positive rate."""

    split: str  # what was kept from the fit (UNSEEN, LATER, FITTED). A flow counts once, found by any of its reports.
    detector: str
    rate: float
    hosts: str  # how flows are spread over source hosts
    fingerprints: bool
    seed: int
    false_positive_rate: float  # the actual one, on normal_flows
    normal_flows: int
    recall: float | None  # over all attack flows, None where there are none
    families: dict[str, tuple[float, int]]  # (recall, flows) of each

    def as_dict(self) -> dict[str, Any]:
        """For JSON, rounded to what the number of flows can carry."""
        content = asdict(self)
        content["false_positive_rate"] = round(self.false_positive_rate, 5)
        content["recall"] = None if self.recall is None else round(self.recall, 4)
        content["families"] = {k: {"recall": round(r, 4), "flows": n} for k, (r, n) in self.families.items()}
        return content


Figures = tuple[Figure, ...]


def are_attacks(family: Strings) -> Mask:
    """Which flows are labelled as an attack, (n,): of one without a label nobody knows."""
    attack: Mask = (family != BENIGN) & (family != UNLABELLED)
    return attack


def steps_of(table: FlowTable, host: NDArray[np.int64], told: FlowReports, columns: Sequence[str] = NAMES) -> FlowSteps:
    """The table's reports as detectors meet them, from these hosts.

    host: (n, 2), of each flow. columns: those of the rows that a model judges, as in rows_of.
    """
    row = told.row
    values = rows_of(table.values[row] if told.values is None else told.values, columns)
    return FlowSteps(values, host[row], table.start_ns[row], told.advances, masked=has_masked(values))


def chunked_steps(
    table: FlowTable, host: NDArray[np.int64], told: FlowReports, columns: Sequence[str] = NAMES
) -> Iterator[tuple[slice, FlowSteps]]:
    """As steps_of, in the same order and some at a time, each with where it stands among the reports.

    What detectors say of them is the same: they carry the state of each host from one part to the next.
    """
    for chosen in chunks(told):
        yield chosen, steps_of(table, host, told.take(chosen), columns)


def chunks(told: FlowReports) -> Iterator[slice]:
    """Which reports are judged at a time, one slice where there are none; raises MemoryBoundError in between."""
    for at in range(0, max(len(told), 1), CHUNK):
        memory.check(f"judging {len(told):,} reports")
        yield slice(at, min(at + CHUNK, len(told)))


def rows_of(values: Values, columns: Sequence[str]) -> Values:
    """Rows of a table as a model judges them, (m, len(columns)): without context where it uses none, masked where the
    table has none.

    values: (m, c), in the order of flows.columns.COLUMNS, and their context after them where the table has it.
    """
    if values.shape[1] < len(columns):
        return without_context(values)
    return values if values.shape[1] == len(columns) else values[:, : len(columns)]


def has_masked(values: Values) -> bool:
    """Whether rows know nothing of any of their context. values: as rows_of gives them."""
    return bool(np.isnan(values[:, len(NAMES) :]).any())


def ranked_above_normal(detector: Detector, day: FlowTable) -> float:
    """How surely a day's attacks score above its normal flows, 0.5 (by chance) to 1.

    Area under the curve up to a false-positive rate of 1 %, standardised (McClish 1989), on the mean of flows as they
    are and re-homed.
    """
    from sklearn.metrics import roc_auc_score

    told = day.reports()
    attack, labelled = are_attacks(day.family), day.family != UNLABELLED
    areas = []
    hosts = (day.host, _rehomed(day, STOPPING_HOSTS, STOPPING_SEED)) if day.has_hosts else (day.host,)
    for host in hosts:
        detector.forget()
        score = np.full(len(day), -np.inf)
        for chosen, steps in chunked_steps(day, host, told):
            np.maximum.at(score, told.row[chosen], detector.score(steps))
        areas.append(roc_auc_score(attack[labelled], score[labelled], max_fpr=0.01))
        detector.forget()
    return float(np.mean(areas))


def measured(
    hybrid: Hybrid,
    day: FlowTable,
    shared_hosts: int,
    rates: tuple[float, ...],
    fingerprints: bool,
    seed: int,
    split: str,
) -> list[Figure]:
    """Figures of each detector and of the hybrid: hosts as they are, re-homed onto a few, and so without attacks.

    The difference between the last two is what an attack costs the normal traffic that shares its address.
    """
    normal_day = day.take(day.family == BENIGN)
    half = np.zeros(len(normal_day), dtype=np.bool_)
    half[np.random.default_rng(HALVES_SEED).permutation(len(normal_day))[::2]] = True
    arrangements = {"as is": (day, day.host)}
    if day.has_hosts:
        arrangements |= {
            f"re-homed onto {shared_hosts}": (day, _rehomed(day, shared_hosts)),
            f"{shared_hosts}, no attacks": (normal_day, _rehomed(normal_day, shared_hosts)),
        }
    told = {hosts: table.reports() for hosts, (table, _) in arrangements.items()}
    judged = {
        hosts: _judged(hybrid, chunked_steps(table, host, told[hosts], hybrid.normal.columns))
        for hosts, (table, host) in arrangements.items()
    }
    scores = {hosts: judgement.scores for hosts, judgement in judged.items()}
    # The sensor's thresholds come from the traffic as it is, so they hold for every arrangement.
    part = np.full(len(day), -1)  # 1 and 0: the halves of the normal flows
    part[day.family == BENIGN] = half
    part = part[told["as is"].row]
    fitted = [
        {name: fit_calibration(values[part == chosen]) for name, values in scores["as is"].items()} for chosen in (1, 0)
    ]
    votes = [_votes(hybrid, scores["as is"], own, part == chosen) for own, chosen in zip(fitted, (1, 0), strict=True)]
    figures = []
    for rate in rates:
        for hosts, (table, _) in arrangements.items():
            row = told[hosts].row
            found = [_found(hybrid, judged[hosts], *own, rate, row) for own in zip(fitted, votes, strict=True)]
            for name in found[0]:
                alarms = (found[0][name], found[1][name])
                figures.append(_figure(alarms, table.family, half, name, rate, hosts, fingerprints, seed, split))
    return figures


def _rehomed(table: FlowTable, hosts: int, seed: int = HALVES_SEED) -> NDArray[np.int64]:
    return rehomed(len(table), hosts, np.random.default_rng(seed))


def _judged(hybrid: Hybrid, steps: Iterable[tuple[slice, FlowSteps]]) -> Judgement:
    hybrid.forget()
    parts = [hybrid.judge(part) for _, part in steps]
    hybrid.forget()
    return joined_judgements(parts)


def joined_judgements(parts: Sequence[Judgement]) -> Judgement:
    """What was said of consecutive steps, as if they had been judged at once."""
    first = parts[0]
    return Judgement(
        verdict=np.concatenate([part.verdict for part in parts]),
        p_known=np.concatenate([part.p_known for part in parts]),
        p_novel=np.concatenate([part.p_novel for part in parts]),
        scores={name: np.concatenate([part.scores[name] for part in parts]) for name in first.scores},
        label=np.concatenate([part.label for part in parts]),
        judged=np.concatenate([part.judged for part in parts]),
    )


def _votes(
    hybrid: Hybrid, scores: dict[str, Vector], calibrations: dict[str, Calibration], rows: Mask
) -> tuple[Calibration | None, Calibration | None]:
    """What the vote of each lane means, where it has one."""
    votes = []
    for lane, vote in ((hybrid.known, hybrid.known_vote), (hybrid.novel, hybrid.novel_vote)):
        names = [member.detector.name for member in lane]
        p = [calibrations[name].p_value(scores[name][rows]) for name in names]
        votes.append(None if vote is None else fit_calibration(fisher(lane, p)))
    return votes[0], votes[1]


def _found(
    hybrid: Hybrid,
    judged: Judgement,
    calibrations: dict[str, Calibration],
    votes: tuple[Calibration | None, Calibration | None],
    rate: float,
    row: NDArray[np.int64],
) -> dict[str, Mask]:
    """Flows with any report over the threshold: each detector with the whole rate, the hybrid with half in each lane.

    judged: each report; the hybrid is silent where it has met no normal traffic of that group. row: (m,) the flow of
    each report.
    """
    p = {name: calibrations[name].p_value(values) for name, values in judged.scores.items()}
    found = {name: values < rate for name, values in p.items()}
    lanes = zip((hybrid.known, hybrid.novel), votes, hybrid.thresholds[rate], strict=True)
    found[HYBRID] = judged.judged & np.any(
        [voted(lane, [p[member.detector.name] for member in lane], vote, len(row)) < cut for lane, vote, cut in lanes],
        axis=0,
    )
    return {name: np.bincount(row, weights=over) > 0 for name, over in found.items()}


def _figure(
    alarms: tuple[Mask, Mask],
    family: NDArray[np.str_],
    half: Mask,
    detector: str,
    rate: float,
    hosts: str,
    fingerprints: bool,
    seed: int,
    split: str,
) -> Figure:
    normal = family == BENIGN
    false = int(alarms[0][normal][~half].sum() + alarms[1][normal][half].sum())
    mean_alarm = (alarms[0].astype(np.float64) + alarms[1]) / 2
    attack = are_attacks(family)
    attacks = {str(name): family == name for name in texts_in(family[attack])}
    return Figure(
        split=split,
        detector=detector,
        rate=rate,
        hosts=hosts,
        fingerprints=fingerprints,
        seed=seed,
        false_positive_rate=false / int(normal.sum()),
        normal_flows=int(normal.sum()),
        recall=float(mean_alarm[attack].mean()) if attacks else None,
        families={name: (float(mean_alarm[rows].mean()), int(rows.sum())) for name, rows in attacks.items()},
    )


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """Mean and sample standard deviation over the seeds; no deviation of a single seed."""

    mean: float
    deviation: float | None

    def text(self, digits: int, factor: float = 1.0) -> str:
        """As "mean ± deviation"."""
        parts = [self.mean] if self.deviation is None else [self.mean, self.deviation]
        return " ± ".join(f"{factor * part:.{digits}f}" for part in parts)


def _spread(values: list[float]) -> SeedSpread:
    return SeedSpread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def over_seeds(figures: Figures) -> list[dict[str, Any]]:
    """The figures with those of all seeds together, for JSON: mean and standard deviation."""
    rows = []
    for group in _by_seed(figures):
        first = group[0]
        row: dict[str, Any] = {
            key: getattr(first, key) for key in ("split", "detector", "rate", "hosts", "fingerprints")
        }
        row["seeds"] = [figure.seed for figure in group]
        false, recall = _false_spread(group), _recall_spread(group)
        row["false_positive_rate"] = _rounded(false)
        row["recall"] = recall and _rounded(recall)
        row["families"] = {name: round(found, 4) for name, found in _family_means(group).items()}
        rows.append(row)
    return rows


def table_of(figures: Figures) -> str:
    """The figures as lines of text, all seeds together."""
    lines = [
        f"{'not fitted':17}{'detector':15}{'columns':16}{'hosts':18}{'nominal':>8}{'actual FPR':>16}{'recall':>15}"
        "  by family (flows)"
    ]
    for group in _by_seed(figures):
        first = group[0]
        recall = _recall_spread(group)
        families = ", ".join(
            f"{name} {found:.3f} ({first.families[name][1]})" for name, found in _family_means(group).items()
        )
        columns = "all" if first.fingerprints else "no fingerprints"
        lines.append(
            f"{first.split:17}{first.detector:15}{columns:16}{first.hosts:18}"
            f"{100 * first.rate:6.1f} %{_false_spread(group).text(2, 100):>14} %{recall.text(3) if recall else '-':>15}"
            f"  {families}"
        )
    return "\n".join(lines)


def _by_seed(figures: Figures) -> list[list[Figure]]:
    groups: dict[tuple[float, bool, str, str, str], list[Figure]] = {}
    for figure in figures:
        key = (figure.rate, figure.fingerprints, figure.split, figure.hosts, figure.detector)
        groups.setdefault(key, []).append(figure)
    return [groups[key] for key in sorted(groups, key=lambda key: (key[0], not key[1], key[2] != UNSEEN))]


def _false_spread(group: list[Figure]) -> SeedSpread:
    return _spread([figure.false_positive_rate for figure in group])


def _recall_spread(group: list[Figure]) -> SeedSpread | None:
    recalls = [figure.recall for figure in group if figure.recall is not None]
    return _spread(recalls) if recalls else None


def _family_means(group: list[Figure]) -> dict[str, float]:
    return {name: float(np.mean([figure.families[name][0] for figure in group])) for name in group[0].families}


def _rounded(spread: SeedSpread) -> dict[str, float | None]:
    return {
        "mean": round(spread.mean, 5),
        "deviation": None if spread.deviation is None else round(spread.deviation, 5),
    }
