"""Scores samples with a pool of copies of the model: one request at a time in each, no state from one to the next."""

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from queue import Empty, LifoQueue
from typing import Any, Final

import numpy as np

from models.fusion import ATTACK, VERDICTS, Hybrid, Judgement
from sensor.api.budget import TimeBudget
from sensor.api.problems import Problem
from sensor.api.reasons import Reasons, reasons_of
from sensor.api.samples import Samples
from sensor.episodes.reasons import Explainer

COPIES: Final = 8  # of a model at most
WAITING: Final = 16  # requests that wait for a copy of the model: the server's other threads answer what needs none
WAIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """The judgement of n samples."""

    judgement: Judgement
    rate: float  # nominal false-positive rate of the thresholds
    reasons: Mapping[int, Reasons]  # by row, of the flagged ones; empty where none were requested


class ModelPool:
    """Copies of a model, leased to one request at a time each, as detectors have states and scratch memory."""

    def __init__(
        self, hybrid: Hybrid, explainer: Explainer, rate: float, copies: int = 2, request_s: float = 60.0
    ) -> None:
        """rate: nominal false-positive rate of requests that name none. copies: limit of concurrent requests.

        request_s: CPU time that one request may take.
        """
        self.hybrid = hybrid
        self.rate = rate
        self._request_s = request_s
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._explainer = explainer
        self._free: LifoQueue[Hybrid] = LifoQueue()
        for _ in range(copies):
            self._free.put(copy.deepcopy(hybrid))

    def check_rate(self, rate: float | None) -> float:
        """The requested rate, or the default for None. Raises Problem 422 for one without thresholds in the model."""
        requested = self.rate if rate is None else rate
        if requested not in self.hybrid.thresholds:
            known = ", ".join(str(known) for known in sorted(self.hybrid.thresholds))
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f'"rate" is {requested!r:.40}, this model has thresholds for {known}'
            )
        return requested

    @contextmanager
    def lease(self) -> Iterator["ModelLease"]:
        """Wait for a free copy of the model and use it exclusively; it starts without state of any host.

        Raises Problem 503 where too many wait, or it takes too long.
        """
        hybrid = self._take()
        try:
            hybrid.forget()
            yield ModelLease(hybrid, self._explainer, TimeBudget(self._request_s))
        finally:
            self._free.put(hybrid)

    def _take(self) -> Hybrid:
        with suppress(Empty):
            return self._free.get_nowait()
        if not self._waiting.acquire(blocking=False):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests wait to be scored, expected fewer at once")
        try:
            return self._free.get(timeout=WAIT_S)
        except Empty:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, f"no copy of the model was free within {WAIT_S:g} s"
            ) from None
        finally:
            self._waiting.release()


@dataclass(frozen=True, slots=True)
class ModelLease:
    """Exclusive use of one copy of the model."""

    hybrid: Hybrid
    explainer: Explainer
    budget: TimeBudget  # of the request that has it

    def score(self, samples: Samples, rate: float, reasons: str) -> ScoringResult:
        """Judge samples in their order. reasons: one of sensor.api.reasons.REASONS."""
        judgement = self.hybrid.judge(samples.steps(), rate)
        thresholds = self.hybrid.thresholds[rate]
        explained = reasons_of(self.hybrid, self.explainer, samples.values, judgement, thresholds, reasons, self.budget)
        return ScoringResult(judgement, rate, explained)


def rows_document(hybrid: Hybrid, result: ScoringResult) -> list[dict[str, Any]]:
    """One JSON object for each row (sensor.api.schemas.Row).

    label and technique are the known lane's, None where it did not flag; flagged rows have "reasons" if requested, and
    rows of no group met in normal traffic "judged", false.
    """
    judgement = result.judgement
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
    for row in np.flatnonzero(~judgement.judged).tolist():
        rows[row]["judged"] = False
    for row, reasons in result.reasons.items():
        rows[row]["reasons"] = reasons
    return rows


def model_document(hybrid: Hybrid, rate: float, rows: str) -> dict[str, Any]:
    """The bundle as JSON has it (sensor.api.schemas.Model). rows: name of its row format."""
    return {
        "id": hybrid.model_id,
        "sha256": hybrid.sha256,
        "feature_contract": hybrid.feature_contract,
        "rows": rows,
        "fusion": hybrid.fusion,
        "rate": rate,
        "thresholds": [
            {"rate": known_rate, "known": known, "novel": novel}
            for known_rate, (known, novel) in sorted(hybrid.thresholds.items())
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
        "optional": list(hybrid.maskable),
    }
