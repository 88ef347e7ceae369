"""Judged traffic of our own making for tests of drift: draws from distributions, days of them in a moment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.batch import IDENTITY_WIDTH, REPORTED_NS, FlowBatch
from flows.columns import NAMES
from models.calibration import fit_calibration
from models.detector import FlowSteps, Vector
from models.fusion import BENIGN, RATES, Hybrid, Judgement, Member
from models.normal import NormalProfile
from sensor.alerts.alert import Observer
from sensor.alerts.drift_record import DriftRecord
from sensor.drift.drift import DAY_NS, Drift, DriftSettings

COLUMNS = ("kind", "bytes", "gap", "answers", "retries", "port_share", "idle", "share")
DETECTORS = ("forest", "isolation")
OBSERVER = Observer("sensor", "1")
START_NS = 1_700_000_000_000_000_000
EMPTY_VALUES = np.empty((0, len(NAMES)))


@dataclass(frozen=True)
class MadeRows:
    """A contract of the columns above."""

    rows: str = "made flows"
    columns: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(COLUMNS, "0" * 8))
    former: str = ""


@dataclass
class NamedDetector:
    """A detector that is never asked: tests say what it said."""

    name: str

    def score(self, _steps: FlowSteps) -> Vector:
        raise AssertionError

    def forget(self) -> None:
        raise AssertionError


def made_columns(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Rows of normal traffic: heavy tails, atoms, discrete values, and a column that is always 0."""
    return np.column_stack(
        (
            rng.choice([6.0, 17.0, 1.0], rows, p=[0.7, 0.28, 0.02]),
            rng.lognormal(8, 2, rows),
            rng.exponential(1e6, rows),
            rng.poisson(3, rows).astype(float),
            rng.choice([0.0, 1.0, 2.0], rows, p=[0.97, 0.02, 0.01]),
            rng.beta(0.5, 0.5, rows),
            np.zeros(rows),
            rng.random(rows),
        )
    )


def made_hybrid(about: Mapping[str, Any] | None = None, name: str = "made") -> Hybrid:
    """A bundle that was calibrated on such traffic."""
    rng = np.random.default_rng(7)
    values = made_columns(rng, 50_000)
    calibration = fit_calibration(rng.random(5000) * 10)  # over 1, so that it is no probability
    members = tuple(Member(NamedDetector(name), calibration) for name in DETECTORS)
    return Hybrid(
        known=members[:1],
        novel=members[1:],
        labels=("normal", "attack"),
        techniques=(None, None),
        thresholds=dict.fromkeys(RATES, (0.01, 0.01)),
        normal=NormalProfile(COLUMNS, *np.quantile(values, (0.01, 0.5, 0.99, 0.999), axis=0)),
        contract=MadeRows(),
        model_id=name,
        about=about or {},
    )


@dataclass
class MadeDay:
    """One day of judged traffic, in the order of its reports."""

    times_ns: NDArray[np.int64]
    rows: NDArray[np.float64]  # (n, c)
    scores: dict[str, Vector]
    judged: NDArray[np.bool_]


def made_day(rng: np.random.Generator, day: int, flows: int = 6000) -> MadeDay:
    """A day like any other, quiet at night; of its flows 2 % are not judged."""
    hours = rng.choice(24, flows, p=np.array([1] * 8 + [4] * 10 + [2] * 6) / 60)
    within = (hours + rng.random(flows)) * 3600e9
    return MadeDay(
        np.sort((START_NS + day * DAY_NS + within).astype(np.int64)),
        made_columns(rng, flows),
        {name: rng.random(flows) * 10 for name in DETECTORS},
        rng.random(flows) >= 0.02,
    )


def batches(
    day: MadeDay, sizes: Iterator[int] | None = None
) -> Iterator[tuple[FlowBatch, NDArray[np.float64], Judgement]]:
    """The day as a judge tells it, in batches of these sizes, all at once without."""
    at, rows = 0, len(day.rows)
    while at < rows:
        part = slice(at, rows if sizes is None else at + next(sizes))
        count = len(day.rows[part])
        identity = np.zeros((count, IDENTITY_WIDTH), dtype=np.int64)
        identity[:, REPORTED_NS] = day.times_ns[part]
        judgement = Judgement(
            np.full(count, BENIGN, dtype=np.int8),
            np.ones(count),
            np.ones(count),
            {name: scores[part] for name, scores in day.scores.items()},
            np.zeros(count, dtype=np.int64),
            day.judged[part],
        )
        yield FlowBatch(identity, np.zeros((count, len(NAMES)))), day.rows[part], judgement
        at += count


def drifting(
    days: Iterator[MadeDay] | list[MadeDay], settings: DriftSettings, hybrid: Hybrid | None = None
) -> list[DriftRecord]:
    """All that is told of these days, and of the hour after."""
    hybrid = hybrid or made_hybrid()
    drift = Drift(hybrid, OBSERVER, settings)
    found: list[DriftRecord] = []
    last_ns = 0
    for day in days:
        for records, rows, judgement in batches(day):
            drift.judged(hybrid, records, rows, judgement)
        last_ns = int(day.times_ns[-1])
        found += drift.advance(last_ns)
    return found + drift.advance(last_ns + DAY_NS // 12)
