"""An interface among the sources of a command that takes captures as well."""

import os
import socket
from collections.abc import Sequence

import typer


def interface_of(sources: Sequence[str]) -> str | None:
    """The interface that is named, None where captures are. Raises typer.BadParameter for one beside others."""
    interfaces = {name for _, name in socket.if_nameindex()} if hasattr(socket, "if_nameindex") else set()
    named = [name for name in sources if name in interfaces and not os.path.exists(name)]
    if named and len(sources) > 1:
        raise typer.BadParameter(f"found {named[0]} beside {len(sources) - 1} more, expected captures or one interface")
    return named[0] if named else None
