"""What `flowvigil promote --fleet` does: a bundle beside the list of a fleet under its hash, and who should have it."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from models.bundle import MANIFEST, BundleError, is_signed
from models.fusion import Hybrid
from models.manifest import write_files
from sensor.cli.promoting import writer
from sensor.errors import ConfigError, ModelError, OutputError, reason_of
from sensor.files.digest import sha256_of
from sensor.files.replacing import BusyError, ReplacedDirectory
from sensor.files.unfinished import lock, scratch_directory
from sensor.fleet.file import Fleet, read_fleet
from sensor.fleet.wanted import Wanted, WantedBundle, bundles_path, read_wanted, wanted_path, write_wanted
from sensor.printable import printable
from sensor.settings.config import Config

_PATIENCE_S: Final = 10.0  # with another promotion that writes


@dataclass(slots=True)
class FleetPromotion:
    """A promotion to the sensors of a list, or of one group of it."""

    path: Path  # of the list
    group: str | None
    fleet: Fleet
    wanted: Wanted

    @classmethod
    def of(cls, path: Path, group: str | None) -> "FleetPromotion":
        """Read the list, and what its sensors should have until now. Raises ConfigError, InputError."""
        fleet = read_fleet(path)
        if group is not None and group not in fleet.groups:
            known = ", ".join(fleet.groups) or "none"
            raise ConfigError(f"{path}: found no sensor of group {printable(group, 64)!r}, expected one of: {known}")
        return cls(path, group, fleet, read_wanted(wanted_path(path)))

    @property
    def sensors(self) -> tuple[str, ...]:
        """Names of those that are meant."""
        meant = self.fleet if self.group is None else self.fleet.of_group(self.group)
        return tuple(sensor.name for sensor in meant.sensors)

    def known(self, challenger: Hybrid) -> str | None:
        """Hash under which a challenger lies there already, as it was compared before; None for one that does not."""
        own, bundles = challenger.manifest_sha256, self.wanted.bundles.items()
        known = (own, *(sha256 for sha256, bundle in bundles if bundle.made_of_sha256 == own))
        return next((sha256 for sha256 in known if os.path.isdir(bundles_path(self.path) / sha256)), None)

    def lay(self, challenger: Path, model: Hybrid, record: dict[str, Any], config: Config) -> str:
        """Write a challenger with the reasons into the directory of its hash, which this gives.

        Raises ModelError, OutputError.
        """
        with scratch_directory() as work, _refused(self.path):
            try:
                writer(challenger, model, record, config)(work)
            except BundleError as error:
                raise ModelError(str(error)) from error
            files = {path.name: path.read_bytes() for path in sorted(work.iterdir()) if os.path.isfile(path)}
            sha256 = hashlib.sha256(files[MANIFEST]).hexdigest()
            place = bundles_path(self.path) / sha256
            place.parent.mkdir(exist_ok=True)
            directory = ReplacedDirectory(Path(os.path.abspath(place)))
            with _alone(self.path), directory.locked():
                for leftover in place.parent.glob(".*.new-0"):  # of a killed run, whose hash none has again
                    shutil.rmtree(leftover)
                if not os.path.exists(place):
                    directory.create(lambda fresh: write_files(fresh, files))
        return sha256

    def want(self, sha256: str, model: Hybrid) -> Path:
        """Have the sensors that are meant want a bundle that lies there; the file that says so. Raises OutputError."""
        path = wanted_path(self.path)
        with _refused(self.path), _alone(self.path):
            self.wanted = read_wanted(path)  # while two bundles were compared others may have been promoted
            known = self.wanted.bundles.get(sha256) or self._described(sha256, model)
            sensors = {**self.wanted.sensors, **dict.fromkeys(self.sensors, sha256)}
            listed = {sensor.name for sensor in self.fleet.sensors}
            sensors = {name: wanted for name, wanted in sensors.items() if name in listed}
            bundles = {**self.wanted.bundles, sha256: known}
            used = {wanted: bundles[wanted] for wanted in dict.fromkeys(sensors.values())}
            self.wanted = replace(self.wanted, sensors=sensors, bundles=used)
            write_wanted(path, self.wanted)
        return path

    def _described(self, sha256: str, model: Hybrid) -> WantedBundle:
        place = bundles_path(self.path) / sha256
        files = {path.name: sha256_of(path) for path in sorted(place.iterdir()) if os.path.isfile(path)}
        return WantedBundle(
            model.model_id,
            model.sha256,
            f"{place.parent.name}/{place.name}",
            files,
            model.manifest_sha256,
            is_signed(place),
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other promotions to a list from writing beside it, which takes a moment. Raises BusyError, OSError."""
    deadline_s = time.monotonic() + _PATIENCE_S
    with path.open("rb") as stream:
        while True:
            try:
                lock(stream.fileno())
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise BusyError(f"another process holds {path}: try again when that has ended") from None
                time.sleep(0.01)
            else:
                break
        yield


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Raise OutputError for what keeps a bundle from being laid down."""
    try:
        yield
    except BusyError as error:
        raise OutputError(f"not laid down: {error}") from error
    except OSError as error:
        where = error.filename or bundles_path(path)
        raise OutputError(f"{path}: no bundle can be laid beside it: {where}: {reason_of(error)}") from error
