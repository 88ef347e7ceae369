"""Connections: flow records in, the 28 columns of KDD connection records that need no payload out.

What comes out is a function of the records alone, in whatever batches they come.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, REPORT, REPORTED_NS, SRC_PORT, FlowBatch, Identity, Values
from flows.block import Int64s
from flows.kdd.columns import kdd_columns
from flows.kdd.connections import C_CONNECTION, C_DURATION, write_connection
from flows.kdd.counts import count_host, count_last, count_service
from flows.kdd.services import service_table
from flows.kdd.windows import (
    H_NEWEST,
    H_WORDS,
    HOSTS,
    LAST_TO_HOST,
    W_CROWDED,
    W_FORGOTTEN,
    W_NUMBER,
    Order,
    add_host,
    empty_windows,
    enter,
    place_of,
)
from flows.layout import UNSET
from flows.lists import Heads, Links
from kernels.jit import entry


@entry
def run_connections(
    identity: Identity,
    values: Values,
    names: Int64s,
    recent: Int64s,
    services: Int64s,
    hosts: Int64s,
    order: Order,
    links: Links,
    queue: Heads,
    registers: Int64s,
    out: Values,
) -> None:
    """Columns of each record, in order; connections reported for the first time enter the windows."""
    for i in range(len(identity)):
        key, error, start_us = write_connection(identity, values, i, names, out)
        high, low, port = identity[i, DST_HIGH], identity[i, DST_LOW], identity[i, SRC_PORT]
        # what an active timeout has cut off has been reported before
        again = identity[i, REPORT] > 0 or values[i, C_CONNECTION] > values[i, C_DURATION]
        place = place_of(hosts, order, registers, high, low)
        row = np.int64(order[place]) if place >= 0 else UNSET
        newest = hosts[row * H_WORDS + H_NEWEST] if place >= 0 else 0
        count_host(recent, services, registers, newest, start_us, key, port, error, again, out, i)
        count_service(recent, services, hosts, registers, row, start_us, key, port, error, again, out, i)
        count_last(services, hosts, order, registers, place, key, port, error, again, out, i)
        if again:
            continue
        if row == UNSET:
            row = add_host(hosts, order, links, queue, registers, high, low)
        reported_us = identity[i, REPORTED_NS] // 1000
        enter(recent, services, hosts, links, queue, registers, row, start_us, reported_us, key, port, error)


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """Counts since the beginning."""

    entered: int  # connections
    forgotten_hosts: int  # destinations given up for others
    crowded_out: int  # connections that gave way to others within two seconds of their report


class Connections:
    """KDD connection records of one traffic; see flows.kdd.windows for what the windows count.

    hosts: destinations remembered, the last 255 connections of each; 2 KiB a destination.
    """

    def __init__(self, hosts: int = HOSTS) -> None:
        if hosts <= LAST_TO_HOST:
            raise ValueError(f"hosts is {hosts}, expected more than {LAST_TO_HOST}")
        self._names = service_table()
        self._windows = empty_windows(hosts)

    def columns(self, batch: FlowBatch) -> NDArray[np.float64]:
        """Records of a batch, (n, 28) float64 in the order of kdd_columns(content=False).

        Batches are given in the order that the meter reported them, each once. A later report of a flow has its
        columns too, counted at the flow's start, and does not enter the windows again.
        """
        out = np.zeros((len(batch), len(kdd_columns(content=False))), dtype=np.float64)
        identity, values = np.ascontiguousarray(batch.identity), np.ascontiguousarray(batch.values)
        run_connections(identity, values, self._names, *self._windows, out)
        return out

    @property
    def given_up(self) -> int:
        """Destinations given up for others, and connections that gave way within two seconds of their report."""
        stats = self.stats
        return stats.forgotten_hosts + stats.crowded_out

    @property
    def stats(self) -> ConnectionStats:
        """Counts up to now."""
        registers = self._windows[-1]
        return ConnectionStats(int(registers[W_NUMBER]), int(registers[W_FORGOTTEN]), int(registers[W_CROWDED]))
