"""From an episode to the alert that tells it: reason in words, severity, risk, and the flow that speaks strongest.

It counts the lines it wrote, so that a reader of the output sees a gap if one is missing.
"""

import hashlib
import math
from base64 import b32encode
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, DST_PORT, IP_VERSION, PROTOCOL, SRC_HIGH, SRC_LOW, SRC_PORT, address
from flows.columns import INDEX
from sensor.alerts import Action, Alert, Endpoint, Lane, ModelIdentity, Observer
from sensor.community_id import ICMP, ICMPV6, community_id
from sensor.episode import Episode, Exemplar
from sensor.explain import Explainer, sentence
from sensor.shape import shape_in_words
from sensor.techniques import severity_of

_UNCERTAIN_WEIGHT = 0.6
_FULL_EVIDENCE = 10 * math.log(10)
_WITH_PORTS = frozenset({6, 17, 132})


# The row that was judged, its p-values in the known and the novel lane -> positions of columns, strongest first.
Movers = Callable[[NDArray[np.float64], float, float], Sequence[int]]


def nothing_moved(_values: NDArray[np.float64], _p_known: float, _p_novel: float) -> Sequence[int]:
    """Movers where no model is at hand."""
    return ()


class Narrator:
    """Words alerts. dropped: packets that the capture has lost so far; set by whoever knows it."""

    def __init__(
        self,
        *,
        labels: Sequence[str],
        techniques: Sequence[str | None],
        explainer: Explainer,
        model: ModelIdentity,
        observer: Observer,
        movers: Movers = nothing_moved,
    ) -> None:
        """labels: names by label index; techniques: their ATT&CK ids. movers: tells which columns moved a score."""
        self._labels = labels
        self._techniques = techniques
        self._explainer = explainer
        self._model = model
        self._observer = observer
        self._movers = movers
        self._sequence = 0
        self.dropped = 0

    def alert(self, episode: Episode, action: Action, time_ns: int, continues: str = "") -> Alert:
        """The next line about an episode. continues: id of the episode that a closed one goes on in."""
        exemplar = episode.exemplar
        assert exemplar is not None, "an episode has a flow before it has a line"  # noqa: S101
        self._sequence += 1
        flow = exemplar.flow
        shape = episode.shape()
        if exemplar.moved is None:
            exemplar.moved = self._movers(exemplar.judged, flow.p_known, flow.p_novel)
        contrasts = self._explainer.contrasts(exemplar.judged, exemplar.moved)
        label = self._labels[episode.label()] if episode.label() >= 0 else None
        reason = shape_in_words(shape)
        if label is not None and self._overruled(episode):
            reason += f"; the known lane says {label}, its shape says otherwise"
        outside = next((contrast for contrast in contrasts if contrast.outside), None)
        if outside is not None:
            reason += "; " + sentence(outside)
        if continues:
            reason += f"; goes on in {continues}"
        severity = severity_of(episode.technique)
        source, destination = _endpoints(exemplar)
        return Alert(
            time_ns=time_ns,
            action=action,
            id=episode.id,
            sequence=self._sequence,
            severity=severity,
            risk=risk_of(severity, episode.peak, episode.known),
            start_ns=episode.start_ns,
            end_ns=episode.end_ns,
            reason=reason,
            source=source,
            destination=destination,
            ip_version=flow.identity[IP_VERSION],
            protocol=flow.identity[PROTOCOL],
            community_id=_community_id(exemplar),
            technique=episode.technique,
            verdict="attack" if episode.known else "uncertain",
            lane=_lane(episode),
            label=label,
            p_known=flow.p_known,
            p_novel=flow.p_novel,
            scores=exemplar.scores,
            contrasts=contrasts,
            shape=shape,
            model=self._model,
            observer=self._observer,
            dropped=self.dropped,
        )

    def _overruled(self, episode: Episode) -> bool:
        """Whether its shape gave an episode another technique than its label has; a sub-technique is not another."""
        if not episode.named_by_shape or episode.technique is None:
            return False
        labelled = self._techniques[episode.label()] or ""
        return labelled.partition(".")[0] != episode.technique.id.partition(".")[0]


def risk_of(severity: int, evidence: float, attack: bool) -> float:
    """severity · (0.5 + 0.5 · min(1, log10 of the evidence / 10)) · (1 for attack, 0.6 for uncertain); 0..100.

    evidence: natural logarithm, the largest that either lane reached.
    """
    weight = 1.0 if attack else _UNCERTAIN_WEIGHT
    return round(severity * (0.5 + 0.5 * min(1.0, evidence / _FULL_EVIDENCE)) * weight, 1)


def episode_id(episode: Episode, opened_ns: int) -> str:
    """Name of an episode, 26 characters of base 32: the same flows in the same order give the same name.

    A hash over source, pool, first packet and the traffic time of opening, of which no two episodes share all.
    """
    exemplar = episode.exemplar
    identity = exemplar.flow.identity if exemplar else []
    text = (
        f"{identity[SRC_HIGH]} {identity[SRC_LOW]} {identity[IP_VERSION]} {episode.pool} {episode.start_ns} {opened_ns}"
    )
    return b32encode(hashlib.blake2b(text.encode(), digest_size=16).digest()).decode("ascii").rstrip("=")


def _lane(episode: Episode) -> Lane:
    if episode.known:
        return "both" if episode.novel else "known"
    return "novel"


def _endpoints(exemplar: Exemplar) -> tuple[Endpoint, Endpoint]:
    identity, values = exemplar.flow.identity, exemplar.values
    ports = (identity[SRC_PORT], identity[DST_PORT]) if identity[PROTOCOL] in _WITH_PORTS else (None, None)
    source = Endpoint(
        ip=address(identity[SRC_HIGH], identity[SRC_LOW], identity[IP_VERSION]),
        port=ports[0],
        bytes=int(values[INDEX["fwd_bytes"]]),
        packets=int(values[INDEX["fwd_packets"]]),
    )
    destination = Endpoint(
        ip=address(identity[DST_HIGH], identity[DST_LOW], identity[IP_VERSION]),
        port=ports[1],
        bytes=int(values[INDEX["bwd_bytes"]]),
        packets=int(values[INDEX["bwd_packets"]]),
    )
    return source, destination


def _community_id(exemplar: Exemplar) -> str:
    """Of the exemplar. Only the columns remember the type and code of an ICMP flow's first packet."""
    identity, values = exemplar.flow.identity, exemplar.values
    source, destination = _endpoints(exemplar)
    numbers = (identity[SRC_PORT], identity[DST_PORT])
    if identity[PROTOCOL] in (ICMP, ICMPV6):
        kind, code = int(values[INDEX["icmp_type"]]), int(values[INDEX["icmp_code"]])
        numbers = (max(kind, 0), max(code, 0))
    return community_id(identity[PROTOCOL], source.ip, numbers[0], destination.ip, numbers[1])
