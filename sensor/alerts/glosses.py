"""What the columns that an alert may give as a reason are, in plain words.

The definitions of the column tables (flows.columns, flows.kdd.columns) say how a column is reckoned; these are for who
reads an alert. "Sent" is by the source of the flow, "answered" by its destination. Nothing is loaded for them.
"""

from typing import Final

_WAYS: Final = {"fwd": "sent ", "bwd": "answered "}


def _each_way(name: str, gloss: str) -> dict[str, str]:
    """The same of packets sent and of packets answered: {way} in both."""
    return {name.format(way=way): gloss.format(way=_WAYS[way]) for way in ("fwd", "bwd")}


_FLAGS: Final = {
    "fin": "that end a connection (FIN)",
    "syn": "that begin a connection (SYN)",
    "rst": "that break it off (RST)",
    "psh": "that ask for delivery at once (PSH)",
    "ack": "that confirm others (ACK)",
    "urg": "marked urgent (URG)",
    "cwr": "that say the sender slowed down (CWR)",
    "ece": "that tell of congestion (ECE)",
}

GLOSSES: Final[dict[str, str]] = {
    "flow_duration": "time from the first packet to the last",
    "fwd_packets": "packets sent",
    "bwd_packets": "packets answered",
    "fwd_bytes": "data sent",
    "bwd_bytes": "data answered",
    **_each_way("{way}_packet_length_max", "most data in one {way}packet"),
    **_each_way("{way}_packet_length_min", "least data in one {way}packet"),
    **_each_way("{way}_packet_length_mean", "data in a {way}packet on average"),
    **_each_way("{way}_packet_length_std", "how much the data of {way}packets varies"),
    "packet_length_max": "most data in one packet",
    "packet_length_min": "least data in one packet",
    "packet_length_mean": "data in a packet on average",
    "packet_length_std": "how much the data of packets varies",
    "flow_bytes_per_s": "data a second, both ways",
    "flow_packets_per_s": "packets a second, both ways",
    **_each_way("{way}_packets_per_s", "{way}packets a second"),
    "down_up_ratio": "packets answered for each one sent",
    "flow_iat_mean": "time between packets on average",
    "flow_iat_std": "how much the time between packets varies",
    "flow_iat_max": "longest time between packets",
    "flow_iat_min": "shortest time between packets",
    **_each_way("{way}_iat_total", "time from the first {way}packet to the last"),
    **_each_way("{way}_iat_mean", "time between {way}packets on average"),
    **_each_way("{way}_iat_std", "how much the time between {way}packets varies"),
    **_each_way("{way}_iat_max", "longest time between {way}packets"),
    **_each_way("{way}_iat_min", "shortest time between {way}packets"),
    **_each_way("{way}_header_length", "headers of all {way}packets together"),
    **{f"{flag}_flag_count": f"packets {words}, both ways" for flag, words in _FLAGS.items()},
    **{
        f"{way}_{flag}_flags": f"{_WAYS[way]}packets {_FLAGS[flag]}"
        for flag in ("psh", "urg", "rst")
        for way in ("fwd", "bwd")
    },
    "fwd_act_data_packets": "packets sent that carry data",
    **_each_way("{way}_bulk_bytes_avg", "data of one burst of {way}packets on average"),
    **_each_way("{way}_bulk_packets_avg", "{way}packets in one burst on average"),
    **_each_way("{way}_bulk_rate_avg", "data a second within bursts of {way}packets"),
    "active_mean": "time that it is busy between pauses, on average",
    "active_std": "how much the busy times vary",
    "active_max": "longest busy time between pauses",
    "active_min": "shortest busy time between pauses",
    "idle_mean": "pauses over 5 s, on average",
    "idle_std": "how much pauses over 5 s vary",
    "idle_max": "longest pause over 5 s",
    "idle_min": "shortest pause over 5 s",
    # Connections in the columns of KDD'99.
    "duration": "length of the connection",
    "src_bytes": "data sent",
    "dst_bytes": "data answered",
    "land": "source and destination are one",
    "wrong_fragment": "fragments that do not fit together",
    "urgent": "packets marked urgent",
    "count": "connections to the same host within 2 s",
    "srv_count": "connections to the same service within 2 s",
    "serror_rate": "share of those to the host that nobody answered",
    "srv_serror_rate": "share of those to the service that nobody answered",
    "rerror_rate": "share of those to the host that were refused",
    "srv_rerror_rate": "share of those to the service that were refused",
    "same_srv_rate": "share of those to the host that went to this service",
    "diff_srv_rate": "how many services those to the host went to, as a share",
    "srv_diff_host_rate": "how many hosts those to the service went to, as a share",
    "dst_host_count": "of the last 255 connections, those to the same host",
    "dst_host_srv_count": "of the last 255 connections, those to the same service",
    "dst_host_same_srv_rate": "share of the latest to the host that went to this service",
    "dst_host_diff_srv_rate": "how many services the latest to the host went to, as a share",
    "dst_host_same_src_port_rate": "share of the latest to the host from one source port",
    "dst_host_srv_diff_host_rate": "how many hosts the latest to the service came from, as a share",
    "dst_host_serror_rate": "share of the latest to the host that nobody answered",
    "dst_host_srv_serror_rate": "share of the latest to the service that nobody answered",
    "dst_host_rerror_rate": "share of the latest to the host that were refused",
    "dst_host_srv_rerror_rate": "share of the latest to the service that were refused",
    "hot": "signs such as entering a system directory or running a program",
    "num_failed_logins": "failed log-ins",
    "logged_in": "whether a log-in succeeded",
    "num_compromised": "signs of a break-in, such as a file not found",
    "root_shell": "whether a root shell was obtained",
    "su_attempted": "whether su root was tried (1), with success (2)",
    "num_root": "accesses as root",
    "num_file_creations": "files made",
    "num_shells": "shell prompts",
    "num_access_files": "uses of files that control access",
    "num_outbound_cmds": "outbound commands in an FTP session",
    "is_host_login": "whether the log-in is a privileged one",
    "is_guest_login": "whether the log-in is a guest's",
}


def gloss(column: str) -> str:
    """What a column is in plain words; "" for one that this table does not know, as a log of another version has."""
    return GLOSSES.get(column, "")
