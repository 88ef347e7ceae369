"""Figures as people read them on a page."""

from math import isfinite

SMALLEST_P = 1e-300
SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
# Units that a quantity takes into itself, as in 1.2 kB or 62 ms.
SCALED_UNITS = ("µs", "bytes", "bytes/s")
US_UNITS = ((86_400e6, "d"), (3_600e6, "h"), (60e6, "min"), (1e6, "s"), (1e3, "ms"))


def count(number: int) -> str:
    """A whole number with thousands set apart."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """A part in per cent; never "0 %" or "100 %" unless it is."""
    if whole == 0:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    return f"{percent:.3g} %" if percent < 99 else f"{percent:.4g} %"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 row", "2 rows", "no rows"."""
    noun = one if number == 1 else many or one + "s"
    return f"{count(number) if number else 'no'} {noun}"


def effect(number: float) -> str:
    """An effect size or correlation with its sign."""
    return f"{number:+.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value; one that underflows is given as a bound."""
    if p < SMALLEST_P:
        return "< 1e-300"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def quantity(number: float, unit: str = "") -> str:
    """A value with its unit: times in the unit that fits, others with k, M, G."""
    if not isfinite(number):
        return "–"
    if unit == "µs":
        return _scaled(number, US_UNITS, "µs")
    scaled = _scaled(number, SI, "")
    if unit in SCALED_UNITS:  # 1.2 kB
        return f"{scaled}{'' if ' ' in scaled else ' '}{unit.replace('bytes', 'B')}"
    return f"{scaled} {unit}".strip()


def _scaled(number: float, scales: tuple[tuple[float, str], ...], smallest: str) -> str:
    for size, name in scales:
        if abs(number) >= size:
            return f"{number / size:.3g} {name}".replace("-", "−")
    return f"{number:.3g} {smallest}".strip().replace("-", "−")


def listed(names: list[str] | tuple[str, ...], most: int = 6) -> str:
    """Names in a sentence, the rest of a long list counted."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"
