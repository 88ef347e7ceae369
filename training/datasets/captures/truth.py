"""The truth of a labelled capture, flow by flow, as it stands in a file; flows.matching lays it beside the flows."""

import csv
from pathlib import Path
from typing import Final

from flows.truth import BENIGN, FlowTruth, read_truth
from training.datasets.packed import text_lines
from training.errors import DatasetError, reason_of
from training.labels import TECHNIQUE_FAMILIES, technique_family

UNKNOWN: Final = "unknown"  # technique of a flow that nobody accounts for


def truth_of(path: Path) -> list[FlowTruth]:
    """The truth in a file. Raises DatasetError for what cannot be read, and for a technique that no family holds."""
    try:
        truths = read_truth(text_lines(path))
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({reason_of(error)}); expected the truth of a capture") from error
    except (ValueError, TypeError, csv.Error) as error:  # a row with too few cells holds None for a number
        raise DatasetError(path, f"is no truth of a capture: {error}") from error
    for number, truth in enumerate(truths):
        if truth.technique in (BENIGN, UNKNOWN):
            continue
        try:
            technique_family(truth.technique)
        except KeyError:
            problem = f"has the unknown technique {truth.technique!r}; known are {', '.join(TECHNIQUE_FAMILIES)}"
            raise DatasetError(path, problem, line=number + 2, column="technique") from None
    return truths
