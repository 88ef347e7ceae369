"""Flow tables of several networks as one, each with the reports of its flows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flows.context.columns import CONTEXT_NAMES, without_context
from training.datasets.rows import blocks, stacked, taken, together
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
    shape = (len(table), len(table.names) + len(CONTEXT_NAMES))
    parts = (without_context(table.values[rows]) for rows in blocks(len(table)))
    values = stacked(parts, shape, np.dtype(np.float64))
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
    return replace(
        first,
        values=together([table.values for table in tables]),
        host=together([table.host for table in tables]),
        start_ns=together([table.start_ns for table in tables]),
        end_ns=together([table.end_ns for table in tables]),
        label=together([table.label for table in tables]),
        family=together([table.family for table in tables]),
        day=together([table.day for table in tables]),
        missing=tuple(sorted({name for table in tables for name in table.missing})),
        dst_port=together([table.dst_port for table in tables]),
        has_hosts=all(table.has_hosts for table in tables),
        has_times=all(table.has_times for table in tables),
        reported=_reports(tables),
    )


def _reports(tables: Sequence[FlowTable]) -> FlowReports:
    told = [table.reports() for table in tables]
    before = np.cumsum([0, *map(len, tables)])
    values = [
        taken(table.values, own.row) if own.values is None else own.values
        for table, own in zip(tables, told, strict=True)
    ]
    return FlowReports(
        row=together([own.row + first for own, first in zip(told, before[:-1], strict=True)]),
        known_ns=together([own.known_ns for own in told]),
        advances=together([own.advances for own in told]),
        values=together(values),
    )
