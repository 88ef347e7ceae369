"""Numbers, times and targets as the page writes them; what an alert is called stands in sensor.alerts.words."""

from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import moment
from sensor.report.digest import ReportedEpisode

_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def size(number: int) -> str:
    """Bytes: `1.9 MB`."""
    for least, unit in _SIZES:
        if number >= least:
            return f"{number / least:.3g} {unit}"
    return f"{number:,} bytes"


def share(part: int, whole: int) -> str:
    """A part in per cent; never `0 %` or `100 %` unless it is."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.01:
        return "under 0.01 %"
    if 99.99 < percent < 100:
        return "over 99.99 %"
    return f"{percent:.4g} %" if percent >= 99 else f"{percent:.3g} %"


def stretch(start_ns: int, end_ns: int) -> str:
    """From and to, the day once: `2026-03-02 09:01:15 to 09:01:22 UTC (6.6 s)`."""
    start, end = moment(start_ns), moment(end_ns)
    until = end[11:] if start[:10] == end[:10] else end
    return f"{start} to {until} UTC ({span_in_words(max(0, end_ns - start_ns))})"


def listed(names: list[str], most: int = 6) -> str:
    """Names in a sentence, the rest of a long list counted."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def endpoint(ip: str, port: int | None) -> str:
    """`10.0.0.1 port 80`, without the port where there is none."""
    return ip if port is None else f"{ip} port {port}"


def targets(episode: ReportedEpisode) -> str:
    """Whom an episode was aimed at."""
    own, shown = episode.last.spread, episode.last.destination
    if own.targets <= 1 and not own.targets_more:
        if own.ports > 1:
            return f"{shown.ip}, {counted(own.ports, 'port', more=own.ports_more)}"
        return endpoint(shown.ip, shown.port)
    where = f" port {shown.port}" if own.ports == 1 and shown.port is not None else ""
    return f"{counted(own.targets, 'host', more=own.targets_more)}{where}, {shown.ip} among them"
