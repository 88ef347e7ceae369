"""From an episode to its alert: reason in words, severity, risk, and the flow that speaks strongest.

It counts the lines it wrote, so that a reader of the output sees a gap if one is missing.
"""

import hashlib
import math
from base64 import b32encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_PORT, IP_VERSION, PROTOCOL
from flows.columns import INDEX
from sensor.alerts.alert import Action, Alert, Lane, ModelIdentity, Observer
from sensor.alerts.alert_record import PORTS_SHOWN, TARGETS_SHOWN
from sensor.alerts.deviation import Deviation, quantity, sentence
from sensor.alerts.endpoints import community_id_of, endpoints_of
from sensor.alerts.spread import counted, spread_in_words
from sensor.alerts.techniques import severity_of
from sensor.episodes.episode import Episode
from sensor.episodes.habits import HABIT_SEVERITY
from sensor.episodes.reasons import Explainer
from sensor.episodes.shapes import KINDS, SHAPES, UPLOAD, UPLOAD_BEAT

_UNCERTAIN_WEIGHT = 0.6
UNCERTAIN_SEVERITY = 50  # at most, of what the shape or the known lane alone says
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]
_FULL_EVIDENCE = 10 * math.log(10)


# The row that was judged, its p-values in the known and the novel lane -> positions of columns, strongest first.
TopColumns = Callable[[NDArray[np.float64], float, float], Sequence[int]]


def no_top_columns(_values: NDArray[np.float64], _p_known: float, _p_novel: float) -> Sequence[int]:
    """TopColumns where no model is at hand."""
    return ()


class AlertBuilder:
    """Makes the alerts of a run, numbered in their order."""

    def __init__(
        self,
        *,
        labels: Sequence[str],
        explainer: Explainer,
        model: ModelIdentity,
        observer: Observer,
        top_columns: TopColumns = no_top_columns,
    ) -> None:
        """labels: names by label index. top_columns: which columns moved a score most."""
        self._labels = labels
        self._explainer = explainer
        self._model = model
        self._observer = observer
        self._top_columns = top_columns
        self._sequence = 0

    def exchange(
        self, *, labels: Sequence[str], explainer: Explainer, model: ModelIdentity, top_columns: TopColumns
    ) -> None:
        """Go on with the words of another model, as the constructor takes them; the lines are counted on."""
        self._labels, self._explainer, self._model, self._top_columns = labels, explainer, model, top_columns

    def alert(self, episode: Episode, action: Action, time_ns: int, dropped: int = 0) -> Alert:
        """The next line about an episode.

        dropped: packets that the capture has lost so far.
        """
        exemplar = episode.exemplar
        assert exemplar is not None, "an episode has a flow before it has a line"  # noqa: S101
        self._sequence += 1
        flow = exemplar.flow
        if exemplar.top_columns is None:
            exemplar.top_columns = self._top_columns(exemplar.judged, flow.p_known, flow.p_novel)
        found = self._explainer.deviations(exemplar.judged, exemplar.top_columns)
        deviations = tuple(deviation for deviation in found if deviation.outside)
        return self._line(episode, action, time_ns, dropped, deviations)

    def draft(self, episode: Episode, opened_ns: int) -> Alert:
        """The line that opens an episode if it does, without a number of its own and without what is unusual.

        opened_ns: traffic time.
        """
        line = self._line(episode, "opened", opened_ns - episode.shift_ns, 0, ())
        return replace(line, id=episode_id(episode, opened_ns))

    def _line(
        self, episode: Episode, action: Action, time_ns: int, dropped: int, deviations: tuple[Deviation, ...]
    ) -> Alert:
        exemplar = episode.exemplar
        assert exemplar is not None, "an episode has a flow before it has a line"  # noqa: S101
        flow, spread = exemplar.flow, episode.spread()
        label = self._labels[episode.label()] if episode.label() >= 0 else None
        reason = f"storm, {counted(episode.alerts, 'alert')} told as one: " if episode.alerts else ""
        reason += spread_in_words(spread)
        if episode.kind < KINDS:
            reason += "; " + SHAPES[episode.kind].reason
            if episode.kind in (UPLOAD, UPLOAD_BEAT):
                sent, received = exemplar.values[_FWD_BYTES], exemplar.values[_BWD_BYTES]
                there, back = quantity(sent, "bytes"), quantity(received, "bytes")
                reason += f", {there} there and {back} back in the flow shown"
        elif label is not None:
            reason += f"; the model takes it for {label}, which its shape does not show"
        if deviations:  # the first; all stand beside it
            reason += "; " + sentence(deviations[0])
        severity = severity_of(episode.technique)
        if not episode.attack:
            severity = min(severity, UNCERTAIN_SEVERITY)
        if episode.habit is not None:
            severity = min(severity, HABIT_SEVERITY)
            reason = f"as in {100 * episode.habit:.0f} % of the time in which the site was learnt: {reason}"
        source, destination = endpoints_of(flow.identity, exemplar.values)
        names = exemplar.names()
        return Alert(
            time_ns=time_ns,
            action=action,
            id=episode.id,
            sequence=self._sequence,
            severity=severity,
            risk=risk_of(severity, episode.peak, episode.attack),
            start_ns=episode.start_ns,
            end_ns=episode.end_ns,
            reason=reason,
            source=replace(source, names=names.source),
            destination=replace(destination, names=names.destination),
            tls=names.tls,
            ip_version=flow.identity[IP_VERSION],
            protocol=flow.identity[PROTOCOL],
            community_id=community_id_of(flow.identity, exemplar.values),
            technique=episode.technique,
            verdict="attack" if episode.attack else "uncertain",
            lane=_lane(episode),
            label=label,
            p_known=flow.p_known,
            p_novel=flow.p_novel,
            scores=exemplar.scores,
            deviations=deviations,
            spread=spread,
            model=self._model,
            observer=self._observer,
            dropped=dropped,
            hosts_merged=episode.alerts,
            habit=episode.habit,
            target_ips=tuple(episode.first_targets(TARGETS_SHOWN)),
            target_ports=tuple(islice(episode.ports, PORTS_SHOWN)),
        )


def risk_of(severity: int, evidence: float, attack: bool) -> float:
    """severity · (0.5 + 0.5 · min(1, log10 of the evidence / 10)) · (1 for attack, 0.6 for uncertain); 0..100.

    evidence: natural logarithm, the largest that either lane reached.
    """
    weight = 1.0 if attack else _UNCERTAIN_WEIGHT
    return round(severity * (0.5 + 0.5 * min(1.0, evidence / _FULL_EVIDENCE)) * weight, 1)


def episode_id(episode: Episode, opened_ns: int) -> str:
    """Name of an episode, 26 characters of base 32: the same flows in the same order give the same name.

    A hash over whom it is about, kind, service, first packet and the traffic time of opening, of which no two episodes
    share all. A storm is about nobody, and one kind and technique has one open storm.
    """
    exemplar = episode.exemplar
    assert exemplar is not None, "an episode has a flow before it has a name"  # noqa: S101
    subject = f"{episode.subject} {exemplar.flow.identity[DST_PORT]}"
    if episode.alerts:
        subject = f"storm {episode.technique.id if episode.technique else ''}"
    text = f"{subject} {episode.kind} {episode.start_ns} {opened_ns}"
    return b32encode(hashlib.blake2b(text.encode(), digest_size=16).digest()).decode("ascii").rstrip("=")


def _lane(episode: Episode) -> Lane:
    if episode.known:
        return "both" if episode.novel else "known"
    return "novel" if episode.novel else "shape"
