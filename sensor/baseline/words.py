"""What a baseline learnt, in lines for a terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sensor.alerts.spread import counted
from sensor.baseline.budget import OFF
from sensor.baseline.learning import Learning
from sensor.episodes.candidates import Candidate
from sensor.episodes.learned_site import interval_in_words, period, warming

SHOWN: Final = 5


def told(learning: Learning) -> list[str]:
    """The lines."""
    site, known = learning.site, learning.site.learned
    return [
        f"learnt from  {counted(known.flows, 'flow')} of {counted(known.hosts, 'host')} in {period(known.days)}; "
        f"{counted(known.left_out, 'flow')} of what was told left out",
        f"alerts       before {kinds(learning.before)}; after {kinds(learning.budget.candidates)}",
        f"a day        asked {site.alerts_per_day:g}, expected {interval_in_words(site.expected_alerts_per_day)}",
        f"thresholds   {thresholds(learning)}",
        *_habits(learning),
        *(f"warming      {warming(what)}" for what in site.warming),
    ]


def kinds(candidates: Sequence[Candidate]) -> str:
    """Such as `3: beacon 2, scan 1, and 2 muted by site notes`."""
    opened = [one for one in candidates if one.opened]
    counts = Counter(one.kind for one in opened if not one.muted)
    listed = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    told = f"{counts.total()}: {listed}" if listed else "none"
    muted = len(opened) - counts.total()
    return f"{told}, and {muted:,} muted by site notes" if muted else told


def thresholds(learning: Learning) -> str:
    """What is needed of unusual traffic and of claims."""
    site = learning.site
    told = f"unusual traffic once in {site.flows_between_false_openings:,.0f} flows by chance"
    if site.flows_between_false_openings >= OFF:
        told = "unusual traffic is not told: it would be more often than was asked for"
    if not site.levels:
        return f"{told}; claims as shipped"
    levels = sorted(set(site.levels.values()))
    if len(levels) == 1 and len(site.levels) > 1:
        return f"{told}; claims from {levels[0]:.2g} times their shape"
    return told + "; " + ", ".join(f"{kind} from {level:.2g} times its shape" for kind, level in site.levels.items())


def _habits(learning: Learning) -> list[str]:
    """Claims that are the site's habits: to be looked at once."""
    habits = learning.site.habits
    if not habits:
        return []
    lines = [f"habits       {len(habits)}, told at a low severity: look whether they are meant to be so"]
    for habit in habits[:SHOWN]:
        sides = " to ".join(side for side in (habit.source, habit.destination) if side)
        lines.append(f"             {habit.kind} of {sides}, port {habit.port}, {100 * habit.share:.0f} % of the time")
    if len(habits) > SHOWN:
        lines.append(f"             and {len(habits) - SHOWN} more, in the bundle's manifest and on the page")
    return lines
