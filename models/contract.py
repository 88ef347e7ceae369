"""Which rows a bundle can judge: those that have the columns it uses, each with the meaning that it was fitted on.

It does not know what a column means: a name and a digest is all it is told. Rows may have other columns too, and theirs
may stand in any order.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Protocol

from models.manifest import refuse


class Contract(Protocol):
    """What rows of one kind are."""

    @property
    def rows(self) -> str:
        """What they are called, for people."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Digest of what each column means, by its name, in the order of the rows."""

    @property
    def former(self) -> str:
        """Hash by which bundles of format 1 name it, of all its columns together; "" for one that is newer."""


def contract_hash(used: Mapping[str, str]) -> str:
    """Hash of the columns that a bundle uses, digests by names in any order: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(sorted(used.items())).encode()).hexdigest()[:16]


def fitting(used: Mapping[str, str], contracts: Sequence[Contract]) -> Contract:
    """Of these contracts the narrowest that has all the columns used, each with the same digest.

    Raises BundleError that names a column which is missing, or means something else.
    """
    lacking = [sum(name not in contract.columns for name in used) for contract in contracts]
    _, _, contract = min(
        zip(lacking, (len(contract.columns) for contract in contracts), contracts, strict=True),
        key=lambda choice: choice[:2],
    )
    for name, digest in used.items():
        if name not in contract.columns:
            refuse(f"uses column {name!r:.80}, which {contract.rows} do not have")
        if contract.columns[name] != digest:
            refuse(
                f"column {name!r:.80} has another unit or definition here ({contract.columns[name]}) "
                f"than where the bundle was fitted ({digest:.40})"
            )
    return contract


def of_former(fitted: str, contracts: Sequence[Contract]) -> Contract:
    """The contract that a manifest of format 1 names by the hash of a whole table. Raises BundleError."""
    for contract in contracts:
        if contract.former and contract.former == fitted:
            return contract
    known = " or ".join(repr(each.former) for each in contracts if each.former)
    refuse(f"fitted on feature contract {fitted!r:.80}, expected {known}")
