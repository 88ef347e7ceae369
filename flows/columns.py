"""The column table: every number a flow record carries, once, with its name in each public header dialect.

This table is the feature contract of flow records: a bundle keeps a digest of each column that it uses (flows.contract).
What each column means is CICFlowMeter's definition with its published errors corrected (Sharafaldin, Lashkari,
Ghorbani 2018; Engelen, Rimmer, Joosen 2021; Liu, Engelen, Lynar, Essam, Joosen 2022). Times are packet times in µs,
lengths come from IP headers.
"""

from dataclasses import astuple, dataclass
from functools import cache
from typing import Literal

from flows.contract import FeatureContract, digest

Use = Literal["model", "site", "duplicate", "never"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a flow record.

    use: "model" may feed any detector; "site" names a machine's operating system or tool more than its behaviour, so it
    is fair for a detector fitted on the user's own traffic and off elsewhere unless a recipe says so; "duplicate" repeats
    another column; "never" is not comparable between this meter and the public data, or carries no signal.
    The last four fields are the names in the CIC-IDS-2017, 2018-2020 ("Tot"), V4 and Python cicflowmeter headers.
    """

    name: str
    unit: str
    use: Use
    definition: str
    cic2017: str | None
    tot: str | None
    v4: str | None
    python: str | None


# Why these are "never": the published CIC sets truncate sub-flow averages to integers and count gaps instead of
# sub-flows, write the last backward window under the name of the first (so bwd_last_win_bytes is what they hold), and
# lack the backward minima.
# fmt: off
COLUMNS: tuple[Column, ...] = (
    Column("protocol", "number", "model", "IP protocol number", "Protocol", "Protocol", "Protocol", "protocol"),
    Column("flow_duration", "µs", "model", "last packet − first packet", "Flow Duration", "Flow Duration", "Flow Duration", "flow_duration"),
    Column("fwd_packets", "packets", "model", "packets from the originator", "Total Fwd Packets", "Tot Fwd Pkts", "Total Fwd Packet", "tot_fwd_pkts"),
    Column("bwd_packets", "packets", "model", "packets from the responder", "Total Backward Packets", "Tot Bwd Pkts", "Total Bwd packets", "tot_bwd_pkts"),
    Column("fwd_bytes", "bytes", "model", "sum of forward payload: IP length − IP header − layer-4 header", "Total Length of Fwd Packets", "TotLen Fwd Pkts", "Total Length of Fwd Packet", "totlen_fwd_pkts"),
    Column("bwd_bytes", "bytes", "model", "sum of backward payload", "Total Length of Bwd Packets", "TotLen Bwd Pkts", "Total Length of Bwd Packet", "totlen_bwd_pkts"),
    Column("fwd_packet_length_max", "bytes", "model", "largest forward payload", "Fwd Packet Length Max", "Fwd Pkt Len Max", "Fwd Packet Length Max", "fwd_pkt_len_max"),
    Column("fwd_packet_length_min", "bytes", "model", "smallest forward payload", "Fwd Packet Length Min", "Fwd Pkt Len Min", "Fwd Packet Length Min", "fwd_pkt_len_min"),
    Column("fwd_packet_length_mean", "bytes", "model", "mean forward payload", "Fwd Packet Length Mean", "Fwd Pkt Len Mean", "Fwd Packet Length Mean", "fwd_pkt_len_mean"),
    Column("fwd_packet_length_std", "bytes", "model", "sample standard deviation (n − 1) of forward payload", "Fwd Packet Length Std", "Fwd Pkt Len Std", "Fwd Packet Length Std", "fwd_pkt_len_std"),
    Column("bwd_packet_length_max", "bytes", "model", "largest backward payload", "Bwd Packet Length Max", "Bwd Pkt Len Max", "Bwd Packet Length Max", "bwd_pkt_len_max"),
    Column("bwd_packet_length_min", "bytes", "model", "smallest backward payload", "Bwd Packet Length Min", "Bwd Pkt Len Min", "Bwd Packet Length Min", "bwd_pkt_len_min"),
    Column("bwd_packet_length_mean", "bytes", "model", "mean backward payload", "Bwd Packet Length Mean", "Bwd Pkt Len Mean", "Bwd Packet Length Mean", "bwd_pkt_len_mean"),
    Column("bwd_packet_length_std", "bytes", "model", "sample standard deviation (n − 1) of backward payload", "Bwd Packet Length Std", "Bwd Pkt Len Std", "Bwd Packet Length Std", "bwd_pkt_len_std"),
    Column("flow_bytes_per_s", "bytes/s", "model", "payload of both directions / duration; 0 when the duration is 0", "Flow Bytes/s", "Flow Byts/s", "Flow Bytes/s", "flow_byts_s"),
    Column("flow_packets_per_s", "packets/s", "model", "packets of both directions / duration; 0 when the duration is 0", "Flow Packets/s", "Flow Pkts/s", "Flow Packets/s", "flow_pkts_s"),
    Column("flow_iat_mean", "µs", "model", "mean gap between consecutive packets", "Flow IAT Mean", "Flow IAT Mean", "Flow IAT Mean", "flow_iat_mean"),
    Column("flow_iat_std", "µs", "model", "sample standard deviation (n − 1) of gap between consecutive packets", "Flow IAT Std", "Flow IAT Std", "Flow IAT Std", "flow_iat_std"),
    Column("flow_iat_max", "µs", "model", "largest gap between consecutive packets", "Flow IAT Max", "Flow IAT Max", "Flow IAT Max", "flow_iat_max"),
    Column("flow_iat_min", "µs", "model", "smallest gap between consecutive packets", "Flow IAT Min", "Flow IAT Min", "Flow IAT Min", "flow_iat_min"),
    Column("fwd_iat_total", "µs", "model", "sum of gaps between consecutive forward packets", "Fwd IAT Total", "Fwd IAT Tot", "Fwd IAT Total", "fwd_iat_tot"),
    Column("fwd_iat_mean", "µs", "model", "mean gap between consecutive forward packets", "Fwd IAT Mean", "Fwd IAT Mean", "Fwd IAT Mean", "fwd_iat_mean"),
    Column("fwd_iat_std", "µs", "model", "sample standard deviation (n − 1) of gap between consecutive forward packets", "Fwd IAT Std", "Fwd IAT Std", "Fwd IAT Std", "fwd_iat_std"),
    Column("fwd_iat_max", "µs", "model", "largest gap between consecutive forward packets", "Fwd IAT Max", "Fwd IAT Max", "Fwd IAT Max", "fwd_iat_max"),
    Column("fwd_iat_min", "µs", "model", "smallest gap between consecutive forward packets", "Fwd IAT Min", "Fwd IAT Min", "Fwd IAT Min", "fwd_iat_min"),
    Column("bwd_iat_total", "µs", "model", "sum of gaps between consecutive backward packets", "Bwd IAT Total", "Bwd IAT Tot", "Bwd IAT Total", "bwd_iat_tot"),
    Column("bwd_iat_mean", "µs", "model", "mean gap between consecutive backward packets", "Bwd IAT Mean", "Bwd IAT Mean", "Bwd IAT Mean", "bwd_iat_mean"),
    Column("bwd_iat_std", "µs", "model", "sample standard deviation (n − 1) of gap between consecutive backward packets", "Bwd IAT Std", "Bwd IAT Std", "Bwd IAT Std", "bwd_iat_std"),
    Column("bwd_iat_max", "µs", "model", "largest gap between consecutive backward packets", "Bwd IAT Max", "Bwd IAT Max", "Bwd IAT Max", "bwd_iat_max"),
    Column("bwd_iat_min", "µs", "model", "smallest gap between consecutive backward packets", "Bwd IAT Min", "Bwd IAT Min", "Bwd IAT Min", "bwd_iat_min"),
    Column("fwd_psh_flags", "packets", "model", "forward packets with PSH", "Fwd PSH Flags", "Fwd PSH Flags", "Fwd PSH Flags", "fwd_psh_flags"),
    Column("bwd_psh_flags", "packets", "model", "backward packets with PSH", "Bwd PSH Flags", "Bwd PSH Flags", "Bwd PSH Flags", "bwd_psh_flags"),
    Column("fwd_urg_flags", "packets", "model", "forward packets with URG", "Fwd URG Flags", "Fwd URG Flags", "Fwd URG Flags", "fwd_urg_flags"),
    Column("bwd_urg_flags", "packets", "model", "backward packets with URG", "Bwd URG Flags", "Bwd URG Flags", "Bwd URG Flags", "bwd_urg_flags"),
    Column("fwd_header_length", "bytes", "model", "sum of forward layer-4 headers: TCP data offset, UDP 8, else 0", "Fwd Header Length", "Fwd Header Len", "Fwd Header Length", "fwd_header_len"),
    Column("bwd_header_length", "bytes", "model", "sum of backward layer-4 headers", "Bwd Header Length", "Bwd Header Len", "Bwd Header Length", "bwd_header_len"),
    Column("fwd_packets_per_s", "packets/s", "model", "forward packets / duration; 0 when the duration is 0", "Fwd Packets/s", "Fwd Pkts/s", "Fwd Packets/s", "fwd_pkts_s"),
    Column("bwd_packets_per_s", "packets/s", "model", "backward packets / duration; 0 when the duration is 0", "Bwd Packets/s", "Bwd Pkts/s", "Bwd Packets/s", "bwd_pkts_s"),
    Column("packet_length_min", "bytes", "model", "smallest payload of either direction", "Min Packet Length", "Pkt Len Min", "Packet Length Min", "pkt_len_min"),
    Column("packet_length_max", "bytes", "model", "largest payload of either direction", "Max Packet Length", "Pkt Len Max", "Packet Length Max", "pkt_len_max"),
    Column("packet_length_mean", "bytes", "model", "mean payload", "Packet Length Mean", "Pkt Len Mean", "Packet Length Mean", "pkt_len_mean"),
    Column("packet_length_std", "bytes", "model", "sample standard deviation (n − 1) of payload", "Packet Length Std", "Pkt Len Std", "Packet Length Std", "pkt_len_std"),
    Column("packet_length_variance", "bytes²", "duplicate", "square of packet_length_std", "Packet Length Variance", "Pkt Len Var", "Packet Length Variance", "pkt_len_var"),
    Column("fin_flag_count", "packets", "model", "packets of either direction with FIN", "FIN Flag Count", "FIN Flag Cnt", "FIN Flag Count", "fin_flag_cnt"),
    Column("syn_flag_count", "packets", "model", "packets of either direction with SYN", "SYN Flag Count", "SYN Flag Cnt", "SYN Flag Count", "syn_flag_cnt"),
    Column("rst_flag_count", "packets", "model", "packets of either direction with RST", "RST Flag Count", "RST Flag Cnt", "RST Flag Count", "rst_flag_cnt"),
    Column("psh_flag_count", "packets", "model", "packets of either direction with PSH", "PSH Flag Count", "PSH Flag Cnt", "PSH Flag Count", "psh_flag_cnt"),
    Column("ack_flag_count", "packets", "model", "packets of either direction with ACK", "ACK Flag Count", "ACK Flag Cnt", "ACK Flag Count", "ack_flag_cnt"),
    Column("urg_flag_count", "packets", "model", "packets of either direction with URG", "URG Flag Count", "URG Flag Cnt", "URG Flag Count", "urg_flag_cnt"),
    Column("cwr_flag_count", "packets", "model", "packets of either direction with CWR", "CWE Flag Count", "CWE Flag Count", "CWR Flag Count", "cwr_flag_count"),
    Column("ece_flag_count", "packets", "model", "packets of either direction with ECE", "ECE Flag Count", "ECE Flag Cnt", "ECE Flag Count", "ece_flag_cnt"),
    Column("down_up_ratio", "ratio", "model", "backward packets / forward packets; 0 without forward packets", "Down/Up Ratio", "Down/Up Ratio", "Down/Up Ratio", "down_up_ratio"),
    Column("average_packet_size", "bytes", "duplicate", "equals packet_length_mean", "Average Packet Size", "Pkt Size Avg", "Average Packet Size", "pkt_size_avg"),
    Column("fwd_segment_size_avg", "bytes", "duplicate", "equals fwd_packet_length_mean", "Avg Fwd Segment Size", "Fwd Seg Size Avg", "Fwd Segment Size Avg", "fwd_seg_size_avg"),
    Column("bwd_segment_size_avg", "bytes", "duplicate", "equals bwd_packet_length_mean", "Avg Bwd Segment Size", "Bwd Seg Size Avg", "Bwd Segment Size Avg", "bwd_seg_size_avg"),
    Column("fwd_bulk_bytes_avg", "bytes", "model", "payload in forward bulks / forward bulks", "Fwd Avg Bytes/Bulk", "Fwd Byts/b Avg", "Fwd Bytes/Bulk Avg", "fwd_byts_b_avg"),
    Column("fwd_bulk_packets_avg", "packets", "model", "packets in forward bulks / forward bulks", "Fwd Avg Packets/Bulk", "Fwd Pkts/b Avg", "Fwd Packet/Bulk Avg", "fwd_pkts_b_avg"),
    Column("fwd_bulk_rate_avg", "bytes/s", "model", "payload in forward bulks / time in forward bulks", "Fwd Avg Bulk Rate", "Fwd Blk Rate Avg", "Fwd Bulk Rate Avg", "fwd_blk_rate_avg"),
    Column("bwd_bulk_bytes_avg", "bytes", "model", "payload in backward bulks / backward bulks", "Bwd Avg Bytes/Bulk", "Bwd Byts/b Avg", "Bwd Bytes/Bulk Avg", "bwd_byts_b_avg"),
    Column("bwd_bulk_packets_avg", "packets", "model", "packets in backward bulks / backward bulks", "Bwd Avg Packets/Bulk", "Bwd Pkts/b Avg", "Bwd Packet/Bulk Avg", "bwd_pkts_b_avg"),
    Column("bwd_bulk_rate_avg", "bytes/s", "model", "payload in backward bulks / time in backward bulks", "Bwd Avg Bulk Rate", "Bwd Blk Rate Avg", "Bwd Bulk Rate Avg", "bwd_blk_rate_avg"),
    Column("subflow_fwd_packets", "packets", "never", "forward packets / sub-flows, where a gap over 1 s starts a sub-flow", "Subflow Fwd Packets", "Subflow Fwd Pkts", "Subflow Fwd Packets", "subflow_fwd_pkts"),
    Column("subflow_fwd_bytes", "bytes", "never", "forward payload / sub-flows", "Subflow Fwd Bytes", "Subflow Fwd Byts", "Subflow Fwd Bytes", "subflow_fwd_byts"),
    Column("subflow_bwd_packets", "packets", "never", "backward packets / sub-flows, where a gap over 1 s starts a sub-flow", "Subflow Bwd Packets", "Subflow Bwd Pkts", "Subflow Bwd Packets", "subflow_bwd_pkts"),
    Column("subflow_bwd_bytes", "bytes", "never", "backward payload / sub-flows", "Subflow Bwd Bytes", "Subflow Bwd Byts", "Subflow Bwd Bytes", "subflow_bwd_byts"),
    Column("fwd_init_win_bytes", "bytes", "site", "raw TCP window of the first forward packet; −1 where none was TCP", "Init_Win_bytes_forward", "Init Fwd Win Byts", "FWD Init Win Bytes", "init_fwd_win_byts"),
    Column("bwd_init_win_bytes", "bytes", "never", "raw TCP window of the first backward packet; −1 where none was TCP", "Init_Win_bytes_backward", "Init Bwd Win Byts", "Bwd Init Win Bytes", "init_bwd_win_byts"),
    Column("fwd_act_data_packets", "packets", "model", "forward packets with payload", "act_data_pkt_fwd", "Fwd Act Data Pkts", "Fwd Act Data Pkts", "fwd_act_data_pkts"),
    Column("fwd_seg_size_min", "bytes", "site", "smallest forward layer-4 header", "min_seg_size_forward", "Fwd Seg Size Min", "Fwd Seg Size Min", "fwd_seg_size_min"),
    Column("active_mean", "µs", "model", "mean period of activity closed by a gap over 5 s", "Active Mean", "Active Mean", "Active Mean", "active_mean"),
    Column("active_std", "µs", "model", "sample standard deviation (n − 1) of period of activity closed by a gap over 5 s", "Active Std", "Active Std", "Active Std", "active_std"),
    Column("active_max", "µs", "model", "largest period of activity closed by a gap over 5 s", "Active Max", "Active Max", "Active Max", "active_max"),
    Column("active_min", "µs", "model", "smallest period of activity closed by a gap over 5 s", "Active Min", "Active Min", "Active Min", "active_min"),
    Column("idle_mean", "µs", "model", "mean gap over 5 s", "Idle Mean", "Idle Mean", "Idle Mean", "idle_mean"),
    Column("idle_std", "µs", "model", "sample standard deviation (n − 1) of gap over 5 s", "Idle Std", "Idle Std", "Idle Std", "idle_std"),
    Column("idle_max", "µs", "model", "largest gap over 5 s", "Idle Max", "Idle Max", "Idle Max", "idle_max"),
    Column("idle_min", "µs", "model", "smallest gap over 5 s", "Idle Min", "Idle Min", "Idle Min", "idle_min"),
    Column("fwd_rst_flags", "packets", "model", "forward packets with RST", None, None, "Fwd RST Flags", None),
    Column("bwd_rst_flags", "packets", "model", "backward packets with RST", None, None, "Bwd RST Flags", None),
    Column("bwd_act_data_packets", "packets", "never", "backward packets with payload", None, None, "Bwd Act Data Pkts", None),
    Column("bwd_seg_size_min", "bytes", "never", "smallest backward layer-4 header", None, None, "Bwd Seg Size Min", None),
    Column("icmp_code", "number", "never", "code of the first ICMP packet; −1 otherwise", None, None, "ICMP Code", None),
    Column("icmp_type", "number", "never", "type of the first ICMP packet; −1 otherwise", None, None, "ICMP Type", None),
    Column("connection_duration", "µs", "never", "last packet − first packet of the connection, across active timeouts", None, None, "Total Connection Flow Time", None),
    Column("bwd_last_win_bytes", "bytes", "site", "raw TCP window of the last backward packet; −1 where none was TCP", None, None, None, None),)
# fmt: on

INDEX: dict[str, int] = {column.name: i for i, column in enumerate(COLUMNS)}
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

# Columns tied by identities, so that none can change alone: a total is a mean times a count, what both directions carry
# together follows from what each carries, headers go with packets. Gaps between all packets do not follow from those in
# each direction. Rates hang on bytes, packets and duration alike, and stand by themselves.
SIBLINGS: tuple[tuple[str, ...], ...] = (
    (
        *("fwd_bytes", "bwd_bytes", "fwd_packet_length_max", "fwd_packet_length_min", "fwd_packet_length_mean"),
        *("fwd_packet_length_std", "bwd_packet_length_max", "bwd_packet_length_min", "bwd_packet_length_mean"),
        *("bwd_packet_length_std", "packet_length_min", "packet_length_max", "packet_length_mean", "packet_length_std"),
    ),
    (
        *("fwd_packets", "bwd_packets", "down_up_ratio", "fwd_act_data_packets"),
        *("fwd_header_length", "bwd_header_length"),
    ),
    ("flow_bytes_per_s", "flow_packets_per_s", "fwd_packets_per_s", "bwd_packets_per_s"),
    ("flow_duration", "flow_iat_mean", "flow_iat_std", "flow_iat_max", "flow_iat_min"),
    ("fwd_iat_total", "fwd_iat_mean", "fwd_iat_std", "fwd_iat_max", "fwd_iat_min"),
    ("bwd_iat_total", "bwd_iat_mean", "bwd_iat_std", "bwd_iat_max", "bwd_iat_min"),
    ("psh_flag_count", "fwd_psh_flags", "bwd_psh_flags"),
    ("urg_flag_count", "fwd_urg_flags", "bwd_urg_flags"),
    ("rst_flag_count", "fwd_rst_flags", "bwd_rst_flags"),
    ("fwd_bulk_bytes_avg", "fwd_bulk_packets_avg", "fwd_bulk_rate_avg"),
    ("bwd_bulk_bytes_avg", "bwd_bulk_packets_avg", "bwd_bulk_rate_avg"),
    ("active_mean", "active_std", "active_max", "active_min"),
    ("idle_mean", "idle_std", "idle_max", "idle_min"),
)


@cache
def feature_contract() -> FeatureContract:
    """The contract of flow records; a column's digest changes with its name, unit or definition."""
    meanings = {column.name: digest([column.name, column.unit, column.definition], 8) for column in COLUMNS}
    return FeatureContract("flow records", meanings, digest([astuple(column)[:4] for column in COLUMNS], 16))


def usable_by_models(*, fingerprints: bool) -> tuple[str, ...]:
    """Names of the columns a detector may see, in table order; fingerprints adds the "site" columns."""
    allowed = {"model", "site"} if fingerprints else {"model"}
    return tuple(column.name for column in COLUMNS if column.use in allowed)


def usable_as_reasons() -> tuple[str, ...]:
    """Names of the columns that an alert may give as a reason, in table order.

    "site" columns tell machines apart, not behaviour: they would be no reason to an operator. And protocol numbers have
    no distance.
    """
    return tuple(column.name for column in COLUMNS if column.use == "model" and column.name != "protocol")


def reasons() -> tuple[tuple[int, ...], ...]:
    """Positions of the columns that make one reason of an alert: siblings together, any other by itself.

    Each column that may be a reason is in exactly one, in table order.
    """
    siblings = {name: group for group in SIBLINGS for name in group}
    together = {siblings.get(name, (name,)): None for name in usable_as_reasons()}
    return tuple(tuple(sorted(INDEX[name] for name in group)) for group in together)
