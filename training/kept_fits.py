"""Finished fits of a run, kept in a directory until it is over, so that an interrupted one goes on where it was."""

import hashlib
import shutil
from collections.abc import Callable
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
