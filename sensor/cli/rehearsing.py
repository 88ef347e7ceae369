"""What rehearse and selftest have in common: the sensor that is tried, and how its findings are told."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from sensor.cli.build import build_judge, build_meter, without_names
from sensor.cli.stdout import write_lines
from sensor.terminal.progress_line import one_row

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.rehearsal.judged import RehearsedEpisode, TriedSensor
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

FLOWS_PER_ALERT: Final = 100_000  # which are handed on with an alert, to say what it is about


def tried_sensor(config: "Config", hybrid: "Hybrid", notes: "SiteNotes | None" = None) -> "TriedSensor":
    """The sensor of these settings, whose alerts hand on their flows. notes: of the site."""
    from sensor.rehearsal.judged import TriedSensor
    from sensor.settings.config import EpisodesSection, KeepPacketsSection
    from training.labels import right_names

    episodes = EpisodesSection.model_validate(config.episodes.model_dump() | {"flows_per_alert": FLOWS_PER_ALERT})
    own = without_names(config).model_copy(update={"episodes": episodes, "keep_packets": KeepPacketsSection()})
    return TriedSensor(lambda: build_meter(own), lambda: build_judge(own, hybrid), right_names, notes)


def episode_record(own: "RehearsedEpisode") -> dict[str, Any]:
    """What is told of an episode as one JSON object."""
    alert, episode = own.alert, own.episode
    return {
        "episode": episode.name,
        "technique": episode.technique,
        "from": episode.source,
        "found": own.found,
        "named": own.named or None,
        "right": own.right,
        "verdict": alert.verdict if alert else None,
        "seconds": None if own.seconds is None else round(own.seconds, 3),
        "risk": round(alert.risk, 1) if alert else None,
        "muted": alert.muted.by if alert and alert.muted else None,
    }


def write_record(record: dict[str, Any]) -> None:
    """Write one line of JSON on stdout. Raises as sensor.cli.stdout.write_lines does."""
    import orjson

    write_lines((orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE),))


def progress_on(stream: TextIO, *, quiet: bool) -> Callable[[str], None]:
    """A line of a terminal that is drawn over with what is done next, "" erases it; nothing where there is none."""
    if quiet or not stream.isatty():
        return lambda _: None

    def draw(text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal was closed
            stream.write(f"\r\x1b[K{one_row(text, stream)}")
            stream.flush()

    return draw
