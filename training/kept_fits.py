"""Finished fits of a run, kept in a directory until it is over, so that an interrupted one goes on where it was."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.columns import feature_contract
from flows.context.columns import context_contract
from models.bundle import BundleError, load_bundle, save_bundle
from models.fusion import Hybrid
from training.reporting import Report
from training.versions import versions

UNFINISHED = ".unfinished"  # behind the name of a bundle or a page: the directory of what its run keeps


def own_directory(directory: Path) -> None:
    """Make the directory that a run keeps its fits in, where it is not there.

    Raises OSError for one that others may write to: what they lay there would be taken over.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & stat.S_IWOTH:
        raise OSError(errno.EPERM, f"{directory} is no directory of this user's own", str(directory))


@dataclass(frozen=True, slots=True)
class KeptFits:
    """Finished fits of one recipe on one dataset."""

    directory: Path
    text: str  # of the recipe
    dataset: str  # what tells it from another
    report: Report

    def fitted(self, name: str, key: Any, fit: Callable[[], Hybrid]) -> Hybrid:
        """What fit() gives, or what an interrupted run has kept of it.

        name: for people. key: what tells this fit from the others, anything with a repr.
        """
        told = repr((self.text, self.dataset, versions(), key))
        kept = self.directory / hashlib.sha256(told.encode()).hexdigest()[:16]
        try:
            hybrid = load_bundle(kept, feature_contract(), context_contract())
        except BundleError:
            hybrid = fit()
            save_bundle(kept, hybrid, hybrid.about)
            return hybrid
        self.report(f"{name}: taken over from an interrupted run")
        return hybrid

    def forget(self) -> None:
        """Drop all that was kept: the run is over."""
        shutil.rmtree(self.directory, ignore_errors=True)
