"""Conditions of drift that last: each is told once when it begins and once when it ends, with what to do.

It knows what things are called, and no statistics.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sensor.alerts.alert import Observer
from sensor.alerts.drift_record import MEASURES_SHOWN, DriftRecord, Measure

NETWORK_UNKNOWN: Final = "network-unknown"
COLUMNS_CHANGED: Final = "columns-changed"
COLUMNS_SILENT: Final = "columns-silent"
SCORES_CHANGED: Final = "scores-changed"
SCORES_SHIFTED: Final = "scores-shifted"
SCORES_CONSTANT: Final = "scores-constant"
UNJUDGED_CHANGED: Final = "unjudged-changed"
ALERTS_MORE: Final = "alerts-more"
ALERTS_FEWER: Final = "alerts-fewer"

BEGUN, ENDED = "begun", "ended"
NAMED: Final = 3  # of those concerned, in a sentence

_RECALIBRATE: Final = (
    "if it stays so, recalibrate: flowvigil baseline on recent traffic, minutes; only where that does not help train "
    "anew, hours"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a condition is called when it begins and when it ends, with {what} for what it is about."""

    begun: str
    ended: str
    remedy: str  # what to do, as it follows on `begun`
    unit: str  # what it is about, one of several


CONDITIONS: Final = {
    NETWORK_UNKNOWN: Condition(
        "this is not the network that the bundle {model} knows: {what} differ from its normal traffic",
        "the traffic is now like that which the bundle {model} knows",
        "make a baseline of this network: flowvigil baseline, minutes",
        "column",
    ),
    COLUMNS_CHANGED: Condition(
        "the traffic has changed: {what} differ from each of the days before",
        "the traffic is as it was before in {what}",
        _RECALIBRATE,
        "column",
    ),
    COLUMNS_SILENT: Condition(
        "{what} that varied before had one value for hours",
        "{what} vary again",
        "see whether the mirror port or tap still gives both directions, whole packets and all VLANs",
        "column",
    ),
    SCORES_CHANGED: Condition(
        "scores have changed: p-values of {what} differ from each of the days before",
        "the p-values of {what} are as they were before",
        _RECALIBRATE,
        "detector",
    ),
    SCORES_SHIFTED: Condition(
        "scores drift: the mean p-value of {what} has moved from that of the same hours before (ADWIN)",
        "the mean p-value of {what} is back where it was",
        _RECALIBRATE,
        "detector",
    ),
    SCORES_CONSTANT: Condition(
        "{what} gives every flow the same score, and so tells nothing",
        "{what} tells flows apart again",
        "load another bundle; recalibration does not mend a broken detector",
        "detector",
    ),
    UNJUDGED_CHANGED: Condition(
        "{value:.1%} of the flows are of kinds that the bundle does not judge, on the days before {bound:.1%}",
        "the share of flows that the bundle does not judge is as it was before",
        "flowvigil.unjudged has their protocols; with a baseline on recent traffic (flowvigil baseline, minutes) kinds "
        "that are common here are judged",
        "share",
    ),
    ALERTS_MORE: Condition(
        "{value:.3g} alerts a day of late where {bound:.3g} were asked for, beyond chance",
        "the rate of alerts is back at what was asked for",
        "if these are false, recalibrate: flowvigil baseline on recent traffic, minutes; only where that does not help "
        "train anew, hours",
        "rate",
    ),
    ALERTS_FEWER: Condition(
        "{value:.3g} alerts a day of late where {bound:.3g} were asked for, beyond chance",
        "the rate of alerts is back at what was asked for",
        "see that all traffic still comes; a baseline on recent traffic (flowvigil baseline, minutes) uses the rest of "
        "the budget",
        "rate",
    ),
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of traffic."""

    start_ns: int
    end_ns: int
    flows: int  # that were looked at


@dataclass(slots=True)
class OpenConditions:
    """Which conditions hold now, by what each is about."""

    observer: Observer
    model: str  # name of the bundle
    sha256: str = ""  # of its weights
    _open: dict[str, dict[str, Measure]] = field(default_factory=dict)  # by condition, then by name

    @property
    def names(self) -> tuple[str, ...]:
        """Conditions that hold, in the order of CONDITIONS."""
        return tuple(condition for condition in CONDITIONS if self._open.get(condition))

    def about(self, condition: str) -> frozenset[str]:
        """What a condition holds of."""
        return frozenset(self._open.get(condition, ()))

    def change(
        self, condition: str, stretch: Stretch, begun: Sequence[Measure] = (), ended: Iterable[str] = (), total: int = 0
    ) -> list[DriftRecord]:
        """Take over what begins and ends to hold; a record for each of the two that is not empty.

        total: of the columns or detectors that it could be about, 0 where that says nothing.
        """
        now = self._open.setdefault(condition, {})
        over = [now.pop(name) for name in ended if name in now]
        fresh = [measure for measure in begun if measure.name not in now]
        now |= {measure.name: measure for measure in fresh}
        of_state = ((BEGUN, fresh), (ENDED, over))
        return [self._record(condition, state, stretch, about, total) for state, about in of_state if about]

    def close(self, stretch: Stretch, why: str) -> list[DriftRecord]:
        """End all that holds. why: what each record says."""
        ended = [
            record for condition in CONDITIONS for record in self.change(condition, stretch, (), self.about(condition))
        ]
        return [replace(record, message=f"{record.condition} is no longer looked at: {why}") for record in ended]

    def _record(
        self, condition: str, state: str, stretch: Stretch, about: Sequence[Measure], total: int
    ) -> DriftRecord:
        worst = sorted(about, key=lambda measure: (-measure.excess, measure.name))
        return DriftRecord(
            time_ns=stretch.end_ns,
            observer=self.observer,
            condition=condition,
            state=state,
            start_ns=stretch.start_ns,
            flows=stretch.flows,
            concerned=len(about),
            measures=tuple(worst[:MEASURES_SHOWN]),
            model=self.model,
            sha256=self.sha256 or None,
            message=self._message(CONDITIONS[condition], state, worst, total),
        )

    def _message(self, words: Condition, state: str, about: Sequence[Measure], total: int) -> str:
        what = _what(words.unit, [measure.name for measure in about], total)
        begun = state == BEGUN
        said = (words.begun if begun else words.ended).format(
            what=what, model=self.model, value=about[0].value, bound=about[0].bound
        )
        return f"{said}: {words.remedy}" if begun else said


def _what(unit: str, names: Sequence[str], total: int) -> str:
    """Such as `detector iforest`, or `7 of 128 columns (fwd_bytes, bwd_bytes, …)`."""
    shown = ", ".join(names[:NAMED]) + ", …" * (len(names) > NAMED)
    if len(names) == 1 and not total:
        return f"{unit} {shown}"
    return f"{len(names):,}{f' of {total:,}' if total else ''} {unit}s ({shown})"
