"""One file of flows, read once from top to bottom: values as they were written, and all that decides about repairs.

It repairs no value: which program measured a file is only known at its end (training.datasets.programs).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.columns import INDEX, NAMES
from flows.dialects import DIALECTS
from training import memory
from training.arrays import Int64s, Values
from training.datasets.headers import LABEL, Header, recognise
from training.datasets.packed import sha256_of
from training.datasets.programs import Evidence, evidence
from training.datasets.repairs import RATES
from training.datasets.rows import Rows
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
        self._codes: dict[str | None, int] = {}  # by spelling, None: of a file without labels

    def code(self, label: str) -> int:
        """The label's code, one whatever its case, blanks and dashes; it is called as it is spelled first.

        Raises KeyError for one that neither the map nor the vocabulary has.
        """
        spelled = self.relabelling.vocabulary.spelled(label)
        if spelled not in self._codes:
            # All rows take as much memory as the longest name: a million blanks within one would fill a disk.
            self._codes[spelled] = self._added(" ".join(label.split()), self.relabelling.line(label))
        return self._codes[spelled]

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


NOTES = 7  # words of a row that say what Notes do


@dataclass(frozen=True, slots=True)
class Notes:
    """What rows say besides their values: n rows, the columns of one array."""

    words: Int64s  # (n, NOTES), usually in a file

    @property
    def line(self) -> Int64s:
        """As in TextTable, (n,)."""
        return self.words[:, 0]

    @property
    def start_ns(self) -> Int64s:
        """(n,), 0 where the file has no times."""
        return self.words[:, 1]

    @property
    def host(self) -> Int64s:
        """(n, 2), 0 where the file has no addresses."""
        return self.words[:, 2:4]

    @property
    def dst_port(self) -> Int64s:
        """(n,)."""
        return self.words[:, 4]

    @property
    def label(self) -> Int64s:
        """Codes, (n,)."""
        return self.words[:, 5]

    @property
    def digest(self) -> NDArray[np.uint64]:
        """Equal in rows whose text is equal, (n,)."""
        return self.words[:, 6].view(np.uint64)


@dataclass(frozen=True, slots=True)
class FlowFile:
    """One file of flows that was read, without its values."""

    path: Path
    sha256: str
    header: Header
    begin: int  # its first row among those of all files
    end: int  # the row after its last one
    evidence: Evidence  # of all of its values


@dataclass(frozen=True, slots=True)
class FlowRows:
    """The rows of files one after the other, in temporary files."""

    values: Rows  # (n, len(NAMES)) float64
    notes: Rows  # (n, NOTES) int64

    def blocks(self, file: FlowFile) -> Iterator[tuple[int, Values, Notes]]:
        """The rows of a file some at a time, with the first one's number. What is changed there is kept."""
        both = zip(self.values.blocks(file.begin, file.end), self.notes.blocks(file.begin, file.end), strict=True)
        for (first, values), (_, words) in both:
            yield first, values, Notes(words)


def read_flow_file(
    path: Path, rows: FlowRows, labels: LabelCodes, repairs: Repairs, report: Report, constants: Mapping[str, str]
) -> FlowFile:
    """Read a file and append its values, as written, to rows. Raises DatasetError with line and column, and OSError.

    constants: columns of one text each that the file does not have, by name.
    """
    begin = len(rows.values)
    header: Header | None = None
    found = Evidence()
    digest = sha256_of(path)
    for table in text_tables(path, repairs, constants=constants):
        if header is None:
            header = recognise(table)
            times = StartTimes(header.dialect.name)
        told = len(rows.values) // TOLD_EVERY
        text = header.over(table)
        values = _values(text, header)
        rows.notes.append(_notes(text, header, times, labels))
        found += evidence(values)
        rows.values.append(values)
        memory.check(f"reading {path.name}")
        if len(rows.values) // TOLD_EVERY > told:
            report(f"  {len(rows.values):,} flows read")
    if header is None:
        raise DatasetError(path, "has a header and no rows; expected flows below it", line=1)
    file = FlowFile(path, digest, header, begin, len(rows.values), found)
    if header.has_times and times.lack_halves:
        _settle(file, rows, times, repairs)
    return file


def _settle(file: FlowFile, rows: FlowRows, times: StartTimes, repairs: Repairs) -> None:
    """Have the times of a file be those that all of them together tell."""
    settled = times.settled(np.concatenate([notes.start_ns for _, _, notes in rows.blocks(file)]), repairs)
    for first, _, notes in rows.blocks(file):
        notes.start_ns[:] = settled[first - file.begin : first - file.begin + len(notes.words)]


def _values(text: TextTable, header: Header) -> NDArray[np.float64]:
    fields = [field for field in header.names if field in INDEX]
    infinite = frozenset(header.names[field] for field in RATES if field in header.names)
    values = np.zeros((len(text), len(NAMES)))
    values[:, [INDEX[field] for field in fields]] = text.numbers([header.names[field] for field in fields], infinite)
    return values


def _notes(text: TextTable, header: Header, times: StartTimes, labels: LabelCodes) -> Int64s:
    """(n, NOTES) of some rows."""
    words = np.zeros((len(text), NOTES), dtype=np.int64)
    notes = Notes(words)
    notes.line[:] = text.line
    # Places of bad cells are told in the order of the checks, values before these.
    if header.has_times:
        notes.start_ns[:] = times.read(text, header.names["start"])
    if header.has_hosts:
        notes.host[:] = _hosts(text, header.names["src_address"])
    notes.dst_port[:] = _ports(text, header.names.get("dst_port"))
    notes.label[:] = _labels(text, header.names.get(LABEL), labels)
    notes.digest[:] = _digests(text)
    return words


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
