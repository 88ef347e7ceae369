"""What each sensor of a fleet should run on: bundles by their hash, and which sensor is to have which.

`flowvigil promote --fleet` writes it beside the list of the fleet, whoever rolls bundles out reads it (and so does
`flowvigil check --fleet` on a sensor), and the accounts of the sensors are held to it. A bundle lies beside it in a
directory that is named by its hash and never changed.
"""

import os
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from configs.formats import Format, OtherVersionError
from sensor.errors import InputError, OutputError, reason_of
from sensor.files.bounded import read_bounded
from sensor.files.unfinished import whole_file
from sensor.printable import printable

FORMAT: Final = Format("fleet-wanted", instead="write it anew: flowvigil promote --fleet")
LIMIT_BYTES: Final = 1 << 24
_HASH_LETTERS: Final = 64


@dataclass(frozen=True, slots=True)
class WantedBundle:
    """A bundle that sensors should have."""

    id: str  # its name
    weights_sha256: str  # of its weights, which alerts name
    directory: str  # where it lies, below the file that says this
    files: Mapping[str, str]  # SHA-256 of each of its files, by name
    made_of_sha256: str  # of the manifest of the bundle that was promoted, before it kept why
    signed: bool = False  # whether a signature lies beside its manifest


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sensor should have which bundle."""

    sensors: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of a manifest, by name of the sensor
    bundles: Mapping[str, WantedBundle] = field(default_factory=dict)  # by that hash

    def of(self, sensor: str) -> str | None:
        """SHA-256 of the manifest that a sensor should run on, None where nothing is said of it."""
        return self.sensors.get(sensor)

    def weights_of(self, sensor: str) -> str | None:
        """SHA-256 of the weights of that bundle, None where nothing is said of it."""
        bundle = self.bundles.get(self.sensors.get(sensor, ""))
        return None if bundle is None else bundle.weights_sha256


NOTHING_WANTED: Final = Wanted()


def wanted_path(fleet: Path) -> Path:
    """The file that belongs to a list of a fleet: beside it."""
    return fleet.with_name(f"{fleet.stem}.wanted.json")


def bundles_path(fleet: Path) -> Path:
    """The directory of the bundles of a fleet: beside its list."""
    return fleet.with_name(f"{fleet.stem}.bundles")


def read_wanted(path: Path) -> Wanted:
    """What a file says, nothing where there is none. Raises InputError, one line."""
    try:
        content = read_bounded(path, LIMIT_BYTES)
    except FileNotFoundError:
        return NOTHING_WANTED
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}, expected what each sensor of a fleet should have") from error
    try:
        document = orjson.loads(content)
        FORMAT.version_of(document.get("schema") if isinstance(document, dict) else None)
        return _wanted(document)
    except (OtherVersionError, ValueError, TypeError, KeyError, AttributeError) as error:
        told = str(error) if isinstance(error, OtherVersionError) else f"found {printable(str(error), 120)}"
        raise InputError(
            f"{path}: {told}{'' if isinstance(error, OtherVersionError) else ', expected what promote --fleet writes'}"
        ) from error


def write_wanted(path: Path, wanted: Wanted) -> None:
    """Write it, whole or not at all. Raises OutputError."""
    document = {
        "schema": str(FORMAT),
        "sensors": dict(wanted.sensors),
        "bundles": {sha256: asdict(bundle) for sha256, bundle in wanted.bundles.items()},
    }
    try:
        with whole_file(path) as stream:
            stream.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason_of(error)}") from error


def _wanted(document: Mapping[str, Any]) -> Wanted:
    sensors = {_text(name): _hash(sha256) for name, sha256 in document["sensors"].items()}
    bundles = {_hash(sha256): _bundle(said) for sha256, said in document["bundles"].items()}
    missing = next((sha256 for sha256 in sensors.values() if sha256 not in bundles), None)
    if missing is not None:
        raise ValueError(f"no bundle {missing}")
    return Wanted(sensors, bundles)


def _bundle(said: Mapping[str, Any]) -> WantedBundle:
    directory = _text(said["directory"])
    if os.path.isabs(directory) or ".." in Path(directory).parts:
        raise ValueError(f"directory {directory!r}")
    files = {_text(name): _hash(sha256) for name, sha256 in said["files"].items()}
    return WantedBundle(
        _text(said["id"]),
        _hash(said["weights_sha256"]),
        directory,
        files,
        _hash(said["made_of_sha256"]),
        said["signed"] is True,
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 4096:
        raise ValueError(f"{reprlib.repr(value):.60}")
    return value


def _hash(value: object) -> str:
    if not isinstance(value, str) or len(value) != _HASH_LETTERS or not all(c in "0123456789abcdef" for c in value):
        raise ValueError(f"{reprlib.repr(value):.60} where a SHA-256 stands")
    return value
