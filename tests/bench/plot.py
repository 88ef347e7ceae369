"""The comparison of meters as a picture: a bar each, on a logarithmic scale."""

from collections.abc import Mapping
from pathlib import Path


def plot(rates: Mapping[str, float], path: Path) -> None:
    """Write packets per CPU-second of each meter as an SVG."""
    from matplotlib.figure import Figure

    names = sorted(rates, key=lambda name: rates[name])
    figure = Figure(figsize=(8, 0.5 * len(names) + 1.2), layout="constrained")
    axes = figure.subplots()
    colours = ["#0b5394" if name.startswith("flowvigil") else "#b7b7b7" for name in names]
    bars = axes.barh(names, [rates[name] / 1e6 for name in names], color=colours, log=True)
    axes.bar_label(bars, [f"{rates[name] / 1e6:.3g} M" for name in names], padding=4)
    axes.set_xlabel("million packets per CPU-second, whole process (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.2)
    figure.savefig(path, format="svg", metadata={"Date": None})
