"""Which files are NSL-KDD's or KDD'99's, told by their content; a name only says which are worth opening."""

import os
from collections.abc import Callable
from pathlib import Path

from flows.kdd.columns import FLAGS, PROTOCOLS
from flows.kdd.header import NAMES, plain
from training.datasets.kdd_header import is_arff
from training.datasets.packed import first_bytes, line_blocks, unreadable
from training.datasets.partitions import is_pattern, named_by
from training.datasets.text import MAX_COLUMNS, PARQUET_MAGIC

ENDINGS = (*(kind + pack for kind in (".txt", ".csv", ".data") for pack in ("", ".gz", ".zst")), ".parquet")
# How KDD'99 names its files: kddcup.data_10_percent.gz, corrected.gz.
BEGINNINGS = ("kddcup", "corrected")
# A table of flows has none of these names.
TELLING = frozenset({"protocol_type", "dst_host_srv_count", "srv_serror_rate"})
# So many columns less than all, and a file is still of this kind, though damaged.
LACKING = 3


def kdd_files(path: Path, report: Callable[[str], None]) -> list[Path]:
    """The file, or those of a pattern or below a directory in the order of their names, that hold such records.

    May be none. Of a pattern all do where one does: whoever named the others hears from the reader what is wrong with
    them. Files of a directory that do not are reported where some do. Raises DatasetError for what cannot be read.
    """
    if is_pattern(path):
        files = named_by(path)
        return files if any(map(is_kdd, files)) else []
    if not os.path.isdir(path):
        return [path] if is_kdd(path) else []

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or path), error)

    found = [Path(root, name) for root, _, names in os.walk(path, onerror=refuse) for name in names]
    found.sort(key=lambda file: file.relative_to(path).parts)
    files = [file for file in found if _worth_opening(file) and is_kdd(file)]
    for file in found if files else ():
        if file not in files:
            report(f"skipped {file}: holds no NSL-KDD or KDD'99 records")
    return files


def is_kdd(path: Path) -> bool:
    """Whether a file begins as one of this kind, ARFF among them (which the reader then refuses with its reason).

    Raises DatasetError for what cannot be read.
    """
    cells = first_cells(path)
    if is_arff(cells) or {plain(cell) for cell in cells} >= TELLING:
        return True
    return len(cells) >= len(NAMES) - LACKING and (cells[1].lower() in PROTOCOLS or cells[3] in FLAGS)


def first_cells(path: Path) -> tuple[str, ...]:
    """Cells of a file's first line that is not empty; one empty cell of an empty file. Raises DatasetError."""
    if first_bytes(path, 4) == PARQUET_MAGIC:
        return _parquet_names(path)
    block = next(line_blocks(path), b"").lstrip(b"\xef\xbb\xbf \r\n")
    line = block.partition(b"\n")[0].decode(errors="replace")
    return tuple(cell.strip(' "\r') for cell in line.split(",", MAX_COLUMNS))


def _parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return tuple(parquet.read_schema(path).names) or ("",)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError):  # as training.datasets.text has them
        return ("",)  # the reader says what is broken


def _worth_opening(file: Path) -> bool:
    named = file.name.endswith(ENDINGS) or file.name.startswith(BEGINNINGS)
    return named and not file.name.startswith(".") and os.path.isfile(file)
