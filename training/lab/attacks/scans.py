"""Scans: nmap of several kinds and paces, and masscan."""

from collections.abc import Callable
from typing import Final

from training.lab.attacks.tool import Order, Reach, Tool, addresses, only, straight
from training.lab.place import Place
from training.lab.traffic import ANY_TCP, ANY_UDP, ECHO, tcp

SCAN: Final = "T1046"


def _ports(order: Order) -> str:
    """So many ports of each target that the packets suffice, the low ones first."""
    return f"1-{max(1, min(65_535, order.packets // len(order.targets)))}"


def _version(order: Order) -> list[str]:
    return ["-6"] if order.ip == 6 else []


def _nmap(*kind: str) -> Callable[[Place, Order], list[list[str]]]:
    def commands(place: Place, order: Order) -> list[list[str]]:
        pace = ["--max-rate", f"{order.rate:g}", "--max-retries", "1", "--host-timeout", f"{order.for_s:.0f}s"]
        return [["nmap", *_version(order), "-n", "-Pn", *kind, "-p", _ports(order), *pace, *addresses(place, order)]]

    return commands


def _slow(place: Place, order: Order) -> list[list[str]]:
    """One probe each 1/rate seconds, of ports that are often open."""
    probes = max(1, min(order.packets, int(order.for_s * order.rate)) // len(order.targets))
    delay = ["--scan-delay", f"{1000 / order.rate:.0f}ms", "--max-parallelism", "1", "--max-retries", "0"]
    return [
        ["nmap", *_version(order), "-n", "-Pn", "-sS", "--top-ports", str(probes), *delay, *addresses(place, order)]
    ]


def _versions(place: Place, order: Order) -> list[list[str]]:
    count = max(1, min(order.packets // len(order.targets), 200))
    options = ["-sV", "--version-intensity", "4", "--top-ports", str(count), "--host-timeout", f"{order.for_s:.0f}s"]
    return [["nmap", *_version(order), "-n", "-Pn", *options, *addresses(place, order)]]


def _sweep(place: Place, order: Order) -> list[list[str]]:
    networks = sorted({str(place.site.networks[target]) for target in order.targets})
    return [["nmap", "-n", "-sn", "-PE", "-PS80,443", "--max-rate", f"{order.rate:g}", "--max-retries", "1", *networks]]


def _sweep_reaches(place: Place, order: Order) -> list[Reach]:
    networks = tuple({place.site.networks[target] for target in order.targets})
    return [Reach(only(place, place.host), networks, (ECHO, tcp(80), tcp(443)))]


def _masscan(place: Place, order: Order) -> list[list[str]]:
    rate = ["--rate", f"{order.rate:g}", "--wait", "2", "--seed", str(order.seed)]
    return [["masscan", *addresses(place, order), "-p", _ports(order), *rate]]


_NMAP: Final = (("nmap",), ("nmap",))

SCANS: Final = (
    Tool("nmap-syn", "SYN scan", SCAN, *_NMAP, _nmap("-sS"), straight(ANY_TCP), ipv6=True),
    Tool("nmap-connect", "scan by whole connections", SCAN, *_NMAP, _nmap("-sT"), straight(ANY_TCP), ipv6=True),
    Tool("nmap-fin", "FIN scan", SCAN, *_NMAP, _nmap("-sF"), straight(ANY_TCP), ipv6=True),
    Tool("nmap-udp", "UDP scan", SCAN, *_NMAP, _nmap("-sU"), straight(ANY_UDP), ipv6=True),
    Tool("nmap-slow", "SYN scan with a pause after each probe", SCAN, *_NMAP, _slow, straight(ANY_TCP), ipv6=True),
    Tool("nmap-versions", "asks services what they are", SCAN, *_NMAP, _versions, straight(ANY_TCP), ipv6=True),
    Tool("nmap-sweep", "asks all addresses of a network", "T1018", *_NMAP, _sweep, _sweep_reaches, arp=True),
    Tool("masscan", "SYN scan by a stack of its own", SCAN, ("masscan",), ("masscan",), _masscan, straight(ANY_TCP)),
)
