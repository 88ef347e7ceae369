"""A number of a flow against normal traffic, and how to say so.

It knows numbers and words only: what lists or draws alerts needs it, also where no model and no array is loaded.
"""

import math
from dataclasses import dataclass
from typing import Final

from sensor.alerts.glosses import gloss

# Below this span of the logarithmic scale a column is taken to be constant in normal traffic; without a floor the
# smallest change in such a column would outweigh all the others.
MINIMAL_SPAN: Final = 0.5
# Units of counts that fade (flows.context.columns) and of shares of these: what is left of one after many times its
# span is none to people.
_FADING: Final = frozenset({"flows", "hosts", "ports", "services", "gaps", "packets", "share"})
_HARDLY_ANY: Final = 0.005


@dataclass(frozen=True, slots=True)
class Deviation:
    """One column of a flow against normal traffic."""

    name: str  # of the column
    unit: str  # such as µs or bytes; "" for a plain number
    value: float  # of the flow
    median: float  # of normal traffic
    p01: float  # what 99 % of normal traffic is at least; NaN where that is not known
    p99: float  # what 99 % of normal traffic is at most
    p999: float  # what 99.9 % of normal traffic is at most; NaN where that is not known
    # From the median in spans to the edge of the central 98 %, on a logarithmic scale: over 1 is outside.
    distance: float

    @property
    def outside(self) -> bool:
        """Whether the value lies outside the central 98 % of normal traffic.

        A detector sees columns together: the furthest of a flagged flow may well be inside.
        """
        return self.distance > 1

    @property
    def low(self) -> bool:
        """Whether the value is below the median, so that the lower edge of normal traffic is the one that tells."""
        return self.value < self.median


def edge_in_words(deviation: Deviation) -> str:
    """The edge of normal traffic on the value's side, such as `99 % up to 9` or `99 % from 2`."""
    if deviation.low:
        return f"99 % from {quantity(deviation.p01, deviation.unit)}"
    return f"99 % up to {quantity(deviation.p99, deviation.unit)}"


def sentence(deviation: Deviation) -> str:
    """A deviation in words, its gloss first: `packets sent: fwd_packets 40 (99 % of normal traffic: at most 9)`."""
    unit, meaning = deviation.unit, gloss(deviation.name)
    seen = f"{meaning}{': ' if meaning else ''}{deviation.name} {quantity(deviation.value, unit)}"
    if deviation.low:
        return f"{seen} (99 % of normal traffic: at least {quantity(deviation.p01, unit)})"
    if deviation.value > deviation.p999:
        return f"{seen} (99.9 % of normal traffic: at most {quantity(deviation.p999, unit)})"
    return f"{seen} (99 % of normal traffic: at most {quantity(deviation.p99, unit)})"


def quantity(value: float, unit: str) -> str:
    """A column's value for people: times in a readable unit, large numbers short, counts and shares without a unit."""
    if not math.isfinite(value):
        return str(value)
    if unit in _FADING and abs(value) < _HARDLY_ANY:
        return "0"
    if unit == "µs":
        steps = [(1e6, "s"), (1e3, "ms"), (1.0, "µs")]
    elif unit == "s":
        steps = [(86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")]
    elif unit in ("bytes", "bytes/s", "packets/s"):
        short = {"bytes": "B", "bytes/s": "B/s"}.get(unit, f" {unit}")
        steps = [(1e9, f"G{short}"), (1e6, f"M{short}"), (1e3, f"k{short}"), (1.0, unit)]
    else:
        return _plain(value)
    divisor, name = next((step for step in steps if abs(value) >= step[0]), steps[-1])
    return f"{_plain(value / divisor)} {name}"


def _plain(value: float) -> str:
    """Whole numbers whole, others with three significant digits."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def distance_of(value: float, median: float, p01: float, p99: float) -> float:
    """The distance of a Deviation; a quantile that is not known (NaN) leaves its side out."""
    x, middle, low, high = (_signed_log(each) for each in (value, median, p01, p99))
    above = (x - middle) / max(high - middle, MINIMAL_SPAN)
    below = (middle - x) / max(middle - low, MINIMAL_SPAN)
    return max((far for far in (above, below) if not math.isnan(far)), default=0.0)


def _signed_log(x: float) -> float:
    """sign(x)·log(1 + |x|): the scale on which columns of any unit are comparable."""
    return math.copysign(math.log1p(abs(x)), x)
