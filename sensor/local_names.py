"""Whether an HTTP request is meant for this machine by a name that is only its own.

A page of a stranger can make a browser ask this machine under a name of the stranger's that points here (DNS
rebinding): its Host header then has that name. Source: RFC 9110, 7.2.
"""

from typing import Final

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def host_name(host: str) -> str:
    """The name or address of a Host header, lower case, without port and brackets; whatever stands there else."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
