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

from tests.support.minisign import Signer  # noqa: E402
from tests.trust.bundle_use import check_judgement, extreme_steps, loaded, use  # noqa: E402
from tests.trust.hostile_bundles import (  # noqa: E402
    HostileBundle,
    changed_bundles,
    file_bundles,
    paired_bundles,
    parts_of,
    site_bundles,
)
from tests.trust.valid_bundles import valid_bundle  # noqa: E402

PRETRAINED: Final = Path(str(models.__file__)).parent / "pretrained"
SHIPPED: Final = ("default", "cic2017", "nsl-kdd-flow")
TRIES, EXTREME_TRIES, SIGNED_TRIES = 1200, 200, 1000
ROWS: Final = 64  # of extremes, by which a bundle is tried
SIGNED_FILES: Final = ("manifest.json", "weights.safetensors", "manifest.json.minisig")
# The first line of a signature is no part of what is signed: changes begin behind it.
UNTRUSTED: Final = len(b"untrusted comment: signature from minisign secret key\n")
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
        yield from _some(site_bundles(name, parts), of_each // 10, rng)
        yield from paired_bundles(name, parts, of_each - of_each // 5 - of_each * 3 // 5 - of_each // 10, rng)


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


def try_extremes(count: int, seed: int = SEED) -> Outcome:
    """So many bundles that load and are as extreme as they may be, by rows of whatever a float can be."""
    rng = np.random.default_rng(seed)
    parts = [parts_of(PRETRAINED / name) for name in SHIPPED]
    failures, rows = [], 0
    with tempfile.TemporaryDirectory(prefix="flowvigil-") as work:
        for number in range(count):
            valid_bundle(parts[number % len(parts)], rng).write(Path(work) / "bundle")
            try:
                hybrid = loaded(Path(work) / "bundle")
                for masked in (False, True)[: 1 + (hybrid.masking is not None)]:
                    steps = extreme_steps(rng, ROWS, len(hybrid.normal.columns), masked=masked)
                    check_judgement(hybrid, steps)
                    rows += len(steps)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what the claim is about
                failures.append(f"bundle {number}: {type(error).__name__}: {error!s:.200}")
    return Outcome(count, failures, f"{rows:,} rows of extremes, all scores in [0, 1]")


def try_signed(count: int, seed: int = SEED) -> Outcome:
    """Changes of a signed bundle, each of which has to be refused by the key."""
    rng = np.random.default_rng(seed)
    signer = Signer.of(seed)
    failures = []
    with tempfile.TemporaryDirectory(prefix="flowvigil-") as work:
        bundle = Path(shutil.copytree(PRETRAINED / "nsl-kdd-flow", Path(work) / "bundle"))
        signer.sign(bundle)
        loaded(bundle, signer.public)
        contents = {name: (bundle / name).read_bytes() for name in SIGNED_FILES}
        for number in range(count):
            name = SIGNED_FILES[number % len(SIGNED_FILES)]
            changed = changed_bytes(contents[name], rng, first=UNTRUSTED if name.endswith(".minisig") else 0)
            (bundle / name).write_bytes(changed)
            try:
                loaded(bundle, signer.public)
                failures.append(f"change {number} of {name} was taken")
            except ModelError:
                pass
            (bundle / name).write_bytes(contents[name])
    return Outcome(count, failures)


def changed_bytes(content: bytes, rng: np.random.Generator, first: int) -> bytes:
    """The content with one byte another, gone or more, from a place on."""
    at = int(rng.integers(first, len(content) - 1))
    kind = rng.integers(0, 4)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + b"0" + content[at:]
    return content[:at] + bytes([content[at] ^ int(rng.integers(1, 256))]) + content[at + 1 :]


CLAIMS: Final = (
    Claim(
        "hostile-bundles",
        "A bundle that loads works, whatever is in it; any other is refused in one line with exit code 4",
        "bundles",
        lambda scale: try_hostile(round(TRIES * scale), every=20),
        minutes=3,
    ),
    Claim(
        "finite-scores",
        "A bundle that loads gives scores and p-values within their range, whatever rows hold: NaN, infinity, any bits",
        "bundles",
        lambda scale: try_extremes(round(EXTREME_TRIES * scale)),
        minutes=0.5,
    ),
    Claim(
        "signed-bundles",
        "With a key set, no changed byte of a signed bundle is taken, and no bundle that the key has not signed",
        "changes",
        lambda scale: try_signed(round(SIGNED_TRIES * scale)),
        minutes=0.3,
    ),
)
