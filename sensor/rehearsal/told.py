"""What is told of a rehearsed attack, in one line for people: by whom on whom, and where among the day's alerts."""

from collections.abc import Sequence

from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import muted_in_words
from sensor.rehearsal.judged import RehearsedEpisode


def named_in_words(own: RehearsedEpisode) -> str:
    """How an episode was named: the id too where its technique is another than the episode's."""
    if own.alert is None:
        return "-"
    technique = own.alert.technique
    if technique is None:
        return f"{own.alert.title} (wrong)"
    name = technique.name or technique.id
    if technique.parent == own.episode.technique.partition(".")[0]:
        return name
    return f"{technique.id} {name}" + ("" if own.right else " (wrong)")


def fault_in_words(own: RehearsedEpisode) -> str:
    """Why an episode is none that was found and rightly named."""
    if not own.seen:
        return "hidden by the capture filter"
    if own.alert is None:
        return "no alert is about it"
    return muted_in_words(own.alert) if own.muted else f"named {named_in_words(own)}"


def seconds_in_words(seconds: float | None) -> str:
    """A time for a table, "-" for none."""
    return "-" if seconds is None else span_in_words(round(seconds * 1e9))


def rank_in_words(own: RehearsedEpisode, alerts: int) -> str:
    """Such as `1 of 4`. alerts: on the site's own traffic alone."""
    return "-" if own.rank is None else f"{own.rank} of {alerts + 1}"


def sides_in_words(own: RehearsedEpisode, arrow: str = ">") -> str:
    """Who attacked whom: `203.0.113.45 > 10.0.0.8`, of many how many."""
    attackers, victims = own.episode.sides
    return f"{_hosts(attackers)} {arrow} {_hosts(victims)}"


def _hosts(hosts: Sequence[str]) -> str:
    return hosts[0] if len(hosts) == 1 else counted(len(hosts), "host")
