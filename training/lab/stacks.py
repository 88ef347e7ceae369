"""Settings of a host's network stack, one set for each kind of system, so that no tool is told by its host's kernel.

All namespaces share one kernel: without these, every host would have the same TTL, windows, options and source ports.
Source: Documentation/networking/ip-sysctl.rst of Linux.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final


def _stack(ttl: int, ports: tuple[int, int], receive: int, scaling: int, timestamps: int, sack: int) -> dict[str, str]:
    return {
        "net/ipv4/ip_default_ttl": str(ttl),
        "net/ipv6/conf/default/hop_limit": str(ttl),
        "net/ipv4/ip_local_port_range": f"{ports[0]} {ports[1]}",
        "net/ipv4/tcp_rmem": f"4096 {receive} {max(4 << 20, receive)}",
        "net/ipv4/tcp_window_scaling": str(scaling),
        "net/ipv4/tcp_timestamps": str(timestamps),
        "net/ipv4/tcp_sack": str(sack),
    }


STACKS: Final[Mapping[str, Mapping[str, str]]] = {
    "linux": _stack(64, (32768, 60999), 131_072, 1, 1, 1),
    "linux-old": _stack(64, (32768, 61000), 87_380, 1, 1, 1),
    "windows": _stack(128, (49152, 65535), 262_144, 1, 0, 1),
    "macos": _stack(64, (49152, 65535), 196_608, 1, 1, 1),
    "freebsd": _stack(64, (10000, 65535), 65_536, 1, 1, 1),
    "embedded": _stack(255, (1025, 5000), 16_384, 0, 0, 0),
    "phone": _stack(64, (37000, 50000), 110_592, 1, 1, 1),
}
# Of every host, whatever its stack: no redirects, answers to pings, no chatter of the system's own.
EVERYWHERE: Final[Mapping[str, str]] = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv4/ping_group_range": "0 2147483647",
    "net/ipv4/tcp_no_metrics_save": "1",
}
# Of one that has an IPv6 address too, which it is told: it asks no router and does not doubt its address.
WITH_IPV6: Final[Mapping[str, str]] = {
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/autoconf": "0",
    "net/ipv6/conf/default/accept_redirects": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
    "net/ipv6/conf/default/accept_dad": "0",
}


def congestion_control() -> dict[str, str]:
    """What most systems use, where this one lets a namespace have it; else the oldest, which is always there."""
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text(encoding="ascii").split()
    return {"net/ipv4/tcp_congestion_control": "cubic" if "cubic" in allowed else "reno"}
