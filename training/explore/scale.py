"""The signed-log scale, for amounts that span decades and hold zeros, and where its ticks stand."""

import numpy as np
from numpy.typing import NDArray

from training.page.numbers import quantity

SECONDS = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"))


def signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10(1 + |x|) with the sign of x."""
    result: NDArray[np.float64] = np.sign(values) * np.log10(1.0 + np.abs(values))
    return result


def ticks(low: float, high: float, unit: str, most: int = 5) -> tuple[list[float], list[str]]:
    """Places and labels of 0 and of powers of ten between two places on the scale, about most of them."""
    decades = max(abs(low), abs(high))
    powers = np.arange(int(np.ceil(decades)) + 1)
    amounts = [float(10.0**power) for power in powers[:: max(1, -(-len(powers) // most))]]
    if decades < 1.5:
        amounts = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    if low < -0.5:
        amounts += [-amount for amount in amounts]
    amounts = sorted([0.0, *amounts])
    places = signed_log(np.array(amounts))
    room = (high - low) / 12
    shown = [i for i, place in enumerate(places) if low <= place <= high and (amounts[i] == 0 or abs(place) >= room)]
    return [float(places[i]) for i in shown], [_label(amounts[i], unit) for i in shown]


def _label(amount: float, unit: str) -> str:
    """A power of ten; times carry their unit, since it changes along the axis."""
    if unit != "µs" or amount == 0:
        return quantity(amount)
    size, name = next(((size, name) for size, name in SECONDS if abs(amount) >= size), SECONDS[-1])
    return f"{amount / size:g} {name}".replace("-", "−")
