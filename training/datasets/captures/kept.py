"""Records of captures that an interrupted run has metered, kept in a directory until the run is over."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from flows.batch import IDENTITY_WIDTH, FlowBatch
from flows.columns import NAMES
from training.datasets.captures.metered import Metering


def kept_metering(directory: Path, meter: Metering, digests: Mapping[Path, str], versions: str) -> Metering:
    """A meter that takes over what it finds in the directory of captures with the same digest.

    digests: of each capture, by its path. versions: of the programs, whose change makes all else be metered anew.
    """

    def metered(capture: Path) -> tuple[FlowBatch, Sequence[str]]:
        key = hashlib.sha256(repr((digests[capture], versions, NAMES)).encode()).hexdigest()[:24]
        path = directory / f"{key}.npz"
        kept = _kept(path)
        if kept is not None:
            return kept
        records, problems = meter(capture)
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f".{key}.new"
        with fresh.open("wb") as out:
            np.savez(out, identity=records.identity, values=records.values, problems=np.array(problems, dtype=np.str_))
        fresh.replace(path)  # whole or not at all
        return records, problems

    return metered


def _kept(path: Path) -> tuple[FlowBatch, Sequence[str]] | None:
    """None where there is nothing that can be used."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            identity, values, problems = (arrays[name] for name in ("identity", "values", "problems"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    rows = len(identity)
    if identity.shape != (rows, IDENTITY_WIDTH) or values.shape != (rows, len(NAMES)) or identity.dtype != np.int64:
        return None
    return FlowBatch(identity, values), problems.tolist()
