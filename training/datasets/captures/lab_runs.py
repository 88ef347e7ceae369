"""Runs of the lab as labelled captures: a directory each, with what its router saw and whose each flow was.

The network of a run is its site, by the name of the scenario in its record, or the directory's name without a record.
"""

import json
import os
from pathlib import Path
from typing import Final

from training.datasets.captures.index import LabelledCapture
from training.datasets.names import file_name
from training.datasets.packed import opened, unpacked_sha256
from training.errors import DatasetError, reason_of

ROUTER, TRUTH, RECORD = "router.pcap", "truth.csv", "run.json"
MOST_RECORD: Final = 4 << 20  # bytes
EXPECTED: Final = f"runs of the lab, directories with {ROUTER} and {TRUTH} each (flowvigil lab run)"


def lab_runs(directory: Path, group: str) -> list[LabelledCapture]:
    """The runs below a directory in the order of their names, or the one that the directory is.

    group: under which their figures are told. Raises DatasetError where there are none, and for a run that lacks a file
    or whose record cannot be read.
    """
    try:
        runs = sorted(path for path in (directory, *directory.iterdir()) if _is_run(path))
    except OSError as error:
        raise DatasetError(directory, f"cannot be read ({reason_of(error)}); expected {EXPECTED}") from error
    if not runs:
        raise DatasetError(directory, f"holds no run; expected {EXPECTED}")
    return [_run(run, group) for run in runs]


def _is_run(directory: Path) -> bool:
    return any(os.path.exists(directory / name) for name in (ROUTER, TRUTH))


def _run(directory: Path, group: str) -> LabelledCapture:
    for name in (ROUTER, TRUTH):
        if not os.path.isfile(directory / name):
            raise DatasetError(directory, f"has no {name}; expected {EXPECTED}")
    return LabelledCapture(
        name=f"{file_name(directory)}/{ROUTER}",
        path=directory / ROUTER,
        kind="labelled",
        network=_site(directory),
        group=group,
        expect=frozenset(),
        family="",
        truth=directory / TRUTH,
        sha256=unpacked_sha256(directory / ROUTER),
    )


def _site(directory: Path) -> str:
    path = directory / RECORD
    if not os.path.exists(path):
        return file_name(directory)
    try:
        with opened(path) as stream:
            record = json.loads(stream.read(MOST_RECORD))
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({reason_of(error)})") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(path, f"is no record of a run ({error!s:.80})") from error
    site = record.get("scenario") if isinstance(record, dict) else None
    if not isinstance(site, str) or not site.isprintable() or not 0 < len(site) <= 80:
        raise DatasetError(path, f"names the scenario {site!r:.80}; expected the name of the site")
    return site
