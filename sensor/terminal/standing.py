"""An open alert with the counts that it has by now, between two of its lines."""

from dataclasses import replace

from sensor.alerts.alert import Alert
from sensor.alerts.spread import Spread, spread_in_words
from sensor.progress.progress import OpenAlert


def as_it_stands(alert: Alert, now: OpenAlert) -> Alert:
    """An alert's newest line with the counts and times of now, in its reason too; the line where that is newer."""
    if alert.action == "closed" or now.flows <= alert.spread.flows:
        return alert
    # All times are those of now: between the line and now somebody may have set the clock that both are told by.
    start_ns, end_ns = now.start_ns, now.end_ns
    spread = replace(
        alert.spread,
        flows=now.flows,
        packets=now.packets,
        failed=now.failed,
        targets=now.targets,
        ports=now.ports,
        origins=now.origins,
        span_ns=end_ns - start_ns,
    )
    return replace(
        alert, start_ns=start_ns, end_ns=end_ns, spread=spread, reason=_reason(alert.reason, alert.spread, spread)
    )


def _reason(reason: str, told: Spread, spread: Spread) -> str:
    """A reason with other counts. What a flood had to bear before is not known of every line, and stays unsaid."""
    for before in (told, replace(told, load_before=None)):
        words = spread_in_words(before)
        if words in reason:
            return reason.replace(words, spread_in_words(replace(spread, load_before=before.load_before)), 1)
    return f"{spread_in_words(spread)}; before: {reason}"
