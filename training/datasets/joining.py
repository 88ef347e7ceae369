"""Flow tables of several networks as one, each with the reports of its flows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flows.context.columns import CONTEXT_NAMES, without_context
from training.datasets.rows import stacked, taken
from training.datasets.table import FlowTable
from training.sequences import FlowReports


def as_network(table: FlowTable, number: int, *, sequences: bool) -> FlowTable:
    """A table beside captures: rows whose context nobody knows, hosts that are nobody else's.

    number: of the table, 0 or more; captures have such numbers for their hosts, tables negative ones. sequences: its
    hosts have sequences; else each flow is of a host of its own.
    """
    own = np.arange(len(table))
    if sequences and table.has_hosts:
        _, own = np.unique(table.host, axis=0, return_inverse=True)
    host = np.stack([np.full(len(table), -1 - number), own.reshape(-1)], axis=1).astype(np.int64)
    values = without_context(table.values)
    return replace(table, values=values, host=host, names=(*table.names, *CONTEXT_NAMES), has_hosts=True)


def joined(tables: Sequence[FlowTable]) -> FlowTable:
    """The flows of all tables, one table after the other; what is said of a file is said of the first one.

    Their columns are the same, and no host stands in two. Raises ValueError for other columns.
    """
    first = tables[0]
    if any(table.names != first.names for table in tables):
        raise ValueError("found tables with other columns, expected the same in each")
    if len(tables) == 1:
        return first
    rows, width = sum(map(len, tables)), len(first.names)
    return replace(
        first,
        values=stacked((table.values for table in tables), (rows, width), np.dtype(np.float64)),
        host=np.concatenate([table.host for table in tables]),
        start_ns=np.concatenate([table.start_ns for table in tables]),
        end_ns=np.concatenate([table.end_ns for table in tables]),
        label=np.concatenate([table.label for table in tables]),
        family=np.concatenate([table.family for table in tables]),
        day=np.concatenate([table.day for table in tables]),
        missing=tuple(sorted({name for table in tables for name in table.missing})),
        dst_port=np.concatenate([table.dst_port for table in tables]),
        has_hosts=all(table.has_hosts for table in tables),
        has_times=all(table.has_times for table in tables),
        reported=_reports(tables),
    )


def _reports(tables: Sequence[FlowTable]) -> FlowReports:
    told = [table.reports() for table in tables]
    before = np.cumsum([0, *map(len, tables)])
    values = (
        taken(table.values, own.row) if own.values is None else own.values
        for table, own in zip(tables, told, strict=True)
    )
    reports, width = sum(map(len, told)), len(tables[0].names)
    return FlowReports(
        row=np.concatenate([own.row + first for own, first in zip(told, before[:-1], strict=True)]),
        known_ns=np.concatenate([own.known_ns for own in told]),
        advances=np.concatenate([own.advances for own in told]),
        values=stacked(values, (reports, width), np.dtype(np.float64)),
    )
