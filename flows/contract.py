"""Feature contracts: which columns the rows of one kind have, in which order, and what stands in each.

A bundle keeps the digests of the columns that it uses. A program whose rows have those columns can run it, whatever
else they have and wherever the columns stand; one that means something else by a name cannot.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FeatureContract:
    """What rows of one kind are."""

    rows: str  # what they are called, for people
    columns: Mapping[str, str]  # digest of what each column means, by its name, in the order of the rows
    former: str  # hash of the whole table, by which bundles of format 1 name it; "" for one that is newer


def digest(meaning: Any, digits: int) -> str:
    """Hash of anything JSON can say, so many hexadecimal digits."""
    return hashlib.sha256(json.dumps(meaning, ensure_ascii=False).encode()).hexdigest()[:digits]
