"""What traffic itself said of the flow that an alert shows: names of its addresses, and its TLS hello.

Strangers choose these names, so they are shown and searched, and nothing is judged by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SeenName:
    """A name that a DNS answer told of an address."""

    name: str
    seen_ns: int  # when it was told last
    asker: str  # address of who asked
    reverse: bool = False  # whether the address was asked for, and not the name


@dataclass(frozen=True, slots=True)
class TlsHello:
    """What the client of a TLS connection said of it."""

    server_name: str | None = None  # the server that it asked for (SNI)
    ja4: str | None = None  # fingerprint of the client, None where not all of its hello was seen


NO_HELLO: Final = TlsHello()


@dataclass(frozen=True, slots=True)
class FlowNames:
    """What was said of a flow."""

    source: Sequence[SeenName] = ()  # of its originator's address, the latest first
    destination: Sequence[SeenName] = ()
    tls: TlsHello = NO_HELLO
