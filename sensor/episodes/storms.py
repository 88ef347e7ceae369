"""Alert storms: when more alerts open than anyone can read, the rest of each kind is one alert.

A budget in traffic time says how many alerts of single hosts may open. What opens beyond it is merged in the storm of
its kind and technique, an episode over many hosts with lines of its own, so that however many hosts there are, the
lines are bounded and their counts add up. Half of the budget is kept for attacks: hosts that are only unusual cannot
use it up. What a site's notes mute has a budget of the same size of its own, so that it takes no other alert's place.
"""

from collections.abc import Callable
from typing import Final

from sensor.alerts.techniques import Technique
from sensor.episodes.episode import Episode

_MINUTE_NS: Final = 60_000_000_000
_QUESTIONS: Final = 8  # to the notes, for each alert that may open: thousands of rules take a millisecond or more


class _Allowance:
    """What may happen as often as a minute of traffic time pays for, and so often at once."""

    def __init__(self) -> None:
        self._credit_ns = _MINUTE_NS
        self._counted_ns = 0

    def take(self, now_ns: int, cost_ns: int, kept_ns: int = 0) -> bool:
        """Whether there is enough at this traffic time; if so, it is charged. kept_ns: what must be left."""
        self._credit_ns = min(_MINUTE_NS, self._credit_ns + max(0, now_ns - self._counted_ns))
        self._counted_ns = max(self._counted_ns, now_ns)
        left = self._credit_ns - cost_ns
        if left < kept_ns and cost_ns:
            return False
        self._credit_ns = left
        return True


class Storms:
    """The budget of alerts, and the open storms by kind and technique."""

    def __init__(self, alerts_per_minute: int | None) -> None:
        """alerts_per_minute: that open on their own, as many at once; None: all of them."""
        self.merged = 0  # alerts of single hosts that storms stand for
        self._cost_ns = 0
        self._told, self._muted, self._questions, self._again = _Allowance(), _Allowance(), _Allowance(), _Allowance()
        self._question_ns = 0
        self._open: dict[tuple[int, Technique | None], Episode] = {}
        self.adjust(alerts_per_minute)

    def adjust(self, alerts_per_minute: int | None) -> None:
        """Go on with another budget."""
        self._cost_ns = _MINUTE_NS // alerts_per_minute if alerts_per_minute else 0
        self._question_ns = max(1, self._cost_ns // _QUESTIONS) if alerts_per_minute else 0

    def admits(self, now_ns: int, *, attack: bool, muted: Callable[[], bool] | None = None) -> bool:
        """Whether one more alert may open on its own at this traffic time; if so, it is charged.

        muted: whether the site's notes mute it, asked so often at most; None where there are none.
        """
        if muted is not None and self._questions.take(now_ns, self._question_ns) and muted():
            return self._muted.take(now_ns, self._cost_ns)
        return self._told.take(now_ns, self._cost_ns, 0 if attack else _MINUTE_NS // 2)

    def may_ask_again(self, now_ns: int) -> bool:
        """Whether the notes may be asked once more of an alert that is open; if so, it is charged."""
        return self._again.take(now_ns, self._question_ns)

    def merge(self, episode: Episode, order: int) -> Episode:
        """The storm that reports an episode from now on, one that has not opened where there was none of its kind.

        order: of a new storm among the episodes.
        """
        key = (episode.kind, episode.technique)
        storm = self._open.get(key)
        if storm is None or storm.closed:
            assert episode.exemplar is not None, "an episode has a flow before it opens"  # noqa: S101
            storm = Episode(episode.kind, (), episode.technique, episode.exemplar.flow, order, episode.budget)
            self._open[key] = storm
        storm.absorb(episode)
        storm.alerts += 1
        self.merged += 1
        return storm
