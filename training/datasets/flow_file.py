"""One file of flows, read once from top to bottom: values as they were written, and all that decides about repairs.

It repairs no value: which program measured a file is only known at its end (training.datasets.programs).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX, NAMES
from flows.dialects import DIALECTS
from training import memory
from training.arrays import Int64s
from training.datasets.headers import LABEL, Header, recognise
from training.datasets.packed import sha256_of
from training.datasets.programs import Evidence, evidence
from training.datasets.repairs import RATES
from training.datasets.rows import Rows, stacked
from training.datasets.table import UNLABELLED
from training.datasets.text import Repairs, TextTable, shown, text_tables
from training.datasets.times import StartTimes
from training.errors import DatasetError
from training.label_map import DROP, MappedLabel, Relabelling
from training.labels import cic_family
from training.reporting import Report

if TYPE_CHECKING:
    import polars as pl


NOT_LABELLED = frozenset(dialect.label for dialect in DIALECTS if dialect.label)
# Numbers of rows, which make no two rows different.
ROW_NUMBERS = frozenset({"id", "", "Unnamed: 0"})
TOLD_EVERY = 500_000  # rows
LARGEST_PORT = 65_535


class LabelCodes:
    """The labels met so far, each with a code: its place in the lists.

    names: what the table calls each, families: of each, None where only attempted, lines: of the map of labels that
    says how to read each, None where none does.
    """

    def __init__(self, relabelling: Relabelling) -> None:
        self.relabelling = relabelling
        self.names: list[str] = []
        self.families: list[str | None] = []
        self.lines: list[MappedLabel | None] = []
        self._codes: dict[str | None, int] = {}  # None: of a file without labels

    def code(self, label: str) -> int:
        """The label's code. Raises KeyError for one that neither the map nor the vocabulary has."""
        if label not in self._codes:
            self._codes[label] = self._added(label, self.relabelling.line(label))
        return self._codes[label]

    def unlabelled(self) -> int:
        """The code of rows of a file without labels."""
        if None not in self._codes:
            self._codes[None] = self._appended(UNLABELLED, UNLABELLED, None)
        return self._codes[None]

    def _added(self, label: str, line: MappedLabel | None) -> int:
        if line is not None and line.target != DROP:
            return self._appended(line.target, self.relabelling.vocabulary.family_of(line.target), line)
        if line is not None or label in NOT_LABELLED:
            return self._appended(label, UNLABELLED, line)
        if label == UNLABELLED:
            raise KeyError(label)
        return self._appended(label, cic_family(label), None)

    def _appended(self, name: str, family: str | None, line: MappedLabel | None) -> int:
        self.names.append(name)
        self.families.append(family)
        self.lines.append(line)
        return len(self.names) - 1


@dataclass(frozen=True, slots=True)
class Part:
    """What the rows of a file, or some of them, say besides their values: n rows."""

    line: Int64s  # (n,) int64, as in TextTable
    start_ns: Int64s  # (n,) int64, 0 where the file has no times
    host: Int64s  # (n, 2) int64, 0 where the file has no addresses
    dst_port: Int64s  # (n,) int64
    label: Int64s  # (n,) int64, codes
    digest: NDArray[np.uint64]  # (n,) uint64, equal in rows whose text is equal

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, slots=True)
class FlowFile:
    """One file of flows that was read, without its values."""

    path: Path
    sha256: str
    header: Header
    begin: int  # its first row among those of all files
    part: Part
    evidence: Evidence  # of all of its values

    @property
    def end(self) -> int:
        """The row after its last one."""
        return self.begin + len(self.part)


def read_flow_file(
    path: Path, rows: Rows, labels: LabelCodes, repairs: Repairs, report: Report, constants: Mapping[str, str]
) -> FlowFile:
    """Read a file and append its values, as written, to rows. Raises DatasetError with line and column, and OSError.

    constants: columns of one text each that the file does not have, by name.
    """
    begin = len(rows)
    header: Header | None = None
    found = Evidence()
    parts: list[Part] = []
    digest = sha256_of(path)
    for table in text_tables(path, repairs, constants=constants):
        if header is None:
            header = recognise(table)
            times = StartTimes(header.dialect.name)
        told = len(rows) // TOLD_EVERY
        text = header.over(table)
        values = _values(text, header)
        parts.append(_part(text, header, times, labels))
        found += evidence(values)
        rows.append(values)
        memory.check(f"reading {path.name}")
        if len(rows) // TOLD_EVERY > told:
            report(f"  {len(rows):,} flows read")
    if header is None:
        raise DatasetError(path, "has a header and no rows; expected flows below it", line=1)
    part = joined(parts)
    settled = times.settled(part.start_ns, repairs) if header.has_times else part.start_ns
    part = Part(part.line, settled, part.host, part.dst_port, part.label, part.digest)
    return FlowFile(path, digest, header, begin, part, found)


def joined(parts: list[Part]) -> Part:
    """Parts one after the other."""
    if len(parts) == 1:
        return parts[0]
    n = sum(map(len, parts))
    return Part(
        stacked((part.line for part in parts), (n,), np.dtype(np.int64)),
        stacked((part.start_ns for part in parts), (n,), np.dtype(np.int64)),
        stacked((part.host for part in parts), (n, 2), np.dtype(np.int64)),
        stacked((part.dst_port for part in parts), (n,), np.dtype(np.int64)),
        stacked((part.label for part in parts), (n,), np.dtype(np.int64)),
        stacked((part.digest for part in parts), (n,), np.dtype(np.uint64)),
    )


def _values(text: TextTable, header: Header) -> NDArray[np.float64]:
    fields = [field for field in header.names if field in INDEX]
    infinite = frozenset(header.names[field] for field in RATES if field in header.names)
    values = np.zeros((len(text), len(NAMES)))
    values[:, [INDEX[field] for field in fields]] = text.numbers([header.names[field] for field in fields], infinite)
    return values


def _part(text: TextTable, header: Header, times: StartTimes, labels: LabelCodes) -> Part:
    # Places of bad cells are told in the order of the checks, values before these.
    return Part(
        line=text.line,
        start_ns=times.read(text, header.names["start"]) if header.has_times else np.zeros(len(text), dtype=np.int64),
        host=_hosts(text, header.names["src_address"]) if header.has_hosts else np.zeros((len(text), 2), np.int64),
        dst_port=_ports(text, header.names.get("dst_port")),
        label=_labels(text, header.names.get(LABEL), labels),
        digest=_digests(text),
    )


def _digests(text: TextTable) -> NDArray[np.uint64]:
    """64 bits a row: of three million different rows, two are taken for equal once in four million datasets."""
    # By name: of two parts of a dataset, one may have its columns in another order.
    names = sorted((name, i) for i, name in enumerate(text.names) if name not in ROW_NUMBERS)
    compared = [str(i) for _, i in names]
    return text.frame.select(compared).hash_rows().to_numpy()


def _distinct(cells: "pl.Series") -> tuple[list[str], Int64s]:
    """The different cells, in the order in which they come, and which of them each row has."""
    import polars as pl

    distinct = cells.unique(maintain_order=True)
    places = pl.Series(range(len(distinct)), dtype=pl.Int64)
    return distinct.to_list(), cells.replace_strict(distinct, places).to_numpy()


def _hosts(text: TextTable, name: str) -> Int64s:
    """Source addresses as two signed words, high and low, as flows.batch holds them."""
    distinct, which = _distinct(text.text(name))
    words = np.empty((len(distinct), 2), dtype=np.int64)
    for i, found in enumerate(distinct):
        try:
            number = int(ip_address(found))
        except ValueError:
            raise text.error(
                f"{shown(found)} is not an address; expected one of IPv4 or IPv6", int(np.argmax(which == i)), name
            ) from None
        words[i] = _signed(number >> 64), _signed(number & (1 << 64) - 1)
    return words[which]


def _ports(text: TextTable, name: str | None) -> Int64s:
    if name is None:
        return np.full(len(text), -1, dtype=np.int64)
    ports = text.numbers([name])[:, 0]
    bad = (ports < 0) | (ports > LARGEST_PORT) | (ports % 1 != 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise text.error(f"{shown(text.text(name)[row])} is not a port number; expected 0 to 65535", row, name)
    return ports.astype(np.int64)


def _labels(text: TextTable, name: str | None, labels: LabelCodes) -> Int64s:
    if name is None:
        return np.full(len(text), labels.unlabelled(), dtype=np.int64)
    distinct, which = _distinct(text.text(name))
    codes = np.empty(len(distinct), dtype=np.int64)
    for i, found in enumerate(distinct):
        try:
            codes[i] = labels.code(found)
        except KeyError:
            relabelling, row = labels.relabelling, int(np.argmax(which == i))
            told = relabelling.unknown(shown(found)) if found else shown(found)
            raise text.error(f"unknown label {told}", row, name, relabelling.advice()) from None
    return codes[which]


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
