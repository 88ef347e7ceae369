"""Rows scored: a few copies of the model, one request at a time in each, no state carried from one to the next."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from queue import LifoQueue
from typing import Any

import numpy as np

from models.fusion import ATTACK, VERDICTS, Hybrid, Judgement
from sensor.api.problems import Problem
from sensor.api.reasons import Explains, Reasons, reasons_of
from sensor.api.records import Records


@dataclass(frozen=True, slots=True)
class Scored:
    """n rows judged. reasons: of the flagged ones by their number, none where they were not asked for."""

    judgement: Judgement
    rate: float
    reasons: Mapping[int, Reasons]


class Scorer:
    """A model behind a door: detectors have states and scratch memory, so that nobody else may be in there."""

    def __init__(self, hybrid: Hybrid, explainer: Explains, rate: float, copies: int = 2) -> None:
        """rate: nominal false-positive rate of requests that name none. copies: how many requests go on at once."""
        self.hybrid = hybrid
        self.rate = rate
        self._explainer = explainer
        self._free: LifoQueue[Hybrid] = LifoQueue()
        for _ in range(copies):
            self._free.put(copy.deepcopy(hybrid))

    def check_rate(self, rate: float | None) -> float:
        """The rate to judge at. Raises Problem for one that the model has no thresholds for."""
        wanted = self.rate if rate is None else rate
        if wanted not in self.hybrid.thresholds:
            held = ", ".join(str(held) for held in sorted(self.hybrid.thresholds))
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f'"rate" is {wanted!r:.40}, this model has thresholds for {held}'
            )
        return wanted

    @contextmanager
    def turn(self) -> Iterator["Turn"]:
        """A copy of the model for oneself, as soon as one is free, without a memory of any host."""
        hybrid = self._free.get()
        try:
            hybrid.forget()
            yield Turn(hybrid, self._explainer)
        finally:
            self._free.put(hybrid)


@dataclass(frozen=True, slots=True)
class Turn:
    """One request's time with a model."""

    hybrid: Hybrid
    explainer: Explains

    def score(self, records: Records, rate: float, reasons: str) -> Scored:
        """Judge rows in their order. reasons: one of sensor.api.reasons.REASONS."""
        judgement = self.hybrid.judge(records.steps(), rate)
        cuts = self.hybrid.thresholds[rate]
        told = reasons_of(self.hybrid, self.explainer, records.values, judgement, cuts, reasons)
        return Scored(judgement, rate, told)


def rows_document(hybrid: Hybrid, scored: Scored) -> list[dict[str, Any]]:
    """A row's answer each, as JSON has it. The label and its technique are the known lane's, null where it is silent.

    "reasons" is there for flagged rows of a request that asked for them.
    """
    judgement = scored.judgement
    names = list(judgement.scores)
    columns = zip(*(judgement.scores[name].tolist() for name in names), strict=True)
    labels = np.where(judgement.verdict == ATTACK, judgement.label, -1).tolist()
    rows: list[dict[str, Any]] = [
        {
            "verdict": VERDICTS[verdict],
            "label": hybrid.labels[label] if label >= 0 else None,
            "technique": hybrid.techniques[label] if label >= 0 else None,
            "p": {"known": known, "novel": novel},
            "scores": dict(zip(names, scores, strict=True)),
        }
        for verdict, label, known, novel, scores in zip(
            judgement.verdict.tolist(),
            labels,
            judgement.p_known.tolist(),
            judgement.p_novel.tolist(),
            columns,
            strict=True,
        )
    ]
    for row, reasons in scored.reasons.items():
        rows[row]["reasons"] = reasons
    return rows


def model_document(hybrid: Hybrid, rate: float, rows: str) -> dict[str, Any]:
    """What a model is. rows: what it takes."""
    return {
        "id": hybrid.model_id,
        "sha256": hybrid.sha256,
        "feature_contract": hybrid.feature_contract,
        "rows": rows,
        "fusion": hybrid.fusion,
        "rate": rate,
        "thresholds": [
            {"rate": held, "known": cuts[0], "novel": cuts[1]} for held, cuts in sorted(hybrid.thresholds.items())
        ],
        "labels": [
            {"name": name, "technique": technique}
            for name, technique in zip(hybrid.labels, hybrid.techniques, strict=True)
        ],
        "detectors": [
            {"name": member.detector.name, "lane": lane, "weight": member.weight}
            for lane, members in (("known", hybrid.known), ("novel", hybrid.novel))
            for member in members
        ],
        "columns": list(hybrid.normal.columns),
    }
