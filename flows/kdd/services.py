"""The service of a connection, by the port it goes to, with the names of the KDD'99 data.

Ports: those that the data's sensor took from the service lists of its time (/etc/services of 4.4BSD and SunOS, IANA's
assigned numbers, RFC 1700). A port without a name there is `private` below 1024 and `other` from 1024 on: in NSL-KDD
the sweeps and floods of low ports are private and those of high ports other. UDP has names for three ports only.
FTP's data connection is told by either port 20, because in active mode the server opens it. `pm_dump` and `harvest`
are published without a port; no connection gets them. ICMP has no ports: its type and code name the service.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flows.decode import ICMP, ICMPV6, TCP, UDP
from flows.kdd.columns import SERVICES
from kernels.jit import Word, inner

# What "same service" means in the windows: a class << 16 | the port, or an ICMP message's type << 8 | code, or the
# number of another protocol. Not the name: published rows count 511 different services where 71 have names.
TCP_PORT, UDP_PORT, ICMP_MESSAGE, ICMPV6_MESSAGE, OTHER_PROTOCOL = range(5)
SERVICE_KEYS = 5 << 16

FIRST_HIGH_PORT = 1024
FTP_DATA_PORT = 20

TCP_SERVICES: dict[str, tuple[int, ...]] = {
    "IRC": (194, *range(6665, 6670)),
    "X11": tuple(range(6000, 6064)),
    "Z39_50": (210,),
    "aol": (5190,),
    "auth": (113,),
    "bgp": (179,),
    "courier": (530,),
    "csnet_ns": (105,),
    "ctf": (84,),
    "daytime": (13,),
    "discard": (9,),
    "domain": (53,),
    "echo": (7,),
    "efs": (520,),
    "exec": (512,),
    "finger": (79,),
    "ftp": (21,),
    "ftp_data": (FTP_DATA_PORT,),
    "gopher": (70,),
    "hostnames": (101,),
    "http": (80,),
    "http_2784": (2784,),
    "http_443": (443,),
    "http_8001": (8001,),
    "imap4": (143,),
    "iso_tsap": (102,),
    "klogin": (543,),
    "kshell": (544,),
    "ldap": (389,),
    "link": (87,),
    "login": (513,),
    "mtp": (57,),
    "name": (42,),
    "netbios_dgm": (138,),
    "netbios_ns": (137,),
    "netbios_ssn": (139,),
    "netstat": (15,),
    "nnsp": (433,),
    "nntp": (119,),
    "pop_2": (109,),
    "pop_3": (110,),
    "printer": (515,),
    "remote_job": (71,),
    "rje": (77,),
    "shell": (514,),
    "smtp": (25,),
    "sql_net": (150,),
    "ssh": (22,),
    "sunrpc": (111,),
    "supdup": (95,),
    "systat": (11,),
    "telnet": (23,),
    "time": (37,),
    "uucp": (540,),
    "uucp_path": (117,),
    "vmnet": (175,),
    "whois": (43,),
}
UDP_SERVICES: dict[str, tuple[int, ...]] = {"domain_u": (53,), "ntp_u": (123,), "tftp_u": (69,)}

# Type and code, None: any code. What is not listed is `icmp`. RFC 792, RFC 4443, RFC 4861.
ICMP_SERVICES: dict[tuple[int, int | None], str] = {
    (0, None): "ecr_i",
    (3, 1): "urh_i",
    (3, 3): "urp_i",
    (5, None): "red_i",
    (8, None): "eco_i",
    (11, None): "tim_i",
}
ICMPV6_SERVICES: dict[tuple[int, int | None], str] = {
    (1, 3): "urh_i",
    (1, 4): "urp_i",
    (3, None): "tim_i",
    (128, None): "eco_i",
    (129, None): "ecr_i",
    (137, None): "red_i",
}


def service_table() -> NDArray[np.int64]:
    """Position in SERVICES for every service key: (SERVICE_KEYS,)."""
    table = np.full(SERVICE_KEYS, SERVICES.index("other"), dtype=np.int64)
    for kind in (TCP_PORT, UDP_PORT):
        table[kind << 16 : (kind << 16) + FIRST_HIGH_PORT] = SERVICES.index("private")
    for kind in (ICMP_MESSAGE, ICMPV6_MESSAGE):
        table[kind << 16 : (kind + 1) << 16] = SERVICES.index("icmp")
    for key, name in _named():
        table[key] = SERVICES.index(name)
    return table


def _named() -> Iterator[tuple[int, str]]:
    for kind, services in ((TCP_PORT, TCP_SERVICES), (UDP_PORT, UDP_SERVICES)):
        for name, ports in services.items():
            yield from ((kind << 16 | port, name) for port in ports)
    for kind, messages in ((ICMP_MESSAGE, ICMP_SERVICES), (ICMPV6_MESSAGE, ICMPV6_SERVICES)):
        for (number, code), name in messages.items():
            for each in range(256) if code is None else (code,):
                yield kind << 16 | number << 8 | each, name


@inner
def service_key(protocol: Word, source_port: Word, target_port: Word, icmp: Word) -> Word:
    """Service key of a connection. icmp: type << 8 | code of its first message."""
    if protocol == TCP:
        if source_port == FTP_DATA_PORT:
            return (TCP_PORT << 16) | FTP_DATA_PORT
        return (TCP_PORT << 16) | target_port
    if protocol == UDP:
        return (UDP_PORT << 16) | target_port
    if protocol == ICMP:
        return (ICMP_MESSAGE << 16) | icmp
    if protocol == ICMPV6:
        return (ICMPV6_MESSAGE << 16) | icmp
    return (OTHER_PROTOCOL << 16) | protocol
