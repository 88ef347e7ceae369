"""Bundles of an attacker: each is refused in one line, with exit code 4, or it works, and says nothing but numbers."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

import models
from sensor.errors import ModelError
from sensor.process.kernel_cache import use_kernel_cache
from tests.trust.claim import Claim, Outcome

use_kernel_cache()  # before the next imports, which bring numba

from tests.trust.bundle_use import loaded, use  # noqa: E402
from tests.trust.hostile_bundles import (  # noqa: E402
    HostileBundle,
    changed_bundles,
    file_bundles,
    paired_bundles,
    parts_of,
)

PRETRAINED: Final = Path(str(models.__file__)).parent / "pretrained"
SHIPPED: Final = ("default", "cic2017", "nsl-kdd-flow")
TRIES: Final = 2400
LONGEST_LINE: Final = 700  # characters
SEED: Final = 18


def hostile_bundles(count: int, seed: int, names: Sequence[str] = SHIPPED) -> Iterator[HostileBundle]:
    """About so many hostile bundles: of each kind of change some, and pairs of changes."""
    rng = np.random.default_rng(seed)
    of_each = count // len(names)
    for name in names:
        parts = parts_of(PRETRAINED / name)
        files, changed = file_bundles(PRETRAINED / name), changed_bundles(name, parts)
        yield from _some(files, of_each // 5, rng)
        yield from _some(changed, of_each * 3 // 5, rng)
        yield from paired_bundles(name, parts, of_each - of_each // 5 - of_each * 3 // 5, rng)


def _some(bundles: list[HostileBundle], count: int, rng: np.random.Generator) -> list[HostileBundle]:
    return [bundles[at] for at in rng.permutation(len(bundles))[:count]]


def tried(bundle: HostileBundle, directory: Path, every: int) -> tuple[bool, str]:
    """Whether a bundle works, and what is wrong with how it was taken, "" for nothing. every: as in demo_records."""
    shutil.rmtree(directory, ignore_errors=True)
    bundle.write(directory)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            use(loaded(directory), every)
    except ModelError as error:
        line = str(error)
        well_said = line.isprintable() and len(line) <= LONGEST_LINE and directory.name in line
        return False, "" if well_said else f"{bundle.name}: refused by {line!r:.200}"
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the claim is about
        return False, f"{bundle.name}: {type(error).__name__}: {error!s:.200}"
    return True, ""


def try_hostile(count: int, every: int, seed: int = SEED) -> Outcome:
    """Load and use so many hostile bundles."""
    failures, tries, working = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="flowvigil-") as work:
        for bundle in hostile_bundles(count, seed):
            works, fault = tried(bundle, Path(work) / "bundle", every)
            tries, working = tries + 1, working + works
            failures += [fault] if fault else []
    return Outcome(tries, failures, f"{tries - working - len(failures):,} refused, {working:,} work")


CLAIMS: Final = (
    Claim(
        "hostile-bundles",
        "A bundle that loads works, whatever is in it; any other is refused in one line with exit code 4",
        "bundles",
        lambda scale: try_hostile(round(TRIES * scale), every=20),
        minutes=3,
    ),
)
