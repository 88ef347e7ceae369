"""Flow tables as tables to explore, and what is claimed of attacks on flows before any is looked at."""

import os
from pathlib import Path
from typing import Literal

import numpy as np

from flows.columns import COLUMNS, INDEX, usable_by_models
from training.datasets.collection import flow_files
from training.datasets.names import file_name
from training.datasets.partitions import is_pattern
from training.datasets.table import FlowTable
from training.errors import DatasetError
from training.explore.table import Coded, ExploredColumn, Hypothesis, LabelledTable, coded
from training.labels import BENIGN, TECHNIQUES

CATEGORIES = ("protocol", "icmp_code", "icmp_type")
PORT = "destination port"
NO_UNITS = ("number", "ratio")
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}
# Well known and registered ports name a service; those above are drawn by the client's system.
FIRST_DYNAMIC_PORT = 49_152

HYPOTHESES = (
    Hypothesis("Port scans have shorter flows than normal traffic.", "PortScan", "flow_duration", "less"),
    Hypothesis("Scanned hosts answer port scans with less payload.", "PortScan", "bwd_bytes", "less"),
    Hypothesis("Denial of service leaves longer gaps in its flows.", "DoS", "flow_iat_max", "greater"),
    Hypothesis("Denial of service draws larger answer packets.", "DoS", "bwd_packet_length_max", "greater"),
    Hypothesis("Denial of service sends more packets a second.", "DoS", "flow_packets_per_s", "greater"),
    Hypothesis("Distributed denial of service draws larger answers.", "DDoS", "bwd_packet_length_mean", "greater"),
    Hypothesis(
        "Password guessing repeats itself: its requests differ less in size.", "BruteForce", "fwd_bytes", "less", True
    ),
    Hypothesis(
        "Password guessing repeats itself: its answers differ less in size.", "BruteForce", "bwd_bytes", "less", True
    ),
    Hypothesis("Attacks on web applications hold connections longer.", "WebAttack", "flow_duration", "greater"),
    Hypothesis("Heartbleed draws more payload than normal requests do.", "Heartbleed", "bwd_bytes", "greater"),
    Hypothesis("Infiltration sends more payload out.", "Infiltration", "fwd_bytes", "greater"),
    Hypothesis("Botnet beacons carry little payload back.", "Botnet", "bwd_bytes", "less"),
    Hypothesis("Botnet beacons repeat themselves in size.", "Botnet", "fwd_bytes", "less", True),
)
PAIRS = (("fwd_bytes", "bwd_bytes"), ("flow_duration", "flow_packets_per_s"))


def table_of(flows: FlowTable) -> LabelledTable:
    """A flow table as the exploration takes it. Raises DatasetError for one without flows."""
    if not len(flows):
        raise DatasetError(flows.path, "has no flows but attempted attacks and unknown protocols; expected others")
    seen = usable_by_models(fingerprints=True)
    columns = tuple(
        ExploredColumn(
            column.name, "" if column.unit in NO_UNITS else column.unit, _kind(column.name), column.name in seen
        )
        for column in COLUMNS
    )
    return LabelledTable(
        name=file_name(flows.path),
        row="flow",
        files=_files(flows.path),
        columns=columns,
        values=flows.values,
        categories={"protocol": _protocols(flows), **_ports(flows)},
        aside=(PORT,),
        label=coded(flows.label),
        family=coded(flows.family),
        normal=BENIGN,
        part=coded(flows.day),
        part_is="day" if flows.has_times else "file",
        time_ns=flows.start_ns if flows.has_times else None,
        left_out=flows.left_out,
        techniques=TECHNIQUES,
        unfit=flows.missing,
        repairs={reason: number for reason, number in flows.repairs.items() if number},
        hypotheses=HYPOTHESES,
        pairs=PAIRS,
        sha256=flows.sha256,
        label_map=flows.label_map,
    )


def _files(path: Path) -> tuple[str, ...]:
    if not os.path.isdir(path) and not is_pattern(path):
        return (file_name(path),)
    return tuple(file_name(file, path) for file in flow_files(path, lambda _: None))


def _kind(name: str) -> Literal["number", "category"]:
    return "category" if name in CATEGORIES else "number"


def _protocols(flows: FlowTable) -> Coded:
    found = coded(flows.values[:, INDEX["protocol"]].astype(np.int64))
    return Coded(tuple(PROTOCOLS.get(int(name), f"protocol {name}") for name in found.names), found.codes)


def _ports(flows: FlowTable) -> dict[str, Coded]:
    """The destination port as a category; those of clients' own choosing are one."""
    if (flows.dst_port < 0).all():
        return {}
    found = coded(np.where(flows.dst_port < FIRST_DYNAMIC_PORT, flows.dst_port, FIRST_DYNAMIC_PORT))
    names = tuple("49152 and above" if int(name) == FIRST_DYNAMIC_PORT else name for name in found.names)
    return {PORT: Coded(tuple("unknown" if name == "-1" else name for name in names), found.codes)}
