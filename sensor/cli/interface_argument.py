"""An interface among the sources of a command that takes captures as well."""

import os
import socket
from collections.abc import Sequence

import typer

from sensor.errors import InputError
from sensor.printable import printable


def interface_of(sources: Sequence[str], listen: str | None) -> str | None:
    """The interface that is named, None where captures are.

    listen: what was said of how long to listen, None for nothing. Raises typer.BadParameter for an interface beside
    others, and for a time to listen where captures are named; InputError for a name that is neither.
    """
    interfaces = {name for _, name in socket.if_nameindex()} if hasattr(socket, "if_nameindex") else set()
    named = [name for name in sources if name in interfaces and not os.path.exists(name)]
    if named and len(sources) > 1:
        raise typer.BadParameter(f"found {named[0]} beside {len(sources) - 1} more, expected captures or one interface")
    if named:
        return named[0]
    if listen is not None:
        known = ", ".join(sorted(interfaces)) or "none here"
        raise typer.BadParameter(
            f"found it beside {printable(sources[0], 100)}, expected an interface to listen to ({known})",
            param_hint="--for",
        )
    for name in sources:
        if name != "-" and "/" not in name and not os.path.lexists(name):
            known = ", ".join(sorted(interfaces)) or "none here"
            raise InputError(f"{name}: found no such file or interface, expected captures, or one of {known}")
    return None
