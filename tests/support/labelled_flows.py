"""One labelled file of flows, with any public header, in its own order (training.datasets.collection reads several)."""

from pathlib import Path

import numpy as np

from training.datasets.collection import read_files
from training.datasets.table import FlowTable, require_labels


def read_cic(path: Path) -> FlowTable:
    """Labelled flows of a file: as read_flows, and raises DatasetError for a flow that nobody has labelled."""
    table = read_flows(path)
    require_labels(table)
    return table


def read_flows(path: Path) -> FlowTable:
    """Flows of a file in the order of the file, else as training.datasets.collection.read_dataset."""
    return read_files(path, [path], lambda start_ns: np.arange(len(start_ns)), lambda _: None)
