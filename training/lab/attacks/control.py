"""Command and control: beacons of the lab's own client."""

import sys
from typing import Final

from training.lab.attacks.tool import Order, Tool, addresses, straight
from training.lab.place import Place
from training.lab.traffic import tcp


def _beacon(jitter: float, scheme: str, place: Place, order: Order) -> list[list[str]]:
    options = ["--period", f"{1 / order.rate:g}", "--jitter", f"{jitter:g}", "--seed", str(order.seed)]
    url = f"{scheme}://{addresses(place, order)[0]}/api"
    return [[sys.executable, "-m", "training.lab.clients.beacon", *options, "--for", f"{order.for_s:g}", url]]


CONTROL: Final = (
    Tool(
        "beacon-http",
        "asks for orders, rate times a second, 10 % jitter",
        "T1071.001",
        (),
        (),
        lambda place, order: _beacon(0.1, "http", place, order),
        straight(tcp(80)),
        service="http",
    ),
    Tool(
        "beacon-https",
        "asks for orders by TLS, rate times a second, 30 % jitter",
        "T1071.001",
        (),
        (),
        lambda place, order: _beacon(0.3, "https", place, order),
        straight(tcp(443)),
        service="https",
    ),
)
