"""What was odd about the times of captures in words: one line each, with what mends it."""

from flows.arrival import WINDOW_NS, Oddities
from sensor.alerts.spread import span_in_words


def of_times(name: str, oddities: Oddities) -> list[str]:
    """What was odd about the stamps of a capture."""
    found = (
        (
            oddities.behind,
            f"stamped up to {span_in_words(oddities.behind_ns)} before those ahead of them, more than the "
            f"{span_in_words(WINDOW_NS)} within which they are put in order (reordercap sorts a capture as a whole)",
        ),
        (
            oddities.ahead,
            f"stamped up to {span_in_words(oddities.ahead_ns)} after those around them, which moved nothing else "
            "(editcap -A and -B leave packets out by time)",
        ),
    )
    remarks = [f"{name}: {count:,} packet{'s' * (count != 1)} {what}" for count, what in found if count]
    if oddities.set_back:
        times = f"{oddities.set_back:,} time{'s' * (oddities.set_back != 1)}"
        remarks.append(
            f"{name}: the clock was set back {times}, by up to {span_in_words(oddities.set_back_ns)}; flows keep the "
            "times of their packets (editcap -t shifts them)"
        )
    return remarks
