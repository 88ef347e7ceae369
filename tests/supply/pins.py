"""What a lock says: each package in one version (or one by marker), with the hashes of its files and who needs it."""

import re
from dataclasses import dataclass
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from tests.supply.environments import LOCKS

_VIA: Final = re.compile(r"^ +#(?: via)? +((?!via$)[A-Za-z0-9._-]+)$", re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True, slots=True)
class Pin:
    """A package of a lock."""

    name: NormalizedName
    version: Version
    marker: Marker | None  # where it is installed at all; None: everywhere
    hashes: tuple[str, ...]  # SHA-256 in hexadecimal, of each wheel and source package of the version
    needed_by: tuple[NormalizedName, ...]  # other packages of the lock; `flowvigil` where setup.cfg names it

    def holds(self, platform: dict[str, str]) -> bool:
        """Whether it is installed where the markers of PEP 508 have these values."""
        return self.marker is None or self.marker.evaluate(dict(platform))


def read(environment: str) -> list[Pin]:
    """The pins of an environment's lock. Raises ValueError at a line that is no pin with hashes."""
    text = (LOCKS / f"{environment}.txt").read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    return [_pin(block) for block in blocks]


def _pin(block: str) -> Pin:
    line, rest = block.split(" \\\n", 1)
    requirement = Requirement(line)
    versions = [specifier for specifier in requirement.specifier if specifier.operator == "=="]
    hashes = tuple(_HASH.findall(rest))
    if len(versions) != 1 or not hashes:
        raise ValueError(f"no pin with hashes: {line}")
    needed_by = tuple(canonicalize_name(name) for name in _VIA.findall(rest))
    return Pin(canonicalize_name(requirement.name), Version(versions[0].version), requirement.marker, hashes, needed_by)
