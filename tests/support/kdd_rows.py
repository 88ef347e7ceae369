"""Two NSL-KDD records as JSON objects: a web page, and a connection of a SYN flood."""

from flows.kdd.columns import KDD_COLUMNS

NAMES = [column.name for column in KDD_COLUMNS]
WEB = {
    **dict.fromkeys(NAMES, 0), "protocol_type": "tcp", "service": "http", "flag": "SF", "src_bytes": 232,
    "dst_bytes": 8153, "logged_in": 1, "count": 5, "srv_count": 5, "serror_rate": 0.2, "srv_serror_rate": 0.2,
    "same_srv_rate": 1, "dst_host_count": 30, "dst_host_srv_count": 255, "dst_host_same_srv_rate": 1,
    "dst_host_same_src_port_rate": 0.03, "dst_host_srv_diff_host_rate": 0.04, "dst_host_serror_rate": 0.03,
}  # fmt: skip
FLOOD = {
    **dict.fromkeys(NAMES, 0), "protocol_type": "tcp", "service": "private", "flag": "S0", "count": 255,
    "srv_count": 10, "serror_rate": 1, "srv_serror_rate": 1, "same_srv_rate": 0.04, "diff_srv_rate": 0.06,
    "dst_host_count": 255, "dst_host_srv_count": 10, "dst_host_same_srv_rate": 0.04, "dst_host_diff_srv_rate": 0.06,
    "dst_host_serror_rate": 1, "dst_host_srv_serror_rate": 1,
}  # fmt: skip
