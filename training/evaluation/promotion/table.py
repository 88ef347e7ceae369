"""A comparison as lines of text."""

from collections.abc import Mapping
from typing import Any

from training.evaluation.promotion.comparison import MEASURES

Row = Mapping[str, Any]
LONGEST_NAME = 40
COLUMNS = {"found": 14, "named": 16, "sure": 18, "flagged": 17}  # widths, by the measure of a class


def promotion_table(record: Row) -> str:
    """What champion and challenger found, told by mistake and took. record: training.evaluation.promotion.record."""
    champion, challenger = record["champion"], record["challenger"]
    lines = [
        f"champion   {champion['model_id']} ({champion['manifest_sha256'][:16]})",
        f"challenger {challenger['model_id']} ({challenger['manifest_sha256'][:16]}), by the thresholds for a rate of "
        f"{record['rate']:g}",
        "counts are the challenger's of the champion's",
        "",
        f"{'class of attack':18}{'episodes':>10}"
        + "".join(f"{MEASURES[measure]:>{width}}" for measure, width in COLUMNS.items())
        + "   worst difference, 95 %",
        *(_class(own) for own in record["classes"]),
        "",
        f"{'data':42}{'hours':>8}{'false alerts':>15}   more and fewer of them in",
        *(_data(own) for own in record["data"]),
        "",
        _latency(record["latency"]),
    ]
    return "\n".join(lines)


def _class(own: Row) -> str:
    cells = "".join(f"{_both(own[measure]):>{width}}" for measure, width in COLUMNS.items())
    lowest = min((own[measure]["interval"] for measure in COLUMNS), key=lambda ends: float(ends[0]))
    return f"{own['class'][:17]:18}{own['found']['n']:>10,}{cells}   {_interval(lowest)}"


def _both(result: Row) -> str:
    return f"{result['challenger']:,} of {result['champion']:,}"


def _data(own: Row) -> str:
    hours = own["false_alert_hours"]
    alerts = f"{own['challenger_false_alerts']:,} of {own['champion_false_alerts']:,}"
    name = own["name"] if len(own["name"]) <= LONGEST_NAME else "…" + own["name"][1 - LONGEST_NAME :]
    return f"{name:42}{hours['n']:>8,}{alerts:>15}   {hours['worse']:,} and {hours['better']:,} hours"


def _latency(latency: Row) -> str:
    low, high = latency["interval"]
    return (
        f"judging a record takes {latency['challenger_us']:.1f} µs instead of {latency['champion_us']:.1f} µs of "
        f"processor time: {latency['ratio']:.2f} times as long ({low:.2f} to {high:.2f})"
    )


def _interval(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{100 * low:+.1f} to {100 * high:+.1f} points"
