"""Builds the parts of a run by the settings: meter, model, judge, and the recorder of packets of alerts."""

import os
import socket
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.errors import ModelError, OutputError, reason_of
from sensor.printable import printable
from sensor.settings.extras import is_installed, require_for
from sensor.settings.memory import given_memory
from sensor.version import VERSION

if TYPE_CHECKING:
    from flows.meter import Meter
    from models.fusion import Hybrid
    from models.signature import PublicKey
    from sensor.alerts.alert import Observer
    from sensor.alerts.flow_record import FlowRecords
    from sensor.drift.drift import Drift
    from sensor.episodes.settings import EpisodeSettings
    from sensor.flow_log.recorder import FlowRecorder
    from sensor.geoip.databases import GeoDatabases
    from sensor.judging.judge import Judge, RowMaker
    from sensor.metering.names import Names
    from sensor.packets.recorder import PacketRecorder
    from sensor.process.privileges import User
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

SECOND_NS = 1_000_000_000
EVIDENCE_CUT = 0.5  # of p-values, below which a lane's flags say something (sensor.episodes.evidence)
DEFAULT_BUNDLE = "default"
STATES_A_HOST = 4  # states of the LSTM for each host that episodes follow: most sources do nothing that is followed
SOURCES_NAMED = 32  # of a run, in its flow log


@given_memory("episodes.capacity_hosts")
def load_model(config: "Config") -> "Hybrid":
    """Load the bundle of the settings: for flows, alone or with context, or for connections. Raises ModelError."""
    from flows.columns import feature_contract
    from flows.context.columns import context_contract
    from flows.kdd.columns import kdd_contract
    from models.bundle import BundleError, load_bundle

    path = bundle_directory(config.detection.bundle)
    contracts = feature_contract(), context_contract(), kdd_contract(content=False), kdd_contract(content=True)
    try:
        hybrid = load_bundle(path, *contracts, keys=bundle_keys(config))
    except BundleError as error:
        raise ModelError(str(error)) from error
    hybrid.remember(STATES_A_HOST * config.episodes.capacity_hosts)
    return hybrid


def bundle_keys(config: "Config") -> "tuple[PublicKey, ...]":
    """The keys of the settings, one of which must have signed a bundle; none: signatures are not looked at.

    Raises ConfigError where the extra is missing.
    """
    from models.signature import public_key

    if config.detection.bundle_keys is not None:
        require_for("detection.bundle_keys")
    return tuple(map(public_key, (config.detection.bundle_keys or "").split()))


def bundle_path(bundle: Path | None) -> Path:
    """The directory of a bundle: as given, else of the shipped bundle with that name; None for the default bundle."""
    if bundle is None:
        return _pretrained() / DEFAULT_BUNDLE
    return bundle if os.path.exists(bundle) else shipped_bundles().get(str(bundle), bundle)


def bundle_directory(bundle: Path | None) -> Path:
    """The same, which is there and a directory. Raises ModelError."""
    path = bundle_path(bundle)
    names = ", ".join(shipped_bundles())
    try:
        found = None if stat.S_ISDIR(path.stat().st_mode) else "a file"
    except (FileNotFoundError, NotADirectoryError):
        found = "no such directory"
    except OSError as error:
        found = f"what cannot be opened ({reason_of(error)})"
    if found:
        raise ModelError(
            f"bundle {printable(str(path), 200)}: found {found}, expected a directory with manifest.json, or the name "
            f"of a shipped one: {names} (flowvigil model list)"
        )
    return path


def shipped_bundles() -> dict[str, Path]:
    """Directories of the bundles that the product brings, by name, the default one first."""
    names = (path.parent.name for path in _pretrained().glob("*/manifest.json"))
    return {name: _pretrained() / name for name in sorted(names, key=lambda name: (name != DEFAULT_BUNDLE, name))}


def _pretrained() -> Path:
    import models

    return Path(str(models.__file__)).parent / "pretrained"


def build_meter(config: "Config") -> "Meter":
    """A meter for a judge, by the settings: without final reports that add nothing to what was reported before."""
    return _meter(config, news_only=True, names=config.meter.seen_names)


def without_names(config: "Config") -> "Config":
    """The settings of a run whose alerts nobody sees: no packet is read for names, which nothing is judged by."""
    return config.model_copy(update={"meter": config.meter.model_copy(update={"seen_names": False})})


def build_table_meter(config: "Config", compat: str | None = None) -> "Meter":
    """A meter for a table of all flows, by the settings.

    compat: name of a program whose flows and values it reproduces (flows.meter.COMPATIBLE).
    """
    return _meter(config, compat)


@given_memory("meter.capacity_flows")
def _meter(config: "Config", compat: str | None = None, *, news_only: bool = False, names: bool = False) -> "Meter":
    from flows.meter import Meter

    return Meter(
        config.meter.capacity_flows,
        idle_timeout_ns=round(config.meter.idle_timeout_s * SECOND_NS),
        active_timeout_ns=round(config.meter.active_timeout_s * SECOND_NS),
        closed_linger_ns=round(config.meter.closed_linger_s * SECOND_NS),
        first_snapshot_ns=round(config.meter.first_snapshot_s * SECOND_NS),
        snapshot_interval_ns=round(config.meter.snapshot_interval_s * SECOND_NS),
        decap=config.meter.decapsulate,
        vlan_in_key=config.meter.vlan_in_key,
        compat=compat,
        news_only=news_only,
        names=names,
    )


@given_memory("episodes.capacity_hosts")
def build_names(config: "Config") -> "Names | None":
    """What keeps the names that traffic tells, for one run, by the settings; None where it is not to."""
    if not config.meter.seen_names:
        return None
    from sensor.metering.names import Names

    return Names(config.episodes.capacity_hosts)


@given_memory("episodes.capacity_hosts")
def build_judge(config: "Config", hybrid: "Hybrid") -> "Judge":
    """A judge with this model and episodes by the settings.

    Raises ModelError for a rate that the bundle has no threshold for, or by which half of normal traffic is flagged,
    and for a bundle that needs payloads.
    """
    from flows.kdd.columns import kdd_contract
    from sensor.episodes.made import episodes_of
    from sensor.judging.judge import Judge

    if hybrid.contract == kdd_contract(content=True):
        raise ModelError(
            f"bundle {hybrid.model_id}: found columns that need payloads, which a flow sensor does not see; "
            "expected a bundle without them, such as nsl-kdd-flow (flowvigil serve takes this one)"
        )
    rate = checked_rate(config, hybrid)
    for lane, cut in zip(("known", "novel"), hybrid.thresholds[rate], strict=True):
        if cut >= EVIDENCE_CUT:
            raise ModelError(
                f"bundle {hybrid.model_id}: thresholds of rate {rate:g}: {lane} is {cut:g}, by which a flag is no "
                f"evidence; expected less than {EVIDENCE_CUT}"
            )
    episodes = episodes_of(hybrid, observer(config), rate, episode_settings(config, hybrid))
    return Judge(hybrid, episodes, rate, build_row_maker(hybrid, config.episodes.capacity_hosts))


def build_row_maker(hybrid: "Hybrid", capacity: int) -> "RowMaker | None":
    """What makes the rows that a model judges of records, a new one for each run; None: they are the records' values.

    capacity: hosts whose context is kept.
    """
    from flows.columns import feature_contract
    from flows.context.columns import context_contract

    if hybrid.contract == feature_contract():
        return None
    if hybrid.contract == context_contract():
        from flows.context.context import Context

        return Context(capacity)
    from flows.kdd.meter import Connections

    return Connections()


def checked_rate(config: "Config", hybrid: "Hybrid") -> float:
    """The false positive rate of the settings. Raises ModelError for one that the bundle has no threshold for."""
    rate = config.detection.false_positive_rate
    if rate not in hybrid.thresholds:
        known = ", ".join(str(known) for known in sorted(hybrid.thresholds))
        raise ModelError(f"bundle {hybrid.model_id}: found thresholds for rates {known}, expected one for {rate}")
    return rate


def observer(config: "Config", run: str | None = None) -> "Observer":
    """This sensor as the observer of its records: its name, by default the host's, and version; run: of a live one."""
    from sensor.alerts.alert import Observer

    return Observer(config.sensor.name or socket.gethostname(), VERSION, run)


def episode_settings(config: "Config", hybrid: "Hybrid") -> "EpisodeSettings":
    """Settings of the episodes: when they open and close, and their limits.

    What they leave open the bundle's site says.
    """
    from sensor.episodes.habits import habits_of_site
    from sensor.episodes.settings import FLOWS_BETWEEN_FALSE_OPENINGS, EpisodeSettings
    from sensor.episodes.shapes import KIND_NAMES

    threshold, site = config.episodes.flows_between_false_openings, hybrid.site
    if threshold is None:
        threshold = FLOWS_BETWEEN_FALSE_OPENINGS if site is None else site.flows_between_false_openings
    asked = {} if site is None else site.levels
    return EpisodeSettings(
        threshold=threshold,
        levels=tuple(asked.get(kind, 1.0) for kind in KIND_NAMES[:-1]),
        habits=habits_of_site(site),
        quiet_ns=round(config.episodes.quiet_s * SECOND_NS),
        capacity_hosts=config.episodes.capacity_hosts,
        alerts_per_minute=config.episodes.alerts_per_minute,
        first_report_ns=round(config.meter.first_snapshot_s * SECOND_NS),
        flows_per_alert=None if config.keep_packets.directory is not None else config.episodes.flows_per_alert,
    )


def flow_records(config: "Config", capture: str | None = None) -> "FlowRecords | None":
    """Writer of the records of flows of alerts, by the settings; None for no records.

    capture: path of the one that the flows are of, None where that is not one file.
    """
    from sensor.alerts.flow_record import FlowRecords

    limit = config.episodes.flows_per_alert
    return FlowRecords(observer(config), limit, capture) if limit else None


def build_drift(config: "Config", hybrid: "Hybrid", *, live: bool) -> "Drift | None":
    """What looks for drift in a run, by the settings; None where it is not to be looked for.

    live: the run is a watch. Shifts of scores within a day need the package river; without it they are not looked for.
    """
    if config.drift.runs == "none" or (config.drift.runs == "watch" and not live):
        return None
    from sensor.drift.drift import Drift, DriftSettings

    if shifts_are_watched():
        from sensor.drift.shifts import adwin

        adwin()  # so that river is loaded before packets come
        return Drift(hybrid, observer(config), DriftSettings(config.drift.alerts_per_day, adwin))
    return Drift(hybrid, observer(config), DriftSettings(config.drift.alerts_per_day))


def shifts_are_watched() -> bool:
    """Whether the package is installed that shifts of scores within a day need."""
    return is_installed("river")


def site_notes(config: "Config") -> "SiteNotes | None":
    """The notes of site.file, None where none is set. Raises ConfigError."""
    if config.site.file is None:
        return None
    from sensor.site.file import read_notes

    return read_notes(config.site.file)


def geo_databases(config: "Config") -> "GeoDatabases | None":
    """The databases of geoip.*, opened; None where none is set. Raises ConfigError."""
    location, systems = config.geoip.location, config.geoip.asn
    if location is None and systems is None:
        return None
    require_for("geoip.asn" if location is None else "geoip.location")
    from sensor.geoip.databases import opened

    return opened(location, systems)


def refuse_packet_directory(config: "Config", captures: Sequence[str]) -> None:
    """Raise OutputError where packets would be kept in a directory of the captures that are read."""
    if config.keep_packets.directory is None:
        return
    directory = Path(os.path.realpath(config.keep_packets.directory))
    for name in captures:
        path = Path(os.path.realpath(name))
        if directory in (path, path.parent):
            raise OutputError(
                f"packets cannot be kept in {config.keep_packets.directory}: found {name} there, which is to be read, "
                "expected another directory"
            )


def make_packet_directory(config: "Config", user: "User | None" = None) -> None:
    """Create the directory of kept packets if there is none, owned by `user`. Raises OutputError."""
    if config.keep_packets.directory is None:
        return
    from sensor.packets.directory import make_directory

    make_directory(config.keep_packets.directory, user)


@given_memory("keep_packets.memory_bytes")
def build_packet_recorder(
    stack: ExitStack, config: "Config", interfaces: Sequence[str] = ("",), shown_in: str = ""
) -> "PacketRecorder | None":
    """Recorder of packets of alerts, None for no directory. Raises OutputError for one that cannot be written.

    stack: at whose end others may keep packets there. interfaces: names by their number in packet blocks. shown_in: as
    of PacketRecorder.
    """
    settings = config.keep_packets
    if settings.directory is None:
        return None
    from sensor.packets.directory import PacketDirectory
    from sensor.packets.recorder import PacketRecorder
    from sensor.packets.ring import PacketRing

    recorder = PacketRecorder(
        PacketRing(settings.memory_bytes, decap=config.meter.decapsulate, vlan_in_key=config.meter.vlan_in_key),
        PacketDirectory(settings.directory, settings.directory_bytes),
        observer(config),
        interfaces=interfaces,
        max_packets=settings.alert_packets,
        max_bytes=settings.alert_bytes,
        shown_in=shown_in,
    )
    stack.callback(recorder.close)
    return recorder


def warm_packet_keeping(config: "Config") -> None:
    """Load what keeping packets needs, and compile its kernels."""
    if config.keep_packets.directory is None:
        return
    from sensor.packets.recorder import warm_packet_recorder

    warm_packet_recorder()


def make_flow_directory(config: "Config", user: "User | None" = None) -> None:
    """Create the directory of the flow log if there is none, owned by `user`, and load what writing it needs.

    Raises OutputError.
    """
    if config.flow_log.directory is None:
        return
    from sensor.flow_log.directory import make_directory
    from sensor.flow_log.recorder import warm_flow_recorder

    warm_flow_recorder()
    make_directory(config.flow_log.directory, user)


def build_flow_recorder(
    config: "Config", sources: Sequence[str], *, waits: bool, run: str | None = None
) -> "FlowRecorder | None":
    """Recorder of all flows, not yet started, None for no directory. Raises OutputError for one that cannot be written.

    sources: what the flows are of, for whoever reads the log. waits: whether it makes whoever judges wait for the disk,
    or loses records. run: as of FlowRecorder.
    """
    settings = config.flow_log
    if settings.directory is None:
        return None
    from sensor.flow_log.directory import LogDirectory
    from sensor.flow_log.recorder import FileLimits, FlowRecorder

    sensor = observer(config)
    about = {
        "sensor": {"name": sensor.name, "version": sensor.version},
        "sources": [printable(source) for source in sources[:SOURCES_NAMED]],
        "filter": config.capture.filter,
        "meter": config.meter.model_dump(),
    }
    return FlowRecorder(
        LogDirectory(settings.directory, settings.directory_bytes),
        FileLimits.of(settings.file_s, settings.file_records, settings.directory_bytes),
        about,
        waits=waits,
        run=run,
    )
