"""Scored flows of a few kinds, and the episodes that they give rise to."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any, NamedTuple

import numpy as np

from flows.batch import (
    END_DETECTED,
    IDENTITY_WIDTH,
    REPORTED_NS,
    SEEN,
    SEEN_ACK,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    FlowBatch,
)
from flows.columns import COLUMNS, INDEX
from models.fusion import ATTACK, BENIGN, UNCERTAIN, Judgement
from models.normal import NormalProfile
from sensor.alerts.alert import Alert, ModelIdentity, Observer
from sensor.episodes.alerting import AlertBuilder
from sensor.episodes.episodes import Episodes
from sensor.episodes.reasons import Explainer
from sensor.episodes.settings import EpisodeSettings

CUT = 0.0005
S = 1_000_000_000
T0 = 1_700_000_000 * S
LABELS = ("BENIGN", "SSH-Patator", "DoS Hulk", "Odd", "Botnet", "Exfiltration")
TECHNIQUES = (None, "T1110.001", "T1499.002", None, "T1071", "T1048")
GUESSING, HULK, ODD, BOTNET, THEFT = 1, 2, 3, 4, 5
TCP, ICMP, ICMP6 = 6, 1, 58
ECHO = {ICMP: 8, ICMP6: 128}


class Flow(NamedTuple):
    """A scored flow as a test needs it; times in seconds. It has an answer where bytes or packets came back.

    TCP opens with a SYN, is answered by a SYN-ACK and ends with two FINs, ICMP is an echo, unless `seen` or `icmp_type`
    say another thing.
    """

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
    packets: int = 1  # forward
    back: int | None = None  # packets backward, None: one where bytes came back
    seen: int | None = None  # word SEEN of its identity
    icmp_type: int | None = None
    judged: bool = True  # the model has met its like in normal traffic; else known and novel are to be 1
    news: int = 2  # packets of both directions since its report before

    @property
    def answers(self) -> int:
        return int(self.answered > 0) if self.back is None else self.back

    @property
    def flags(self) -> int:
        """Word SEEN of its identity."""
        if self.seen is not None or self.protocol != TCP:
            return self.seen or 0
        return SEEN_SYN | (self.answers > 0) * (SEEN_SYN_BACK | SEEN_ACK | SEEN_FIN | SEEN_FIN_BACK)


def judged(flows: list[Flow]) -> tuple[FlowBatch, np.ndarray, Judgement]:
    identity = np.zeros((len(flows), IDENTITY_WIDTH), dtype=np.int64)
    values = np.zeros((len(flows), len(COLUMNS)))
    for i, flow in enumerate(flows):
        source, target = ip_address(flow.source), ip_address(flow.target)
        words = [*_words(int(source)), *_words(int(target))]
        start = T0 + round(flow.at * S)
        words += [flow.source_port, flow.port, flow.protocol, source.version, 0, start, start + round(flow.lasts * S)]
        identity[i, : REPORTED_NS + 1] = [*words, flow.end, flow.report, flow.news, words[-1]]
        identity[i, SEEN] = flow.flags
        values[i, INDEX["flow_duration"]] = round(flow.lasts * 1e6)
        values[i, INDEX["fwd_bytes"]], values[i, INDEX["bwd_bytes"]] = flow.sent, flow.answered
        values[i, INDEX["fwd_packets"]], values[i, INDEX["bwd_packets"]] = flow.packets, flow.answers
        values[i, INDEX["syn_flag_count"]] = flow.protocol == TCP and flow.flags & SEEN_SYN
        if flow.protocol in ECHO:
            values[i, INDEX["icmp_type"]] = ECHO[flow.protocol] if flow.icmp_type is None else flow.icmp_type
    known = np.array([flow.known for flow in flows], dtype=np.float64)
    novel = np.array([flow.novel for flow in flows], dtype=np.float64)
    verdict = np.where(known < CUT, ATTACK, np.where(novel < CUT, UNCERTAIN, BENIGN)).astype(np.int8)
    labels = np.array([flow.label for flow in flows], dtype=np.int64)
    scores = {"lstm": 1 - known, "iforest": 1 - novel}
    judged = np.array([flow.judged for flow in flows], dtype=np.bool_)
    return FlowBatch(identity, values), values, Judgement(verdict, known, novel, scores, labels, judged)


def _words(number: int) -> tuple[int, int]:
    high, low = number >> 64, number & (2**64 - 1)
    return high - 2**64 if high >= 2**63 else high, low - 2**64 if low >= 2**63 else low


def normal() -> NormalProfile:
    ones = np.ones(len(COLUMNS))
    return NormalProfile(tuple(c.name for c in COLUMNS), 0 * ones, ones, 10 * ones, 20 * ones)


def episodes(seed: int | None = None, kind: type[Episodes] = Episodes, **changes: Any) -> Episodes:
    builder = AlertBuilder(
        labels=LABELS,
        explainer=Explainer(normal()),
        model=ModelIdentity("test", "0" * 64),
        observer=Observer("gw1", "0.1.0"),
    )
    return kind(
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
    """Sessions that are alike with a log-on service; the first of them is not told, the fifth opens an alert."""
    flow = Flow(known=CUT / 9)._replace(**fields)
    return [flow._replace(at=start + i * every, source_port=40000 + i) for i in range(n)]


def unusual(n: int, start: float = 0.0, every: float = 0.5, **fields: Any) -> list[Flow]:
    """Flows with data that a lane flags, of which no shape says anything; the tenth opens an alert."""
    return guesses(n, start, every, **({"known": 1.0, "novel": CUT / 99, "label": ODD, "port": 8883} | fields))


def scan(n: int = 1000, **fields: Any) -> list[Flow]:
    """SYNs without answer to one port after the other; the first of them is not told, the fifth opens an alert."""
    flow = Flow(novel=CUT / 9, sent=0, answered=0)._replace(**fields)
    return [flow._replace(at=flow.at + i * 0.01, port=1 + i, source_port=50000) for i in range(n)]


def requests(n: int, start: float = 0.0, every: float = 0.01, **fields: Any) -> list[Flow]:
    """Sessions of one client with a web server that the known lane takes for denial of service."""
    return guesses(n, start, every, **({"label": HULK, "port": 80} | fields))


def actions(alerts: list[Alert]) -> list[str]:
    return [alert.action for alert in alerts]
