"""What a bundle knows of its site, in words: how much was learnt, what is asked of it, and what is warming.

It knows no clock: when something was learnt is traffic time.
"""

from typing import Final

from models.site import BUDGET, CALIBRATION, SiteProfile
from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import moment

DAY_NS: Final = 86_400_000_000_000


def site_in_words(site: SiteProfile) -> str:
    """One line for who looks whether a sensor is set up as it should be."""
    known = site.learned
    words = (
        f"site learnt up to {moment(known.to_ns)} UTC from {counted(known.flows, 'flow')} in {period(known.days)}; "
        f"asked for {alerts_a_day(site.alerts_per_day)}, expected {interval_in_words(site.expected_alerts_per_day)}"
    )
    return f"{words}; warming: {', '.join(site.warming)}" if site.warming else words


def warming_site(site: SiteProfile) -> str:
    """What is warming, in one line; "" where nothing is."""
    if not site.warming:
        return ""
    learnt = f"warming: the site was learnt from {counted(site.learned.flows, 'flow')} in {period(site.learned.days)}"
    return f"{learnt}, {'; '.join(map(warming, site.warming))}"


def warming(what: str) -> str:
    """What it means that something is warming."""
    return {
        CALIBRATION: "too few flows for a forest of the site's own: that of the bundle is used; learn for longer",
        BUDGET: "too short to show so few alerts a day: thresholds are extrapolated, never below the shipped ones",
    }.get(what, what)


def alerts_a_day(asked: float) -> str:
    """Such as `5 alerts a day`."""
    return "1 alert a day" if asked == 1 else f"{asked:,g} alerts a day"


def interval_in_words(expected: tuple[float, float, float]) -> str:
    """Low, mean and high as `72 (0.5 to 800)`, in two digits."""
    low, mean, high = map(_rounded, expected)
    return f"{mean} ({low} to {high})"


def _rounded(number: float) -> str:
    short = f"{number:.2g}"
    return f"{float(short):,.0f}" if number >= 10 else short


def period(days: float) -> str:
    """How long a site was learnt, in words."""
    return span_in_words(round(days * DAY_NS))
