"""A watch shown to others on the machine: the socket while there are privileges, the server once they have gone."""

import importlib
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sensor.version import VERSION

if TYPE_CHECKING:
    from sensor.attach.place import Place
    from sensor.files.descriptors import Owner
    from sensor.run.watching import Watch
    from sensor.settings.config import Config


def opened_place(stack: ExitStack, config: "Config", user: "Owner | None") -> "Place | None":
    """The socket of attach.socket, None where that is null. Raises ConfigError."""
    if config.attach.socket is None:
        return None
    from sensor.attach.place import listen

    importlib.import_module("sensor.attach.server")  # while its file can still be read
    place = listen(config.attach.socket, user, config.attach.group)
    stack.callback(place.leave)
    return place


def show_to_others(stack: ExitStack, place: "Place | None", watch: "Watch", source: str, bundle: str) -> None:
    """What the outputs get goes to those who look too, from now on."""
    if place is None:
        return
    from sensor.attach.protocol import Hello
    from sensor.attach.server import AttachServer

    server = AttachServer(place, Hello(VERSION, watch.observer.name, source, bundle))
    server.latest, server.problem = lambda: watch.progress, lambda: watch.reports.problem
    watch.outlet.sinks = [*watch.outlet.sinks, stack.enter_context(server)]
