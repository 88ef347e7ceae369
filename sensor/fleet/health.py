"""Whether each sensor of a fleet is well: silent, dropping, drifting, on another bundle than it should be, with other
settings than most. Findings are of two kinds: faults, which somebody has to look at, and what is worth to know.

It knows no clock: the moment at which it is asked comes from outside.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from sensor.alerts.kinds import timestamp
from sensor.alerts.sensor_records import StatsRecord
from sensor.alerts.spread import counted, span_in_words
from sensor.fleet.clocks import interval_ns_of
from sensor.fleet.file import NO_FLEET, Fleet, FleetSensor
from sensor.fleet.numbering import LineCounts
from sensor.fleet.sensors import SensorBook, SensorHeard
from sensor.fleet.wanted import NOTHING_WANTED, Wanted

SILENT_AFTER: Final = 3.0  # of its own intervals
SHORTEST_SILENCE_NS: Final = 30_000_000_000
CLOCK_AHEAD_NS: Final = 5_000_000_000
DROPPED_SHARE: Final = 0.001  # of the packets of its latest accounts
DAY_NS: Final = 86_400_000_000_000
HOUR_NS: Final = 3_600_000_000_000
SETTINGS_NAMED: Final = 4
_HASH_SHOWN: Final = 12

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a sensor's lines show."""

    word: str  # what it is called, such as `silent`
    told: str  # the same in a sentence
    fault: bool  # whether somebody has to look at it


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """A sensor, and what its lines show."""

    name: str
    site: str
    group: str
    heard: SensorHeard | None  # None: it was never heard
    findings: tuple[Finding, ...]
    silence_ns: int  # since it was heard last, below 0 where its clock is ahead; 0 where it was never heard
    clock_behind_ns: int  # how far its clock is behind others, below 0 where it is ahead, 0 where nothing tells it
    dropped_share: float  # of the packets of its latest accounts, lost or left out under overload
    alerts_per_day: float | None  # None where it was heard for less than an hour
    wanted: str | None  # SHA-256 of the manifest that it should run on

    @property
    def well(self) -> bool:
        """Whether nobody has to look at it."""
        return not any(finding.fault for finding in self.findings)

    @property
    def version(self) -> str:
        """Of flowvigil, "" where it is not known."""
        return "" if self.heard is None else _version(self.heard)

    @property
    def bundle(self) -> tuple[str, str]:
        """Name of the bundle that judges, and the SHA-256 of its manifest, else of its weights; "" for unknown."""
        return ("", "") if self.heard is None else _bundle(self.heard)

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        latest = None if self.heard is None else self.heard.latest
        state = None if latest is None else latest.state
        progress = None if latest is None else latest.progress
        heard_ns = 0 if self.heard is None else self.heard.heard_ns
        numbers = LineCounts() if self.heard is None else self.heard.numbers.counts
        return {
            "sensor": self.name,
            "site": self.site,
            "group": self.group or None,
            "well": self.well,
            "findings": [{"is": each.word, "told": each.told, "fault": each.fault} for each in self.findings],
            "heard": timestamp(heard_ns) if heard_ns else None,
            "silent_s": round(self.silence_ns / 1e9, 3) if heard_ns else None,
            "clock_behind_s": round(self.clock_behind_ns / 1e9, 3) if self.clock_behind_ns else None,
            "interval_s": None if self.heard is None else interval_ns_of(self.heard.accounts) / 1e9 or None,
            "version": self.version or None,
            "model": {
                "id": self.bundle[0] or None,
                "sha256": None if state is None else state.sha256,
                "manifest_sha256": None if state is None else state.manifest_sha256,
                "wanted_sha256": self.wanted,
            },
            "settings": None if state is None or state.settings is None else dict(state.settings),
            "packets": None if progress is None else progress.received,
            "packets_per_second": None if self.heard is None else _packets_per_second(self.heard.run),
            "dropped_share": round(self.dropped_share, 6),
            "overload": "" if progress is None else progress.overload,
            "lost_lines": 0 if progress is None else progress.lost_lines,
            "alert_lines": {
                "expected": numbers.expected,
                "missing": numbers.missing,
                "repeated": numbers.repeated,
            },
            "drift": list(progress.drift.conditions) if progress is not None and progress.drift is not None else [],
            "alerts": 0 if self.heard is None else self.heard.opened,
            "alerts_per_day": None if self.alerts_per_day is None else round(self.alerts_per_day, 3),
        }


def health_of(
    book: SensorBook,
    now_ns: int,
    fleet: Fleet = NO_FLEET,
    wanted: Wanted = NOTHING_WANTED,
    silent_after: float = SILENT_AFTER,
) -> list[SensorHealth]:
    """All sensors of a list, and all others that were heard; those to look at first, then by name.

    now_ns: the moment at which it is asked, wall clock. silent_after: intervals of a sensor after which it is silent.
    """
    listed = {sensor.name: sensor for sensor in fleet.sensors}
    strangers = [FleetSensor(each.name, each.name) for each in book if each.name not in listed]
    most = _Most.of(book)
    found = [
        _health(sensor, book.get(sensor.name), now_ns, most, wanted, silent_after,
                stranger=bool(listed) and sensor.name not in listed)
        for sensor in (*fleet.sensors, *strangers)
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each.well, not each.findings, each.name))


@dataclass(frozen=True, slots=True)
class _Most:
    """What more than half of the sensors have, None where there is no such thing."""

    version: str | None
    bundle: tuple[str, str] | None
    weights: tuple[str, str] | None  # of bundles, as far as alerts and accounts of older releases tell them
    settings: frozenset[tuple[str, str]] | None

    @staticmethod
    def of(book: Iterable[SensorHeard]) -> "_Most":
        heard = list(book)
        told = [each.latest.state.settings for each in heard if each.latest and each.latest.state.settings is not None]
        return _Most(
            _most(version for each in heard if (version := _version(each))),
            _most(bundle for each in heard if _manifest_told(each) and (bundle := _bundle(each))[1]),
            _most(weights for each in heard if (weights := _weights(each))[1]),
            _most(frozenset(settings.items()) for settings in told),
        )


def _most(values: Iterable[T]) -> T | None:
    counts = Counter(values)
    value, count = counts.most_common(1)[0] if counts else (None, 0)
    return value if count >= 2 and count * 2 > counts.total() else None


def _health(
    sensor: FleetSensor,
    heard: SensorHeard | None,
    now_ns: int,
    most: _Most,
    all_wanted: Wanted,
    silent_after: float,
    *,
    stranger: bool,
) -> SensorHealth:
    wanted = all_wanted.of(sensor.name)
    if heard is None or not heard.heard_ns:
        unheard = (Finding("unheard", "none of these lines is its own", not stranger),)
        return SensorHealth(sensor.name, sensor.site, sensor.group, heard, unheard, 0, 0, 0.0, None, wanted)
    run, latest, behind_ns = heard.run, heard.latest, heard.clock_behind_ns
    silence_ns = now_ns - heard.heard_ns - behind_ns
    dropped = _dropped_share(run)
    findings: tuple[Finding, ...] = (
        *_of_silence(heard, silence_ns, silent_after),
        *_of_clock(latest, silence_ns, behind_ns),
        *_of_numbers(heard.numbers.counts, now_ns),
        *_of_name(heard),
        *(_of_account(run, latest, dropped) if latest is not None else ()),
        *_of_bundle(heard, wanted, all_wanted.weights_of(sensor.name), most),
        *_of_settings(latest, most),
        *((Finding("unlisted", "it is not in the list of the fleet", False),) if stranger else ()),
    )
    if stranger:  # who was taken out of the list, or was never there, keeps nobody busy
        findings = tuple(replace(finding, fault=False) for finding in findings)
    a_day = _alerts_per_day(heard)
    return SensorHealth(
        sensor.name, sensor.site, sensor.group, heard, findings, silence_ns, behind_ns, dropped, a_day, wanted
    )


def _of_silence(heard: SensorHeard, silence_ns: int, silent_after: float) -> Iterable[Finding]:
    latest, interval_ns = heard.latest, interval_ns_of(heard.accounts)
    if latest is None:
        yield Finding("no-accounts", "no account of it came: whether it loses packets is not known", False)
    elif latest.final and latest.time_ns == heard.heard_ns:
        yield Finding("ended", f"it ended in order {_ago(silence_ns)}", True)
    elif silence_ns > max(silent_after * interval_ns, SHORTEST_SILENCE_NS):
        every = f"; it told something every {span_in_words(interval_ns)}" if interval_ns else ""
        yield Finding("silent", f"heard last {_ago(silence_ns)}{every}", True)


def _of_clock(latest: StatsRecord | None, silence_ns: int, behind_ns: int) -> Iterable[Finding]:
    if behind_ns > 0:
        yield Finding(
            "clock-behind", f"its clock is behind by {span_in_words(behind_ns)}: its lines come in time", True
        )
    elif behind_ns < 0:
        yield Finding("clock-ahead", f"its clock is {span_in_words(-behind_ns)} ahead: its lines come in time", True)
    elif latest is not None and silence_ns < -CLOCK_AHEAD_NS:
        yield Finding("clock-ahead", f"its clock is {span_in_words(-silence_ns)} ahead of this machine's", True)


def _of_numbers(numbers: LineCounts, now_ns: int) -> Iterable[Finding]:
    """Of lines that are missing for longer than a day nobody learns anything new."""
    if numbers.missing:
        told = f"{counted(numbers.missing, 'line')} of alerts of {numbers.expected:,} did not come or lie elsewhere"
        yield Finding("missing-lines", told, now_ns - numbers.missing_ns < DAY_NS)


def _of_name(heard: SensorHeard) -> Iterable[Finding]:
    if heard.of_two:
        yield Finding("shared-name", "two runs bear its name at once: two sensors, or its clock was set back", True)


def _of_account(run: Sequence[StatsRecord], latest: StatsRecord, dropped: float) -> Iterable[Finding]:
    progress, first = latest.progress, run[0].progress if len(run) > 1 else None
    down = [interface.name for interface in progress.interfaces if not interface.up]
    if down:
        yield Finding("interface-down", f"down: {', '.join(down[:SETTINGS_NAMED])}", True)
    if dropped > DROPPED_SHARE:
        yield Finding("dropping", f"{dropped:.2%} of its latest packets were lost or left out", True)
    if progress.overload:
        yield Finding("overload", progress.overload, True)
    lost = progress.lost_lines - (0 if first is None else first.lost_lines)
    if lost > 0:
        yield Finding("losing-lines", f"{counted(lost, 'line')} of late reached no output", True)
    silent = [output.name for output in progress.outputs if not output.up]
    if silent:
        yield Finding("output-down", f"does not reach {', '.join(silent[:SETTINGS_NAMED])}", False)
    if progress.drift is not None and progress.drift.conditions:
        yield Finding("drifting", ", ".join(progress.drift.conditions[:SETTINGS_NAMED]), False)
    if latest.state.site == "learning":
        yield Finding("learning", "learns its site and judges by the bundle as it is", False)
    elif latest.state.site == "warming":
        yield Finding("warming", "its site was learnt from too little", False)


def _of_bundle(heard: SensorHeard, wanted: str | None, weights: str | None, most: _Most) -> Iterable[Finding]:
    """weights: of the bundle that is wanted, by which it is known where no account tells its manifest."""
    name, sha256 = _bundle(heard)
    if wanted is not None and sha256 != (wanted if _manifest_told(heard) else weights):
        found = f"runs on {_named(name, sha256)}" if sha256 else "does not say what it runs on"
        yield Finding("other-bundle", f"{found}, should have {wanted[:_HASH_SHOWN]}", True)
    elif wanted is None and sha256:
        usual = most.bundle if _manifest_told(heard) else most.weights  # the same is told by the same
        if usual is not None and (name, sha256) != usual:
            yield Finding("other-bundle", f"runs on {_named(name, sha256)}, most on {_named(*usual)}", False)
    version = _version(heard)
    if most.version is not None and version and version != most.version:
        yield Finding("other-version", f"is flowvigil {version}, most are {most.version}", False)


def _of_settings(latest: StatsRecord | None, most: _Most) -> Iterable[Finding]:
    settings = None if latest is None else latest.state.settings
    if settings is None or most.settings is None or frozenset(settings.items()) == most.settings:
        return
    others: Mapping[str, str] = dict(most.settings)
    names = sorted(name for name in {*settings, *others} if settings.get(name) != others.get(name))
    differing = ", ".join(
        f"{name} {settings.get(name, 'default')} (most: {others.get(name, 'default')})"
        for name in names[:SETTINGS_NAMED]
    )
    more = f" and {len(names) - SETTINGS_NAMED} more" if len(names) > SETTINGS_NAMED else ""
    yield Finding("other-settings", f"{differing}{more}", False)


def _ago(silence_ns: int) -> str:
    return f"{span_in_words(max(0, silence_ns))} ago"


def _named(name: str, sha256: str) -> str:
    return f"{name} {sha256[:_HASH_SHOWN]}"


def _version(heard: SensorHeard) -> str:
    if heard.latest is not None:
        return heard.latest.observer.version
    return "" if heard.last_alert is None else heard.last_alert.version


def _bundle(heard: SensorHeard) -> tuple[str, str]:
    state = None if heard.latest is None else heard.latest.state
    if state is not None and state.manifest_sha256:
        return state.model_id or "", state.manifest_sha256
    return ("", "") if heard.last_alert is None else (heard.last_alert.model.id, heard.last_alert.model.sha256)


def _manifest_told(heard: SensorHeard) -> bool:
    """Whether a sensor tells its bundle by its manifest, not by its weights alone."""
    return heard.latest is not None and bool(heard.latest.state.manifest_sha256)


def _weights(heard: SensorHeard) -> tuple[str, str]:
    """Name of the bundle that judges and the SHA-256 of its weights; "" for unknown."""
    if not _manifest_told(heard):
        return _bundle(heard)
    assert heard.latest is not None  # noqa: S101  # it told its manifest
    return heard.latest.state.model_id or "", heard.latest.state.sha256 or ""


def _dropped_share(run: Sequence[StatsRecord]) -> float:
    """Of the packets of these accounts, but for the first, which tells where they begin; of one account all."""
    if not run:
        return 0.0
    last, first = run[-1].progress, run[0].progress if len(run) > 1 else None
    received = last.received - (0 if first is None else first.received)
    lost = last.dropped + last.shed - (0 if first is None else first.dropped + first.shed)
    return min(1.0, max(0, lost) / received) if received > 0 else 0.0


def _packets_per_second(run: Sequence[StatsRecord]) -> float | None:
    if len(run) < 2 or run[-1].time_ns <= run[0].time_ns:
        return None
    grown = run[-1].progress.received - run[0].progress.received
    return round(grown * 1e9 / (run[-1].time_ns - run[0].time_ns), 1)


def _alerts_per_day(heard: SensorHeard) -> float | None:
    starts = [moment for moment in (heard.first_ns, heard.first_alert_ns) if moment]
    last = max(heard.last_ns, 0 if heard.last_alert is None else heard.last_alert.time_ns)
    span_ns = last - min(starts, default=last)
    return heard.opened * DAY_NS / span_ns if span_ns >= HOUR_NS else None
