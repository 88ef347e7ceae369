"""An index of labelled captures: a CSV file that names each capture, its network and what is in it.

Columns, in any order: `path` (below the index's directory), `kind`, `network` or `source` (whose capture it is: the
unit that is left out of a fit), and where they say anything `group` (under which its figures are told), `expect` (of an
attack: ids of the ATT&CK techniques that an alert on it may name), `truth` (a CSV of flows.truth beside it), `sha256`
(of the capture unpacked, so that it may be packed as anyone likes).
A kind is `benign`, `attack` (labelled as a whole: which of its flows are the attack's nobody says) or `labelled` (its
truth says it of each flow). It opens no capture.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from training.datasets.packed import text_lines, unpacked_sha256
from training.errors import DatasetError, reason_of
from training.labels import TECHNIQUE_FAMILIES, parent_technique, technique_family

Kind = Literal["benign", "attack", "labelled"]

INDEX_NAME: Final = "index.csv"  # of the index where a directory is named
KINDS: Final = ("benign", "attack", "labelled")
REQUIRED: Final = ("path", "kind")
NETWORK_COLUMNS: Final = ("network", "source")  # one of them names the network
OPTIONAL: Final = ("group", "expect", "truth", "sha256")
EXPECTED: Final = f"an index of captures with the columns {', '.join(REQUIRED)} and network"
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LabelledCapture:
    """One capture of an index."""

    name: str  # its path as the index has it
    path: Path
    kind: Kind
    network: str
    group: str
    expect: frozenset[str]  # ids of ATT&CK techniques, parents, that an alert may name; of an attack alone
    family: str  # of the first technique expected (training.labels); "" where none is
    truth: Path | None  # what each flow is, of a labelled one alone
    sha256: str  # of the capture, unpacked


@dataclass(frozen=True, slots=True)
class CaptureIndex:
    """The captures of an index, in its order."""

    path: Path  # of the index
    captures: tuple[LabelledCapture, ...]
    sha256: str  # digest of the digests of all captures and truths

    @property
    def networks(self) -> tuple[str, ...]:
        """Each network once, in the order of their names."""
        return tuple(sorted({capture.network for capture in self.captures}))


def read_index(path: Path) -> CaptureIndex:
    """The captures of an index file, or of `index.csv` in a directory, each file compared with its digest.

    Raises DatasetError with line and column for an index that cannot be read or is wrong, and for files that are
    missing, lie outside of the index's directory, are named twice, or have another digest.
    """
    file = path / INDEX_NAME if os.path.isdir(path) else path
    captures: list[LabelledCapture] = []
    seen: dict[str, int] = {}
    digests: list[str] = []
    for line, row in _rows(file):
        capture = _capture(file, line, row)
        first = seen.setdefault(os.path.realpath(capture.path), line)
        if first != line:
            raise DatasetError(file, f"names {capture.name} again, as line {first} does", line=line, column="path")
        captures.append(capture)
        digests += [capture.sha256] if capture.truth is None else [capture.sha256, unpacked_sha256(capture.truth)]
    if not captures:
        raise DatasetError(file, "names no captures; expected a line for each")
    return CaptureIndex(file, tuple(captures), hashlib.sha256("".join(digests).encode()).hexdigest())


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with the line that each ends on, the network under its own name."""
    try:
        reader = csv.DictReader(text_lines(file), strict=True)
        network = _checked_header(file, list(reader.fieldnames or ()))
        for row in reader:
            if None in row or None in row.values():
                found = sum(value is not None for key, value in row.items() if key) + len(row.get(None) or ())
                problem = f"has {found} cells; expected {len(reader.fieldnames or ())}"
                raise DatasetError(file, problem, line=reader.line_num)
            cells = {name: value.strip() for name, value in row.items()}
            yield reader.line_num, {**cells, "network": cells[network]}
    except OSError as error:
        raise DatasetError(file, f"cannot be read ({reason_of(error)}); expected {EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(file, f"is not UTF-8 text (byte {error.start}); expected {EXPECTED}") from error
    except csv.Error as error:
        raise DatasetError(file, f"is no CSV ({error}); expected {EXPECTED}") from error


def _checked_header(file: Path, names: list[str]) -> str:
    """Which column names the network. Raises DatasetError for missing, unknown and repeated columns."""
    known = (*REQUIRED, *NETWORK_COLUMNS, *OPTIONAL)
    for name in names:
        if name not in known:
            problem = f"has the unknown column {name!r}; known are {', '.join(known)}"
            raise DatasetError(file, problem, line=1)
        if names.count(name) > 1:
            raise DatasetError(file, f"has the column {name!r} twice; expected it once", line=1)
    network = next((name for name in NETWORK_COLUMNS if name in names), None)
    if network is None or not set(REQUIRED) <= set(names):
        raise DatasetError(file, f"has the columns {', '.join(names) or 'of nothing'}; expected {EXPECTED}", line=1)
    return network


def _capture(file: Path, line: int, row: dict[str, str]) -> LabelledCapture:
    if row["kind"] not in KINDS:
        problem = f"has the kind {row['kind']!r}; expected {', '.join(KINDS)}"
        raise DatasetError(file, problem, line=line, column="kind")
    kind = cast("Kind", row["kind"])
    if not row["network"]:
        raise DatasetError(file, "names no network; expected whose capture it is", line=line, column="network")
    techniques = _techniques(file, line, kind, row.get("expect", ""))
    path = _file(file, line, "path", row["path"])
    return LabelledCapture(
        name=row["path"],
        path=path,
        kind=kind,
        network=row["network"],
        group=row.get("group") or kind,
        expect=frozenset(map(parent_technique, techniques)),
        family=technique_family(techniques[0]) if techniques else "",
        truth=_truth(file, line, kind, row.get("truth", "")),
        sha256=_digest(file, line, path, row.get("sha256", "")),
    )


def _techniques(file: Path, line: int, kind: Kind, text: str) -> list[str]:
    """The ids that stand in a cell. Raises DatasetError for one that no family holds, and for any but an attack's."""
    techniques = text.split()
    if techniques and kind != "attack":
        problem = f"expects {text}, which only an attack may; its kind is {kind}"
        raise DatasetError(file, problem, line=line, column="expect")
    for technique in techniques:
        try:
            technique_family(technique)
        except KeyError:
            problem = f"has the unknown technique {technique!r}; known are {', '.join(TECHNIQUE_FAMILIES)}"
            raise DatasetError(file, problem, line=line, column="expect") from None
    return techniques


def _truth(file: Path, line: int, kind: Kind, text: str) -> Path | None:
    if (kind == "labelled") != bool(text):
        problem = "names no truth of its flows" if not text else f"names a truth, though its kind is {kind}"
        raise DatasetError(file, f"{problem}; a labelled capture has one, no other", line=line, column="truth")
    return _file(file, line, "truth", text) if text else None


def _file(file: Path, line: int, column: str, text: str) -> Path:
    """A file that a cell names. Raises DatasetError unless it is one below the index's directory."""
    root = file.parent
    if not text or "\0" in text or not Path(os.path.realpath(root / text)).is_relative_to(os.path.realpath(root)):
        problem = f"names {text!r}, which is no file below {root}; expected a relative path"
        raise DatasetError(file, problem, line=line, column=column)
    path = root / text
    if not os.path.isfile(path):
        found = "is no file" if os.path.exists(path) else "is not there"
        raise DatasetError(file, f"names {text}, which {found}", line=line, column=column)
    return path


def _digest(file: Path, line: int, path: Path, expected: str) -> str:
    digest = unpacked_sha256(path)
    if expected and not _DIGEST.fullmatch(expected):
        problem = f"has the digest {expected!r:.80}; expected 64 hexadecimal digits in lower case"
        raise DatasetError(file, problem, line=line, column="sha256")
    if expected and digest != expected:
        problem = f"says sha256 {expected[:12]}… of {path.name}; found {digest[:12]}…, another file than was meant"
        raise DatasetError(file, problem, line=line, column="sha256")
    return digest
