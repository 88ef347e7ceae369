"""What attacks move in the context of their flows, and that ordinary traffic does not: the generator's scenarios.

A shape is a few columns with bounds, in words. Most flows of the second half of its attacks have it, and next to none
of ordinary traffic, but for the scenarios that do what it says and are no attack: those are named with it.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest

from flows.block import block_of
from flows.context.columns import CONTEXT_NAMES
from flows.context.context import Context
from flows.meter import Meter, concatenate
from sensor.synth.catalogue import CATALOGUE, EVERYDAY
from sensor.synth.generate import generate
from sensor.synth.scenarios.normal import NORMAL

ORDINARY = (NORMAL, *EVERYDAY)
BLOCK = 4096
MOST, NEXT_TO_NONE = 0.75, 0.05
NONE: Mapping[str, float] = MappingProxyType({})


class Shape(NamedTuple):
    """Bounds of columns that flows of attacks have together."""

    attacks: tuple[str, ...]
    at_least: dict[str, float]
    at_most: Mapping[str, float] = NONE
    so_do: tuple[str, ...] = ()  # ordinary scenarios that have it as well

    def share(self, rows: dict[str, np.ndarray]) -> float:
        """Share of the rows that have the shape."""
        above = [rows[name] >= bound for name, bound in self.at_least.items()]
        below = [rows[name] <= bound for name, bound in self.at_most.items()]
        return float(np.all([*above, *below], axis=0).mean())


SHAPES = {
    "a fast scan of one host tries port after port in vain": Shape(
        ("portscan",), {"src_new_services_1m": 60, "src_failed_share_10s": 0.9, "link_new_services_day": 60}
    ),
    "a slow scan of one host does so over a day": Shape(
        ("slow-scan",), {"link_new_services_day": 30, "link_missed_share_day": 0.9}, {"src_flows_1m": 2}
    ),
    "a sweep meets many hosts that it never met, in vain": Shape(
        ("echo-sweep", "udp-sweep"), {"src_new_peers_10m": 30, "src_failed_share_10s": 0.8, "src_peers_per_port_10m": 8}
    ),
    "a slow sweep does so over a day": Shape(
        ("slow-sweep",), {"src_missed_day": 30, "src_new_peers_day": 30, "src_failed_share_day": 0.9}
    ),
    "a flood from one source is a surge of flows without an answer to one service": Shape(
        ("synflood",), {"src_flows_1s": 50, "src_failed_share_10s": 0.8, "dst_surge": 10, "pair_flows_10s": 100}
    ),
    "a flood from forged sources is a surge from sources that are all new": Shape(
        ("forged-syn-flood",),
        {"dst_flows_10s": 200, "dst_surge": 10, "dst_new_source_share_10s": 0.9, "dst_failed_share_10s": 0.9},
    ),
    "a flood of requests is a surge from many, of flows that are alike": Shape(
        ("http-flood",), {"dst_flows_10s": 100, "dst_surge": 10, "dst_sources_10m": 50}, {"svc_sent_spread_10m": 0.2}
    ),
    "a reflection is packets that were not asked for and have no answer": Shape(
        ("reflection",), {"dst_unasked_share_10s": 0.9, "dst_packets_in_share_10s": 0.9, "dst_packets_in_10s": 100}
    ),
    "guessing is one short session after the other, all alike": Shape(
        ("ssh", "ssh-guessing", "ftp-guessing", "imaps-guessing", "rdp-guessing"),
        {"pair_flows_10m": 25, "pair_flows_10s": 2, "src_packets_10s": 20},
        {"pair_sent_spread": 0.5, "src_failed_share_10m": 0.1, "pair_age": 3600, "src_peers_10m": 1.5},
        so_do=("web-crawl",),
    ),
    "guessing by many is a service that many who are new to it use alike": Shape(
        tuple(f"{service}-guessing-by-many" for service in ("ssh", "ftp", "imaps", "rdp")),
        {"dst_sources_10m": 15, "svc_flows_10m": 15, "svc_surge": 1.5},
        {"svc_sent_spread_10m": 0.6},
    ),
    "a beacon comes in a beat to one host": Shape(
        ("tls-beacon", "tcp-beacon"),
        {"pair_gaps": 8, "pair_gap_mean": 10},
        {"pair_gap_spread": 0.45, "src_peers_10m": 1.5, "src_failed_share_day": 0.2},
        so_do=("cloud-heartbeats", "devices"),
    ),
    "a tunnel through a resolver has questions that carry data": Shape(
        ("dns-tunnel",),
        {"pair_sent_mean": 1000, "pair_sent_day": 20_000},
        {"pair_sent_share_day": 0.5, "pair_packet_bytes_day": 300},
    ),
    "data that leaves is much, and little comes back": Shape(
        ("slow-exfiltration",),
        {"pair_sent_day": 1e6, "pair_sent_share_day": 0.95, "src_sent_share_day": 0.95},
        so_do=("backups",),
    ),
    "a channel that is kept open lasts, in small packets, and tells more than it is told": Shape(
        ("held-channel",),
        {"pair_open_day": 600, "pair_sent_share_day": 0.5},
        {"pair_packet_bytes_day": 100, "pair_flows_day": 3},
        so_do=("announcements", "devices"),
    ),
}


@cache
def rows_of(name: str) -> dict[str, np.ndarray]:
    """Context of the second half of a scenario's flow records, by column."""
    scenario = next(scenario for scenario in CATALOGUE if scenario.name == name)
    packets = generate([scenario], seed=3).packets
    meter, context = Meter(65_536, news_only=True), Context(65_536, 1)
    batches = [
        meter.feed(block_of([p.frame for p in packets[i : i + BLOCK]], [p.ts_ns for p in packets[i : i + BLOCK]]))
        for i in range(0, len(packets), BLOCK)
    ]
    rows = context.observe(concatenate([*batches, meter.drain()]))
    rows = rows[len(rows) // 2 :]
    return {column: rows[:, k] for k, column in enumerate(CONTEXT_NAMES)}


@pytest.mark.parametrize("words", SHAPES)
def test_an_attack_moves_the_columns_that_tell_it(words: str) -> None:
    shape = SHAPES[words]
    assert {name: share for name in shape.attacks if (share := shape.share(rows_of(name))) < MOST} == {}


@pytest.mark.parametrize("words", SHAPES)
def test_ordinary_traffic_does_not_move_them_together(words: str) -> None:
    shape = SHAPES[words]
    shares = {scenario.name: shape.share(rows_of(scenario.name)) for scenario in ORDINARY}
    assert {name for name, share in shares.items() if share > NEXT_TO_NONE} == set(shape.so_do), shares
