"""What `flowvigil promote` does between its command line and its answer: refuses, compares, decides, replaces."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from flows.batch import FlowBatch
from flows.kdd.columns import kdd_contract
from models.baselines import copy_baselines
from models.bundle import BundleError, copy_bundle, copy_signed, is_signed
from models.fusion import Hybrid
from models.manifest import readable, write_files
from sensor import log
from sensor.alerts.spread import counted
from sensor.alerts.techniques import technique_of
from sensor.cli.build import build_judge, bundle_keys, load_model
from sensor.cli.fixed_set import NAME, FixedSet
from sensor.cli.flow_log_argument import is_flow_log
from sensor.cli.labels import stop
from sensor.cli.learning import SameRecords
from sensor.cli.replay import DefaultSensor
from sensor.episodes.model_words import cuts_of
from sensor.errors import InputError, ModelError
from sensor.files.replacing import ReplacedDirectory
from sensor.files.unfinished import scratch_directory
from sensor.flow_log.reading import FlowLog
from sensor.printable import printable
from sensor.progress.words import first_problems
from sensor.settings.config import Config
from sensor.version import VERSION
from training.datasets.captures.index import read_index
from training.datasets.packed import sha256_of, unpacked_sha256
from training.errors import DatasetError
from training.evaluation.promotion.comparison import Comparison
from training.evaluation.promotion.latency import Latency, measured
from training.evaluation.promotion.record import Decision
from training.evaluation.promotion.trials import Models, try_captures, try_normal

LONGEST_PATH: Final = 4096  # characters, as the system has it
LANE_NAMES: Final = ("known", "novel")
PROMOTION: Final = "promotion.json"  # beside a signed manifest: what was compared and why; nothing reads it


def check_contract(champion: Hybrid, challenger: Hybrid, config: Config) -> None:
    """Raise ModelError for a challenger that the champion's sensor could not run, or not understand."""
    connections = [model.contract == kdd_contract(content=False) for model in (champion, challenger)]
    if connections[0] != connections[1]:
        raise ModelError(
            f"bundle {challenger.model_id}: judges {challenger.contract.rows}, expected one for "
            f"{champion.contract.rows} as {champion.model_id}"
        )
    for label, technique in zip(challenger.labels[1:], challenger.techniques[1:], strict=True):
        known = technique_of(technique)
        if known is not None and not known.name:
            raise ModelError(
                f"bundle {challenger.model_id}: label {label!r} names technique {technique}, which this sensor "
                "does not know; expected one of its table (sensor/alerts/techniques.py)"
            )
    for model in (champion, challenger):
        build_judge(config, model)  # refuses a rate without threshold, and what a flow sensor cannot judge
    rate = config.detection.false_positive_rate
    for lane, before, after in zip(LANE_NAMES, cuts_of(champion, rate), cuts_of(challenger, rate), strict=True):
        if before > 0 and after <= 0:
            raise ModelError(
                f"bundle {challenger.model_id}: the {lane} lane's threshold for a rate of {rate:g} is 0, by which it "
                f"never speaks; expected one above, as {champion.model_id} has"
            )


def compared(models: Models, rate: float, on: Sequence[Path], normal: Sequence[Path]) -> Comparison:
    """Both models by the fixed set and by what is given. Raises InputError."""
    sensor, cuts = DefaultSensor(rate), cuts_of(models[0], rate)
    given = [read_index_or_stop(path) for path in on]
    sites = [StoredTraffic(path, sensor) for path in normal]
    trials = []  # of what is given first: it may be what stops all
    for site in sites:
        log.progress(f"judging {site.name} by both")
        trials.append(try_normal(site, models))
    try:
        for path, own in zip(on, given, strict=True):
            log.progress(f"judging {counted(len(own.captures), 'capture')} of {path} by both")
            trials.append(try_captures(shown(path), own, models, cuts, sensor, log.progress))
    except DatasetError as error:
        raise stop(InputError, error) from error
    with scratch_directory() as work:
        fixed_set = FixedSet(work, sensor)
        index = fixed_set.index
        log.progress(f"judging {len(index.captures):,} captures of the fixed set by both")
        fixed = try_captures(NAME, index, models, cuts, fixed_set, log.progress)
        fixed = replace(fixed, sha256=fixed_set.sha256)
        log.progress("taking the time of both")
        return Comparison(fixed, tuple(trials), _latency(models, sensor, fixed_set.normal_records()))


def decided(comparison: Comparison, rate: float, why: str) -> Decision:
    """What becomes of the challenger. why: it is forced, "" where it is not."""
    refusals = comparison.refusals()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Decision(refusals, bool(why and refusals), why, now, VERSION, rate)


def put_in_place(
    directory: ReplacedDirectory, challenger: Path, model: Hybrid, record: dict[str, Any], config: Config
) -> None:
    """Replace a champion's directory by the challenger, as `writer` writes it. Raises as it does, NotAtomicError."""
    try:
        directory.replace(writer(challenger, model, record, config))
    except BundleError as error:
        raise ModelError(str(error)) from error


def writer(challenger: Path, model: Hybrid, record: dict[str, Any], config: Config) -> Callable[[Path], None]:
    """Writes the challenger into a directory with the reasons in its manifest, or beside one that is signed.

    Its baselines go with it as they are, unless nobody could use them, which is told.
    config: the sensor's, by whose keys it must load. What it gives raises BundleError for a challenger that is not the
    one that was compared any more, ModelError for one that does not load, OSError.
    """

    def write(fresh: Path) -> None:
        if is_signed(challenger):
            copy_signed(challenger, fresh, model.manifest_sha256)
            write_files(fresh, {PROMOTION: (readable(record) + "\n").encode()})
        else:
            copy_bundle(challenger, fresh, model.manifest_sha256, {"promotion": record})
        try:
            copy_baselines(challenger, fresh, model, keys=bundle_keys(config))
        except BundleError as error:
            log.warning(f"{error}; baselines are left out")
        detection = config.detection.model_copy(update={"bundle": fresh})
        load_model(config.model_copy(update={"detection": detection}))  # it must load before anything is replaced

    return write


def shown(path: Path) -> str:
    """A path as the record of a comparison names it, which is UTF-8 whatever the path is."""
    return printable(str(path), LONGEST_PATH)


def read_index_or_stop(path: Path) -> Any:
    """The captures of an index. Raises InputError."""
    try:
        return read_index(path)
    except DatasetError as error:
        raise stop(InputError, error) from error


def _latency(models: Models, sensor: DefaultSensor, captures: Sequence[FlowBatch]) -> Latency:
    champion, challenger = (partial(sensor.judging_ns, model, captures) for model in models)
    return measured(champion, challenger, sum(map(len, captures)))


@dataclass(slots=True)
class StoredTraffic:
    """A capture, a flow log or a Parquet file of flows, as normal traffic (training...trials.NormalTraffic).

    Both models judge the same records: files that come to a log meanwhile are none of it, and where others go or change
    that is an InputError. Raises InputError for a path that is not there.
    """

    path: Path
    sensor: DefaultSensor
    _log: FlowLog | None = field(init=False)  # None: a capture
    _records: SameRecords = field(init=False)

    def __post_init__(self) -> None:
        self._log = FlowLog([self.path]) if is_flow_log(str(self.path)) else None
        if self._log is None:
            self._records = SameRecords(partial(self.sensor.batches, [self.path]), ())
        else:
            self._records = SameRecords(self._log.batches, self._log.problems)

    @property
    def name(self) -> str:
        """Its path."""
        return shown(self.path)

    @property
    def sha256(self) -> str:
        """Digest of the capture unpacked, or of the digests of the Parquet files. Raises InputError."""
        try:
            if self._log is None:
                return unpacked_sha256(self.path)
            digests = [sha256_of(path) for path in self._log.paths]
        except DatasetError as error:
            raise stop(InputError, error) from error
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def alerts_by_hour(self, hybrid: Hybrid) -> dict[int, int]:
        """How many alerts a model opens in each hour since 1970 in which flows were reported. Raises InputError."""
        hours = self.sensor.alerts_by_hour(hybrid, self._records())
        if not hours:
            raise InputError(f"{self.path}: holds no flow, expected traffic that is normal")
        for line in first_problems([] if self._log is None else self._log.problems):
            log.warning(line)
        return hours
