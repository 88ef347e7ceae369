"""Datasets of many files: which files a pattern names, and what the directories of a partitioned table say of its rows.

A directory `Label=DoS%20Hulk` says that the rows below it have this label (as Hive, Spark, Dask and pyarrow write it;
the files themselves lack the column then). It is a column where a table of flows may have one of that name, and else
nothing.
"""

import os
from collections.abc import Mapping
from functools import cache
from glob import glob, has_magic
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from flows.dialects import DIALECTS
from training.datasets.headers import LABEL
from training.errors import DatasetError

NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


def is_pattern(path: Path) -> bool:
    """Whether a path stands for all files that match it, and is not itself there."""
    return has_magic(str(path)) and not os.path.exists(path)


def named_by(pattern: Path) -> list[Path]:
    """The files that match, sorted by path; ** stands for directories of any depth. Raises DatasetError for none."""
    found = sorted((Path(name) for name in glob(str(pattern), recursive=True)), key=lambda path: path.parts)
    files = [path for path in found if os.path.isfile(path)]
    if not files:
        raise DatasetError(pattern, "matches no file; expected flow tables")
    return files


def partition_columns(file: Path, dataset: Path) -> Mapping[str, str]:
    """What the directories between a dataset and its file say, by name; of a file that a pattern names, all of them."""
    inside = file.parent.parts if is_pattern(dataset) else file.relative_to(dataset).parent.parts
    found = (part.partition("=") for part in inside)
    return {unquote(name): "" if text == NO_VALUE else unquote(text) for name, equals, text in found if equals and name}


def is_of_flows(name: str) -> bool:
    """Whether a table of flows may have a column of this name."""
    return name in _names() or name.lower() == LABEL


@cache
def _names() -> frozenset[str]:
    return frozenset(name.strip() for dialect in DIALECTS for name in dialect.header)
