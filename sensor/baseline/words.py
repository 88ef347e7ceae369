"""What a baseline learnt, in lines for a terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sensor.alerts.spread import counted, period_in_words
from sensor.baseline.learning import BUDGET, CALIBRATION, DAY_NS, Learning
from sensor.episodes.candidates import Candidate

SHOWN: Final = 5


def told(learning: Learning) -> list[str]:
    """The lines."""
    site, known = learning.site, learning.site.learned
    low, mean, high = site.expected_alerts_per_day
    return [
        f"learnt from  {counted(known.flows, 'flow')} of {counted(known.hosts, 'host')} in {period(known.days)}; "
        f"{counted(known.left_out, 'flow')} of what was told left out",
        f"alerts       before {kinds(learning.before)}; after {kinds(learning.budget.candidates)}",
        f"a day        asked {site.alerts_per_day:g}, expected {mean:.2g} ({low:.2g} to {high:.2g})",
        f"thresholds   {thresholds(learning)}",
        *_habits(learning),
        *(f"warming      {warming(what)}" for what in site.warming),
    ]


def kinds(candidates: Sequence[Candidate]) -> str:
    """Such as `3: beacon 2, scan 1`."""
    counts = Counter(one.kind for one in candidates if one.opened)
    listed = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    return f"{counts.total()}: {listed}" if listed else "none"


def thresholds(learning: Learning) -> str:
    """What is needed of unusual traffic and of claims."""
    site = learning.site
    told = f"unusual traffic once in {site.flows_between_false_openings:,.0f} flows by chance"
    if not site.levels:
        return f"{told}; claims as shipped"
    levels = sorted(set(site.levels.values()))
    if len(levels) == 1 and len(site.levels) > 1:
        return f"{told}; claims from {levels[0]:.2g} times their shape"
    return told + "; " + ", ".join(f"{kind} from {level:.2g} times its shape" for kind, level in site.levels.items())


def warming(what: str) -> str:
    """What it means that something is warming."""
    return {
        CALIBRATION: "too few flows for a forest of the site's own: that of the bundle is used; learn for longer",
        BUDGET: "too short to show so few alerts a day: thresholds are extrapolated, never below the shipped ones",
    }.get(what, what)


def period(days: float) -> str:
    """How long a site was learnt, in words."""
    return period_in_words(round(days * DAY_NS))


def _habits(learning: Learning) -> list[str]:
    """Claims that are the site's habits: to be looked at once."""
    habits = learning.site.habits
    if not habits:
        return []
    lines = [f"habits       {len(habits)}, told once at a low severity: look whether they are meant to be so"]
    for habit in habits[:SHOWN]:
        sides = " to ".join(side for side in (habit.source, habit.destination) if side)
        lines.append(f"             {habit.kind} of {sides}, port {habit.port}, {100 * habit.share:.0f} % of the time")
    if len(habits) > SHOWN:
        lines.append(f"             and {len(habits) - SHOWN} more, in the bundle's manifest and on the page")
    return lines
