"""Claims on upgrades: whatever an earlier release wrote is read, and what a later one wrote is refused by name.

KINDS is the list of all that is written and read again later. Below tests/golden/KIND/VERSION/ lie files that the code
of that version wrote; a version that is written or read and has none there fails.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configs.formats import Format
from flows.columns import feature_contract
from flows.context.columns import context_contract
from flows.kdd.columns import kdd_contract
from models import baselines, bundle
from sensor.alerts import alert_record, drift_record, flow_record, sensor_records
from sensor.alerts.reading import ReadErrors, read_lines
from sensor.errors import ConfigError, InputError, OutputError
from sensor.fleet import file as fleet_file
from sensor.fleet import wanted
from sensor.flow_log import columns as flow_log
from sensor.flow_log.files import open_flows
from sensor.outputs import spool_directory
from sensor.outputs.spool import Spool
from sensor.settings import file as settings_file
from sensor.settings.config import effective_config
from sensor.site import file as site_file
from tests.models.builders import CONTRACT as MADE_CONTRACT
from tests.trust.claim import Claim, Outcome
from tests.trust.record import REPOSITORY
from training import recipe
from training.errors import TrainingError
from training.lab import reading as lab_reading

GOLDEN: Final = REPOSITORY / "tests" / "golden"
PRETRAINED: Final = REPOSITORY / "models" / "pretrained"


class RefusedError(Exception):
    """What a reader said of a file that it does not read."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that is written and read again later."""

    written: Format
    what: str  # it is, for people
    read: Callable[[Path], object]  # reads one golden file or directory; raises RefusedError with what was said
    as_version: Callable[[Path, int], None]  # has a copy of one say that it is of another version


def _quoted(path: Path, version: int) -> None:
    """The tag of a JSON document, wherever it stands."""
    path.write_bytes(re.sub(rb'("[a-z.-]+/)\d+"', rb'\g<1>%d"' % version, path.read_bytes()))


def _in_manifest(name: str) -> Callable[[Path, int], None]:
    """The format of a manifest in a directory."""

    def as_version(directory: Path, version: int) -> None:
        manifest = json.loads((directory / name).read_text())
        manifest["format"] = re.sub(r"\d+$", str(version), manifest["format"])
        (directory / name).write_text(json.dumps(manifest))

    return as_version


def _in_yaml(path: Path, version: int) -> None:
    path.write_text(f"version: {version}\n{path.read_text()}")


def _in_parquet(path: Path, version: int) -> None:
    from pyarrow import parquet

    table = parquet.read_table(path)
    about = json.loads(table.schema.metadata[flow_log.METADATA])
    about["schema"] = re.sub(r"\d+$", str(version), about["schema"])
    parquet.write_table(table.replace_schema_metadata({flow_log.METADATA: json.dumps(about)}), path)


def _bundle(directory: Path) -> object:
    """A bundle; its weights are those of the shipped one of its name, of which the manifest holds the SHA-256."""
    _lend(directory, bundle.WEIGHTS)
    flows, records = (
        (feature_contract(), context_contract()),
        [kdd_contract(content=content) for content in (False, True)],
    )
    try:
        return bundle.load_bundle(directory, *flows, *records, MADE_CONTRACT)
    except bundle.BundleError as error:
        raise RefusedError(str(error)) from error


def _baselines(directory: Path) -> object:
    """Baselines, beside the golden bundle of the same version and name, or of the newest."""
    _lend(directory, baselines.WEIGHTS)
    version = json.loads((directory / baselines.MANIFEST).read_text())["format"].rpartition("/")[2]
    beside = GOLDEN / "flowvigil-bundle" / version / directory.name
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name, directory.name)
        shutil.copytree(beside if beside.exists() else PRETRAINED / directory.name, copy)
        hybrid: Any = _bundle(copy)
    try:
        return baselines.load_baselines(directory, hybrid)
    except bundle.BundleError as error:
        raise RefusedError(str(error)) from error


def _lend(directory: Path, weights: str) -> None:
    if not (directory / weights).exists():
        shutil.copy(PRETRAINED / directory.name / weights, directory / weights)


def _lines(path: Path) -> object:
    """Records, a line each, none of which may be left out."""
    errors = ReadErrors()
    with path.open("rb") as lines:
        records = [record for _, record in read_lines(lines, path.name, errors)]
    if not errors.whole:
        raise RefusedError("; ".join(errors.words()))
    if not records:
        raise RefusedError(f"{path.name} holds no record")
    return records


def _flow_log(path: Path) -> object:
    try:
        opened = open_flows(path)
        return list(opened.rows(opened.columns.names))
    except InputError as error:
        raise RefusedError(str(error)) from error


def _in_spool(directory: Path, version: int) -> None:
    (directory / spool_directory.VERSION).write_text(f"spool/{version}\n")


def _spool(directory: Path) -> object:
    """The lines of a spool of which one was confirmed."""
    try:
        spool = Spool(directory, 1 << 20)
    except OutputError as error:
        raise RefusedError(str(error)) from error
    lines = spool.take(1 << 20)
    spool.close()
    if len(lines) != 2 or spool.lost():
        raise RefusedError(f"{directory.name} holds {len(lines)} lines, expected 2")
    return lines


def _yaml(read: Callable[[Path], object], stop: type[Exception]) -> Callable[[Path], object]:
    def reader(path: Path) -> object:
        try:
            return read(path)
        except stop as error:
            raise RefusedError(str(error)) from error

    return reader


KINDS: Final = (
    Kind(bundle.FILES.format, "a bundle, its habits and site in it", _bundle, _in_manifest(bundle.MANIFEST)),
    Kind(baselines.FILES.format, "baselines beside a bundle", _baselines, _in_manifest(baselines.MANIFEST)),
    Kind(alert_record.FORMAT, "alert lines", _lines, _quoted),
    Kind(sensor_records.STATS_FORMAT, "accounts of a run", _lines, _quoted),
    Kind(sensor_records.EVENT_FORMAT, "events of a run", _lines, _quoted),
    Kind(drift_record.DRIFT_FORMAT, "records of drift", _lines, _quoted),
    Kind(flow_log.FORMAT, "flow logs, what `watch --learn` has heard among them", _flow_log, _in_parquet),
    Kind(spool_directory.FORMAT, "spools of outputs", _spool, _in_spool),
    Kind(settings_file.FORMAT, "settings", _yaml(lambda path: effective_config(path, {}), ConfigError), _in_yaml),
    Kind(site_file.FORMAT, "notes of a site", _yaml(site_file.read_notes, ConfigError), _in_yaml),
    Kind(fleet_file.FORMAT, "lists of a fleet's sensors", _yaml(fleet_file.read_fleet, ConfigError), _in_yaml),
    Kind(wanted.FORMAT, "which bundle each sensor should have", _yaml(wanted.read_wanted, InputError), _quoted),
    Kind(recipe.FORMAT, "recipes of training", _yaml(recipe.read_recipe, TrainingError), _in_yaml),
    Kind(lab_reading.FORMAT, "scenarios of the lab", _yaml(lab_reading.read_scenario, TrainingError), _in_yaml),
)
# Written, and read by no part of the product: other programs, or people, read them.
ONLY_WRITTEN: Final = (str(flow_record.FLOW_FORMAT), str(flow_record.LOGGED_FORMAT), "exploration/1", "flowvigil.lab/1")
# Read from a sensor that runs, by a client of the same release alone.
OF_ONE_RELEASE: Final = ("attach/1", "captures-run/3")


def golden(kind: Kind, version: int) -> list[Path]:
    """Files, or directories, that the code of a version wrote."""
    return sorted((GOLDEN / kind.written.kind / str(version)).glob("*"))


def read_copy(kind: Kind, path: Path, version: int | None = None) -> object:
    """What reading a copy gives, which says that it is of a version. Raises RefusedError."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name, path.name)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
        if version is not None:
            kind.as_version(copy, version)
        return kind.read(copy)


def older_is_read(_: float) -> Outcome:
    """Read every golden file of every version that is said to be read."""
    tries, failures = 0, []
    for kind in KINDS:
        for version in kind.written.versions:
            files = golden(kind, version)
            if not files:
                failures.append(f"{kind.written.kind}/{version}: there is no golden file of it")
            for path in files:
                tries += 1
                try:
                    read_copy(kind, path)
                except RefusedError as error:
                    failures.append(f"{kind.written.kind}/{version} {path.name}: {error}")
    return Outcome(tries, failures, f"{len(KINDS)} kinds, {sum(len(kind.written.versions) for kind in KINDS)} versions")


def other_is_refused_by_name(_: float) -> Outcome:
    """Have golden files say that they are of a version before the oldest, the next, and a far one."""
    tries, failures = 0, []
    for kind in KINDS:
        for version in (kind.written.oldest - 1, kind.written.version + 1, 999_999_999):
            for path in golden(kind, kind.written.version):
                tries += 1
                named = (f"{kind.written.kind}/{version}", str(kind.written))
                try:
                    read_copy(kind, path, version)
                    failures.append(f"{path.name} as {named[0]}: was read")
                except RefusedError as error:
                    told = str(error)
                    advice = "upgrade flowvigil" if version > kind.written.version else kind.written.instead
                    if not all(part in told for part in (*named, advice)) or "\n" in told:
                        failures.append(f"{path.name} as {named[0]}: {told!r}")
    return Outcome(tries, failures)


CLAIMS: Final = (
    Claim(
        "older-is-read",
        "What earlier releases wrote is read: files that their own code wrote, of every kind and version.",
        "files",
        older_is_read,
        minutes=0.3,
    ),
    Claim(
        "newer-is-refused",
        "What another release wrote and this one cannot read is refused in one line: its version, ours, what to do.",
        "files",
        other_is_refused_by_name,
        minutes=0.3,
    ),
)
