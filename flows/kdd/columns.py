"""The columns of a KDD'99 connection record, once, in the order of the published files, and what their symbols are.

NSL-KDD has the same columns. Source: the task description of KDD Cup 1999; Lee, Stolfo, "A Framework for Constructing
Features and Models for Intrusion Detection Systems", ACM TISSEC 2000. A record is a row of numbers: a symbol stands as
its position among the symbols of its column, UNKNOWN where it is none of them.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cache
from typing import Literal

from flows.contract import FeatureContract, digest

Kind = Literal["symbol", "truth", "count", "share", "seconds", "bytes"]
Group = Literal["basic", "content", "time", "host"]

UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class KddColumn:
    """One column of a record.

    kind: "truth" is 0 or 1, "share" lies in 0..1. group: "basic" of the connection itself, "content" of its payload,
    "time" over the connections of the last two seconds, "host" over the last 255: the task description says 100, the
    published values reach 255, and 511 in the two seconds. In both a service is a port, also one without a name.
    """

    name: str
    kind: Kind
    group: Group
    definition: str


# fmt: off
KDD_COLUMNS: tuple[KddColumn, ...] = (
    KddColumn("duration", "seconds", "basic", "length of the connection, whole seconds"),
    KddColumn("protocol_type", "symbol", "basic", "protocol: tcp, udp or icmp"),
    KddColumn("service", "symbol", "basic", "service at the destination, by its port"),
    KddColumn("flag", "symbol", "basic", "how the connection began and ended, by the TCP states seen"),
    KddColumn("src_bytes", "bytes", "basic", "payload from source to destination"),
    KddColumn("dst_bytes", "bytes", "basic", "payload from destination to source"),
    KddColumn("land", "truth", "basic", "source and destination have one address and one port"),
    KddColumn("wrong_fragment", "count", "basic", "fragments that do not fit together"),
    KddColumn("urgent", "count", "basic", "packets with the urgent flag"),
    KddColumn("hot", "count", "content", "indicators such as entering a system directory or running a program"),
    KddColumn("num_failed_logins", "count", "content", "failed attempts to log in"),
    KddColumn("logged_in", "truth", "content", "a log-in succeeded"),
    KddColumn("num_compromised", "count", "content", "conditions of compromise, such as a file not found"),
    KddColumn("root_shell", "truth", "content", "a root shell was obtained"),
    KddColumn("su_attempted", "count", "content", "su root was tried (1) and succeeded (2)"),
    KddColumn("num_root", "count", "content", "accesses as root"),
    KddColumn("num_file_creations", "count", "content", "operations that create a file"),
    KddColumn("num_shells", "count", "content", "shell prompts"),
    KddColumn("num_access_files", "count", "content", "operations on files that control access"),
    KddColumn("num_outbound_cmds", "count", "content", "outbound commands in an FTP session"),
    KddColumn("is_host_login", "truth", "content", "the log-in is of the list of privileged ones"),
    KddColumn("is_guest_login", "truth", "content", "the log-in is a guest's"),
    KddColumn("count", "count", "time", "connections to the same host in the last two seconds, this one included"),
    KddColumn("srv_count", "count", "time", "connections to the same service in the last two seconds, this one included"),
    KddColumn("serror_rate", "share", "time", "of those to the same host, the share with SYN errors"),
    KddColumn("srv_serror_rate", "share", "time", "of those to the same service, the share with SYN errors"),
    KddColumn("rerror_rate", "share", "time", "of those to the same host, the share that was rejected"),
    KddColumn("srv_rerror_rate", "share", "time", "of those to the same service, the share that was rejected"),
    KddColumn("same_srv_rate", "share", "time", "of those to the same host, the share to the same service"),
    KddColumn("diff_srv_rate", "share", "time", "distinct services of those to the same host, as a share; 0 for one"),
    KddColumn("srv_diff_host_rate", "share", "time", "distinct hosts of those to the same service, as a share; 0 for one"),
    KddColumn("dst_host_count", "count", "host", "of the last 255 connections by destination, those to the same host"),
    KddColumn("dst_host_srv_count", "count", "host", "of the last 255 connections by destination, those to the same service"),
    KddColumn("dst_host_same_srv_rate", "share", "host", "of those to the same host, the share to the same service"),
    KddColumn("dst_host_diff_srv_rate", "share", "host", "distinct services of those to the same host, as a share; 0 for one"),
    KddColumn("dst_host_same_src_port_rate", "share", "host", "of those to the same host, the share from this source port"),
    KddColumn("dst_host_srv_diff_host_rate", "share", "host", "distinct hosts of those to the same service, as a share; 0 for one"),
    KddColumn("dst_host_serror_rate", "share", "host", "of those to the same host, the share with SYN errors"),
    KddColumn("dst_host_srv_serror_rate", "share", "host", "of those to the same service, the share with SYN errors"),
    KddColumn("dst_host_rerror_rate", "share", "host", "of those to the same host, the share that was rejected"),
    KddColumn("dst_host_srv_rerror_rate", "share", "host", "of those to the same service, the share that was rejected"),
)

PROTOCOLS: tuple[str, ...] = ("icmp", "tcp", "udp")
FLAGS: tuple[str, ...] = ("OTH", "REJ", "RSTO", "RSTOS0", "RSTR", "S0", "S1", "S2", "S3", "SF", "SH")
SERVICES: tuple[str, ...] = (
    "IRC", "X11", "Z39_50", "aol", "auth", "bgp", "courier", "csnet_ns", "ctf", "daytime", "discard", "domain",
    "domain_u", "echo", "eco_i", "ecr_i", "efs", "exec", "finger", "ftp", "ftp_data", "gopher", "harvest", "hostnames",
    "http", "http_2784", "http_443", "http_8001", "icmp", "imap4", "iso_tsap", "klogin", "kshell", "ldap", "link",
    "login", "mtp", "name", "netbios_dgm", "netbios_ns", "netbios_ssn", "netstat", "nnsp", "nntp", "ntp_u", "other",
    "pm_dump", "pop_2", "pop_3", "printer", "private", "red_i", "remote_job", "rje", "shell", "smtp", "sql_net", "ssh",
    "sunrpc", "supdup", "systat", "telnet", "tftp_u", "tim_i", "time", "urh_i", "urp_i", "uucp", "uucp_path", "vmnet",
    "whois",
)
# fmt: on
SYMBOLS: Mapping[str, tuple[str, ...]] = {"protocol_type": PROTOCOLS, "service": SERVICES, "flag": FLAGS}


def kdd_columns(*, content: bool) -> tuple[KddColumn, ...]:
    """Columns of a record: all 41, or the 28 that need no payload."""
    return tuple(column for column in KDD_COLUMNS if content or column.group != "content")


@cache
def kdd_contract(*, content: bool) -> FeatureContract:
    """The contract of connection records; a column's digest changes with all that is said of it, and its symbols."""
    columns = kdd_columns(content=content)
    meanings = {column.name: digest([astuple(column), SYMBOLS.get(column.name)], 8) for column in columns}
    rows = "connection records" if content else "connection records without content columns"
    return FeatureContract(rows, meanings, digest([[astuple(column) for column in columns], dict(SYMBOLS)], 16))


# Columns that say the same thing of one connection's surroundings: they rise and fall together.
SIBLINGS: tuple[tuple[str, ...], ...] = (
    ("serror_rate", "srv_serror_rate", "dst_host_serror_rate", "dst_host_srv_serror_rate"),
    ("rerror_rate", "srv_rerror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate"),
    ("count", "srv_count"),
    ("same_srv_rate", "diff_srv_rate"),
    ("dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate"),
)


def kdd_reasons(*, content: bool) -> tuple[tuple[int, ...], ...]:
    """Positions of the columns that make one reason of an alert: siblings together, any other by itself.

    Symbols have no distance from what is normal, and are no reasons.
    """
    columns = kdd_columns(content=content)
    index = {column.name: i for i, column in enumerate(columns)}
    siblings = {name: group for group in SIBLINGS for name in group}
    names = [column.name for column in columns if column.kind != "symbol"]
    together = {siblings.get(name, (name,)): None for name in names}
    return tuple(tuple(sorted(index[name] for name in group)) for group in together)
