"""Command and control: beacons of the lab's own client, to web servers, bare ports and name servers."""

import sys
from collections.abc import Callable
from typing import Final

from training.lab.attacks.tool import Order, Reach, Tool, in_urls, straight
from training.lab.attacks.tunnels import by_resolver
from training.lab.place import Place
from training.lab.services.far_ends import LISTENER_PORT
from training.lab.services.names import TUNNELS
from training.lab.traffic import tcp

Url = Callable[[Place, Order], str]


def _at(form: str) -> Url:
    """The address of the first target, in a form."""
    return lambda place, order: form.format(in_urls(place, order)[0])


def _in_names(place: Place, order: Order) -> str:
    return f"dns://{place.site.addresses[order.through or '']}/{TUNNELS['name-orders']}"


def _beacon(
    name: str,
    summary: str,
    technique: str,
    service: str,
    reaches: Callable[[Place, Order], list[Reach]],
    url: Url,
    jitter: float,
    through_service: str | None = None,
) -> Tool:
    """A beacon that asks rate times a second, give or take the share jitter of its pauses."""

    def commands(place: Place, order: Order) -> list[list[str]]:
        options = ["--period", f"{1 / order.rate:g}", "--jitter", f"{jitter:g}", "--seed", str(order.seed)]
        client = [sys.executable, "-m", "training.lab.clients.beacon"]
        return [[*client, *options, "--for", f"{order.for_s:g}", url(place, order)]]

    by_ipv6 = through_service is None
    own = (name, summary, technique, (), (), commands, reaches)
    return Tool(*own, service=service, through_service=through_service, ipv6=by_ipv6)


_BARE: Final = ("T1571", "listener", straight(tcp(LISTENER_PORT)))

CONTROL: Final = (
    _beacon("beacon-http", "asks by HTTP", "T1071.001", "http", straight(tcp(80)), _at("http://{}/api"), 0.1),
    _beacon("beacon-https", "asks by TLS", "T1071.001", "https", straight(tcp(443)), _at("https://{}/api"), 0.3),
    _beacon("beacon-tcp", "asks at a bare port", *_BARE, _at(f"tcp://{{}}:{LISTENER_PORT}"), 0.2),
    _beacon("held-channel", "asks by one connection", *_BARE, _at(f"held://{{}}:{LISTENER_PORT}"), 0.05),
    _beacon("beacon-dns", "asks by names", "T1071.004", "name-orders", by_resolver, _in_names, 0.2, "dns"),
)
