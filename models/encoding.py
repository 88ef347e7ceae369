"""Encoding: records of numbers and symbols to the features that a detector was fitted on.

It is data, not code: a list of features, each with one operation out of OPERATIONS on columns of the record. It does
not know what a column means. Symbols are codes in the record; one that no table knows (negative, or beyond the table)
has the frequency 0 and is none of the values that a one-hot feature asks for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import objects, refuse, value_of

Values = NDArray[np.float64]

# How many columns an operation takes at least and at most, and how many parameters: None for any number above 0.
OPERATIONS: dict[str, tuple[int, int, int | None]] = {
    "value": (1, 1, 0),  # the column as it is
    "is": (1, 1, 1),  # 1 where the column equals the parameter, else 0
    "frequency": (1, 1, None),  # the column is a code; the parameters are what each code maps to
    "sum": (2, 64, 0),
    "mean": (2, 64, 0),
    "share": (2, 2, 0),  # first / (first + second), 0 where both are 0; columns are not negative
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature. Raises ValueError for what OPERATIONS does not allow."""

    name: str
    operation: str
    columns: tuple[int, ...]  # positions in the record
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(
                f"feature {self.name} is a {self.operation!r:.40}, expected one of {', '.join(OPERATIONS)}"
            )
        least, most, parameters = OPERATIONS[self.operation]
        if not least <= len(self.columns) <= most or any(column < 0 for column in self.columns):
            raise ValueError(
                f"feature {self.name} has columns {self.columns!r:.80}, expected {least} to {most} positions"
            )
        allowed = len(self.parameters) > 0 if parameters is None else len(self.parameters) == parameters
        if not allowed or not all(math.isfinite(parameter) for parameter in self.parameters):
            raise ValueError(f"feature {self.name} has {len(self.parameters)} parameters, or some that are not finite")

    def of(self, records: Values) -> Values:
        """The feature of each record, (n,)."""
        first = records[:, self.columns[0]]
        result: Values
        match self.operation:
            case "is":
                result = (first == self.parameters[0]).astype(np.float64)
            case "frequency":
                table = np.array((*self.parameters, 0.0))
                unknown = ~((first >= 0) & (first < len(self.parameters)))  # so is NaN
                result = table[np.where(unknown, len(self.parameters), first).astype(np.int64)]
            case "sum":
                result = records[:, self.columns].sum(axis=1)
            case "mean":
                result = records[:, self.columns].mean(axis=1)
            case "share":
                total = first + records[:, self.columns[1]]
                result = np.divide(first, total, out=np.zeros(len(records)), where=total > 0)
            case _:
                result = first
        return result


@dataclass(frozen=True, slots=True)
class Encoding:
    """Features of a record of so many columns. Raises ValueError for repeated names and columns it does not have."""

    width: int
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features or len({feature.name for feature in self.features}) != len(self.features):
            raise ValueError("an encoding has no features, or names one twice")
        for feature in self.features:
            if max(feature.columns) >= self.width:
                raise ValueError(f"feature {feature.name} has columns {feature.columns!r:.80} of {self.width}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    def encode(self, records: Values) -> Values:
        """(n, f) features of (n, width) records, finite where these are. Raises ValueError for another width."""
        if records.ndim != 2 or records.shape[1] != self.width:
            raise ValueError(f"records have shape {records.shape}, expected (n, {self.width})")
        out = np.empty((len(records), len(self.features)))
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers that no record has
            for i, feature in enumerate(self.features):
                out[:, i] = feature.of(records)
        return out


def described_encoding(encoding: Encoding, used: Sequence[int]) -> list[dict[str, Any]]:
    """The encoding as the section "encoding" of a bundle's manifest.

    used: positions in the record of the columns that the manifest lists. Raises ValueError for a feature of another.
    """
    place = {column: i for i, column in enumerate(used)}
    for feature in encoding.features:
        if not place.keys() >= set(feature.columns):
            raise ValueError(f"feature {feature.name} has columns {feature.columns!r:.80}, of which not all are used")
    return [
        {
            "name": feature.name,
            "operation": feature.operation,
            "columns": [place[column] for column in feature.columns],
            "parameters": list(feature.parameters),
        }
        for feature in encoding.features
    ]


def read_encoding(manifest: dict[str, Any], used: Sequence[int], width: int) -> Encoding:
    """The encoding that a manifest describes. Raises BundleError.

    used: positions in the record, of so many columns, of the columns that the manifest lists.
    """
    features = []
    for entry in objects(manifest, "encoding", "name operation columns parameters"):
        name, operation = value_of(entry, "name", str, "encoding"), value_of(entry, "operation", str, "encoding")
        if not (0 < len(name) <= 64 and name.isprintable()):
            refuse(f"feature {name!r:.80} is empty, longer than 64 or not printable")
        columns = value_of(entry, "columns", list, name)
        if not all(type(column) is int and 0 <= column < len(used) for column in columns):
            refuse(f"feature {name} has columns {columns!r:.80}, expected 0..{len(used) - 1}")
        numbers = value_of(entry, "parameters", list, name)
        parameters = tuple(value_of({"parameters": number}, "parameters", float, name) for number in numbers)
        try:
            features.append(Feature(name, operation, tuple(used[column] for column in columns), parameters))
        except ValueError as error:
            refuse(str(error))
    try:
        return Encoding(width, tuple(features))
    except ValueError as error:
        refuse(str(error))
