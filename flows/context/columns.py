"""The column table of a flow record's context: what its source, its target and their services did before it.

"Over 60 s" is a count that fades: what is t seconds old weighs exp(−t / 60). What a record sees, and what counts as
before it, is said in flows.context.context. A link is a source and a target, a pair those and the service: the
target's port and protocol. Most are shares and ratios of what one network has to itself; counts are those of flows,
hosts and ports, which mean the same wherever they are seen. They are a part of the feature contract of their own: rows
without context, as tables of single flows are, have none of them.
"""

from functools import cache

import numpy as np

from flows.batch import Values
from flows.columns import NAMES, Column, feature_contract, reasons
from flows.contract import FeatureContract, digest

_NOWHERE = (None, None, None, None)  # no public table has them

# fmt: off
CONTEXT_COLUMNS: tuple[Column, ...] = (
    # How fast a source is, and whether faster than it was: floods and fast scans against what asks as often all day.
    Column("src_flows_1s", "flows", "model", "flows of the source, over 1 s", *_NOWHERE),
    Column("src_flows_10s", "flows", "model", "flows of the source, over 10 s", *_NOWHERE),
    Column("src_flows_1m", "flows", "model", "flows of the source, over 60 s", *_NOWHERE),
    Column("src_flows_10m", "flows", "model", "flows of the source, over 600 s", *_NOWHERE),
    Column("src_surge", "ratio", "model", "flows of the source: the rate over 10 s by that over 600 s, (1 + n10) / (1 + n600 / 60)", *_NOWHERE),
    # Who scans or has a wrong list asks in vain; of a day, for those that ask one thing in minutes.
    Column("src_failed_share_10s", "share", "model", "flows of the source without an answer / (1 + its flows), over 10 s", *_NOWHERE),
    Column("src_failed_share_10m", "share", "model", "flows of the source without an answer / (1 + its flows), over 600 s", *_NOWHERE),
    Column("src_failed_share_day", "share", "model", "flows of the source without an answer / (1 + its flows), over a day", *_NOWHERE),
    # Fan-out: who meets many that it never met, on one port or on any; a worm has one port, who shares files has many.
    Column("src_new_peers_10m", "hosts", "model", "targets that the source met for the first time, over 600 s", *_NOWHERE),
    Column("src_new_peers_day", "hosts", "model", "targets that the source met for the first time, over a day", *_NOWHERE),
    Column("src_new_peer_share_10m", "share", "model", "targets that the source met for the first time / (1 + its flows), over 600 s", *_NOWHERE),
    Column("src_new_services_1m", "services", "model", "services of targets that the source tried for the first time, over 60 s", *_NOWHERE),
    Column("src_missed_day", "services", "model", "services that the source tried for the first time and that did not answer, over a day", *_NOWHERE),
    Column("src_peers_10m", "hosts", "model", "distinct targets of the source in a window of 600 s or the one before", *_NOWHERE),
    Column("src_ports_10m", "ports", "model", "distinct ports that the source asked in a window of 600 s or the one before", *_NOWHERE),
    Column("src_peers_per_port_10m", "ratio", "model", "(1 + src_peers_10m) / (1 + src_ports_10m)", *_NOWHERE),
    # What leaves against what comes, and whether one flow is like the other, as those of a program are.
    Column("src_packets_10s", "packets", "model", "packets of the source, over 10 s", *_NOWHERE),
    Column("src_sent_share_10m", "share", "model", "bytes sent by the source / (1000 + bytes that its flows carried), over 600 s", *_NOWHERE),
    Column("src_sent_share_day", "share", "model", "bytes sent by the source / (1000 + bytes that its flows carried), over a day", *_NOWHERE),
    Column("src_size_spread_10m", "ln bytes", "model", "deviation of ln(1 + bytes sent) of the flows of the source over 600 s, and of one that deviates by 1", *_NOWHERE),
    # Load of a target, against what it was, and of how many: a flood of one, of many, and of forged sources, all new.
    Column("dst_flows_1s", "flows", "model", "flows to the target, over 1 s", *_NOWHERE),
    Column("dst_flows_10s", "flows", "model", "flows to the target, over 10 s", *_NOWHERE),
    Column("dst_flows_10m", "flows", "model", "flows to the target, over 600 s", *_NOWHERE),
    Column("dst_surge", "ratio", "model", "flows to the target: the rate over 10 s by that over 600 s, (1 + n10) / (1 + n600 / 60)", *_NOWHERE),
    Column("dst_failed_share_10s", "share", "model", "flows to the target without an answer / (1 + flows to it), over 10 s", *_NOWHERE),
    Column("dst_failed_share_10m", "share", "model", "flows to the target without an answer / (1 + flows to it), over 600 s", *_NOWHERE),
    Column("dst_new_sources_10s", "hosts", "model", "sources that the target met for the first time, over 10 s", *_NOWHERE),
    Column("dst_new_source_share_10s", "share", "model", "sources that the target met for the first time / (1 + flows to it), over 10 s", *_NOWHERE),
    Column("dst_new_sources_10m", "hosts", "model", "sources that the target met for the first time, over 600 s", *_NOWHERE),
    Column("dst_sources_10m", "hosts", "model", "distinct sources of the target in a window of 600 s or the one before", *_NOWHERE),
    Column("dst_flows_per_source_10m", "ratio", "model", "flows to the target over 600 s / (1 + dst_sources_10m)", *_NOWHERE),
    # Reflection: answers that nobody asked for, packets in and none out, and what is sent at a host.
    Column("dst_unasked_share_10s", "share", "model", "packets of answers that the target did not ask for / (1 + packets to it), over 10 s", *_NOWHERE),
    Column("dst_packets_in_10s", "packets", "model", "packets to the target, over 10 s", *_NOWHERE),
    Column("dst_packets_in_share_10s", "share", "model", "packets to the target / (1 + packets to it and from it), over 10 s", *_NOWHERE),
    Column("dst_received_share_10m", "share", "model", "bytes sent to the target / (1000 + bytes that flows to it carried), over 600 s", *_NOWHERE),
    # One source that tries one host's ports, however slowly.
    Column("link_new_services_day", "services", "model", "services of the target that the source tried for the first time, over a day", *_NOWHERE),
    Column("link_missed_share_day", "share", "model", "services of the target that did not answer at the first time / (1 + those tried), over a day", *_NOWHERE),
    # Whether this source was there before, and how often: guessing comes again and again, at once or all day.
    Column("pair_age", "s", "model", "since the first flow of the pair began, 0 for its first", *_NOWHERE),
    Column("pair_flows_10s", "flows", "model", "flows of the pair, over 10 s", *_NOWHERE),
    Column("pair_flows_10m", "flows", "model", "flows of the pair, over 600 s", *_NOWHERE),
    Column("pair_flows_day", "flows", "model", "flows of the pair, over a day", *_NOWHERE),
    Column("pair_packets_10s", "packets", "model", "packets of the pair both ways, over 10 s", *_NOWHERE),
    # A beat that people do not have: beacons.
    Column("pair_gaps", "gaps", "model", "gaps of a second or more between begins of the pair's flows, each weighing 15/16 with every further one", *_NOWHERE),
    Column("pair_gap_mean", "s", "model", "geometric mean of the gaps of pair_gaps, 0 without any", *_NOWHERE),
    Column("pair_gap_spread", "ln s", "model", "deviation of ln of the gaps of pair_gaps, and of two that deviate by 1", *_NOWHERE),
    # Flows that are alike, as guesses, beacons and tunnels are, and how large: long questions, short orders.
    Column("pair_sent_spread", "ln bytes", "model", "deviation of ln(1 + bytes sent) of the pair's flows, each weighing 15/16 with every further one, and of one that deviates by 1", *_NOWHERE),
    Column("pair_received_spread", "ln bytes", "model", "deviation of ln(1 + bytes received) of the pair's flows, weighed as in pair_sent_spread", *_NOWHERE),
    Column("pair_sent_deviation", "ln bytes", "model", "|ln(1 + bytes sent by this flow) - its mean of the pair's flows|, 0 without any", *_NOWHERE),
    Column("pair_sent_mean", "bytes", "model", "geometric mean of bytes sent by the pair's flows, 0 without any", *_NOWHERE),
    Column("pair_received_mean", "bytes", "model", "geometric mean of bytes received by the pair's flows, 0 without any", *_NOWHERE),
    # What leaves in a day, over how long: exfiltration at once or in parts, and channels that are kept open.
    Column("pair_sent_day", "bytes", "model", "bytes sent by the pair, over a day", *_NOWHERE),
    Column("pair_sent_share_day", "share", "model", "bytes sent by the pair / (1000 + bytes that it carried), over a day", *_NOWHERE),
    Column("pair_packet_bytes_day", "bytes", "model", "bytes that the pair carried / (1 + its packets), over a day", *_NOWHERE),
    Column("pair_open_day", "s", "model", "how long the pair's flows lasted, over a day", *_NOWHERE),
    # One service and all who use it: guessing and floods by many of whom each does little, a service that is down.
    Column("svc_flows_10m", "flows", "model", "flows to the service, over 600 s", *_NOWHERE),
    Column("svc_surge", "ratio", "model", "flows to the service: the rate over 10 s by that over 600 s, (1 + n10) / (1 + n600 / 60)", *_NOWHERE),
    Column("svc_new_source_share_10s", "share", "model", "sources that the service met for the first time / (1 + flows to it), over 10 s", *_NOWHERE),
    Column("svc_failed_share_10m", "share", "model", "flows to the service without an answer / (1 + flows to it), over 600 s", *_NOWHERE),
    Column("svc_sent_spread_10m", "ln bytes", "model", "deviation of ln(1 + bytes sent) of the flows to the service over 600 s, and of one that deviates by 1", *_NOWHERE),
    Column("svc_sources_10m", "hosts", "model", "distinct sources of the service in a window of 600 s or the one before", *_NOWHERE),
)
# fmt: on
CONTEXT_NAMES: tuple[str, ...] = tuple(column.name for column in CONTEXT_COLUMNS)


# Columns that say the same of one row in other stretches of time, or one thing by another: one reason of an alert.
SIBLINGS: tuple[tuple[str, ...], ...] = (
    ("src_flows_1s", "src_flows_10s", "src_flows_1m", "src_flows_10m", "src_surge", "src_packets_10s"),
    ("src_failed_share_10s", "src_failed_share_10m", "src_failed_share_day", "src_missed_day"),
    (
        *("src_new_peers_10m", "src_new_peers_day", "src_new_peer_share_10m"),
        *("src_new_services_1m", "src_peers_10m", "src_ports_10m", "src_peers_per_port_10m"),
    ),
    ("src_sent_share_10m", "src_sent_share_day"),
    ("dst_flows_1s", "dst_flows_10s", "dst_flows_10m", "dst_surge", "dst_flows_per_source_10m"),
    ("dst_failed_share_10s", "dst_failed_share_10m"),
    ("dst_new_sources_10s", "dst_new_source_share_10s", "dst_new_sources_10m", "dst_sources_10m"),
    ("dst_packets_in_10s", "dst_packets_in_share_10s"),
    ("link_new_services_day", "link_missed_share_day"),
    ("pair_age", "pair_flows_10s", "pair_flows_10m", "pair_flows_day"),
    (
        "pair_gaps",
        "pair_gap_mean",
        "pair_gap_spread",
    ),
    ("pair_sent_spread", "pair_received_spread", "pair_sent_deviation", "pair_sent_mean", "pair_received_mean"),
    ("pair_sent_day", "pair_sent_share_day", "pair_packet_bytes_day"),
    (
        "svc_flows_10m",
        "svc_surge",
    ),
    ("svc_new_source_share_10s", "svc_sources_10m"),
)


@cache
def context_contract() -> FeatureContract:
    """The contract of flow records with their context: the columns of flow records, and these after them."""
    meanings = {column.name: digest([column.name, column.unit, column.definition], 8) for column in CONTEXT_COLUMNS}
    columns = {**feature_contract().columns, **meanings}
    return FeatureContract("flow records with context", columns, former="")


def context_reasons() -> tuple[tuple[int, ...], ...]:
    """Positions of the columns that make one reason of an alert on flow records with context, as flows.columns.reasons.

    Those of the record itself come first; each column of its context is in exactly one, siblings together.
    """
    siblings = {name: group for group in SIBLINGS for name in group}
    together = {siblings.get(name, (name,)): None for name in CONTEXT_NAMES}
    place = {name: i for i, name in enumerate(CONTEXT_NAMES, len(NAMES))}
    return (*reasons(), *(tuple(sorted(place[name] for name in group)) for group in together))


def without_context(values: Values) -> Values:
    """Rows of the contract for flow records whose context nobody knows: NaN in its columns.

    values: (n, columns of flow records). A table that holds a part of the traffic has none: what its sources did before
    is not in it, and counts of what happens to be there would be invented.
    """
    return np.concatenate([values, np.full((len(values), len(CONTEXT_NAMES)), np.nan)], axis=1)
