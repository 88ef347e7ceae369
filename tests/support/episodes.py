"""Scored flows of a few kinds, and the episodes that they give rise to."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any, NamedTuple

import numpy as np

from flows.batch import END_DETECTED, IDENTITY_WIDTH, REPORTED_NS, FlowBatch
from flows.columns import COLUMNS, INDEX
from models.fusion import ATTACK, BENIGN, UNCERTAIN, Judgement, NormalProfile
from sensor.alerts.alert import Alert, ModelIdentity, Observer
from sensor.episodes.alerting import AlertBuilder
from sensor.episodes.episodes import Episodes, EpisodeSettings
from sensor.episodes.reasons import Explainer

CUT = 0.0005
S = 1_000_000_000
T0 = 1_700_000_000 * S
LABELS = ("BENIGN", "SSH-Patator", "DoS Hulk", "Odd")
TECHNIQUES = (None, "T1110.001", "T1499.002", None)
GUESSING, HULK, ODD = 1, 2, 3


class Flow(NamedTuple):
    """A scored flow as a test needs it; times in seconds."""

    source: str = "192.0.2.10"
    target: str = "198.51.100.7"
    port: int = 22
    at: float = 0.0
    lasts: float = 0.001
    known: float = 1.0
    novel: float = 1.0
    label: int = GUESSING
    sent: int = 500
    answered: int = 500
    source_port: int = 40000
    protocol: int = 6
    report: int = 0
    end: int = END_DETECTED


def judged(flows: list[Flow]) -> tuple[FlowBatch, np.ndarray, Judgement]:
    identity = np.zeros((len(flows), IDENTITY_WIDTH), dtype=np.int64)
    values = np.zeros((len(flows), len(COLUMNS)))
    for i, flow in enumerate(flows):
        source, target = ip_address(flow.source), ip_address(flow.target)
        words = [*_words(int(source)), *_words(int(target))]
        start = T0 + round(flow.at * S)
        words += [flow.source_port, flow.port, flow.protocol, source.version, 0, start, start + round(flow.lasts * S)]
        identity[i, : REPORTED_NS + 1] = [*words, flow.end, flow.report, 2, words[-1]]
        values[i, INDEX["fwd_bytes"]], values[i, INDEX["bwd_bytes"]] = flow.sent, flow.answered
        values[i, INDEX["fwd_packets"]] = 1
        values[i, INDEX["bwd_packets"]] = 1 if flow.answered else 0
    known = np.array([flow.known for flow in flows], dtype=np.float64)
    novel = np.array([flow.novel for flow in flows], dtype=np.float64)
    verdict = np.where(known < CUT, ATTACK, np.where(novel < CUT, UNCERTAIN, BENIGN)).astype(np.int8)
    labels = np.array([flow.label for flow in flows], dtype=np.int64)
    scores = {"lstm": 1 - known, "iforest": 1 - novel}
    return FlowBatch(identity, values), values, Judgement(verdict, known, novel, scores, labels)


def _words(number: int) -> tuple[int, int]:
    high, low = number >> 64, number & (2**64 - 1)
    return high - 2**64 if high >= 2**63 else high, low - 2**64 if low >= 2**63 else low


def normal() -> NormalProfile:
    ones = np.ones(len(COLUMNS))
    return NormalProfile(tuple(c.name for c in COLUMNS), 0 * ones, ones, 10 * ones, 20 * ones)


def episodes(seed: int | None = None, **changes: Any) -> Episodes:
    builder = AlertBuilder(
        labels=LABELS,
        explainer=Explainer(normal()),
        model=ModelIdentity("test", "0" * 64),
        observer=Observer("gw1", "0.1.0"),
    )
    return Episodes(
        labels=LABELS,
        techniques=TECHNIQUES,
        cut_known=CUT,
        cut_novel=CUT,
        builder=builder,
        settings=replace(EpisodeSettings(), **changes),
        seed=seed,
    )


def alerts_of(flows: list[Flow], *, finish: bool = True, **changes: Any) -> list[Alert]:
    watched = episodes(**changes)
    alerts = watched.observe(*judged(flows))
    return alerts + watched.finish() if finish else alerts


def guesses(n: int, start: float = 0.0, every: float = 0.5, **fields: Any) -> list[Flow]:
    flow = Flow(known=CUT / 9)._replace(**fields)
    return [flow._replace(at=start + i * every, source_port=40000 + i) for i in range(n)]


def scan(n: int = 1000, **fields: Any) -> list[Flow]:
    flow = Flow(novel=CUT / 9, sent=0, answered=0)._replace(**fields)
    return [flow._replace(at=i * 0.01, port=1 + i, source_port=50000) for i in range(n)]


def actions(alerts: list[Alert]) -> list[str]:
    return [alert.action for alert in alerts]
