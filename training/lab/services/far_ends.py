"""Far ends that attackers set up: a bare port, tunnels in DNS (iodine, dns2tcp) and in echoes (ptunnel-ng)."""

from typing import Final

from training.lab.place import Place
from training.lab.services.names import TUNNELS
from training.lab.services.service import Command, Service
from training.lab.traffic import ICMP, Ports, tcp, udp

TUNNEL_PASSWORD: Final = "gnocchi"  # noqa: S105  the lab's
IODINE_NETWORK: Final = "172.29.7.1"
LISTENER_PORT: Final = 4444
SINK_PORT: Final = 8899  # of what is behind a tunnel: it answers every line with as much

_DNS2TCPD: Final = """listen = {address}
port = 53
user = root
chroot = {directory}/empty
domain = {zone}
key = {key}
resources = sink:{address}:{port}
"""


def _listener(place: Place) -> list[Command]:
    commands = []
    for address in place.addresses:
        kind, bind = ("TCP6", f"[{address}]") if ":" in address else ("TCP4", address)
        answer = f"{kind}-LISTEN:{LISTENER_PORT},bind={bind},reuseaddr,fork,max-children=20"
        commands.append(["socat", answer, "EXEC:cat"])
    return commands


def _name_orders(place: Place) -> list[Command]:
    lines = ["keep-in-foreground", "no-resolv", "no-hosts", "bind-interfaces", "user=root", "log-facility=-"]
    lines += [f"listen-address={place.address}", f"pid-file={place.path('dnsmasq.pid')}"]
    lines.append(f"address=/{TUNNELS['name-orders']}/198.18.0.7")  # whatever is asked for below it
    return [["dnsmasq", "-C", str(place.write("dnsmasq.conf", "\n".join(lines) + "\n"))]]


def _sink(place: Place) -> Command:
    return ["socat", f"TCP-LISTEN:{SINK_PORT},bind={place.address},reuseaddr,fork", "EXEC:cat"]


def _iodine(place: Place) -> list[Command]:
    options = ["-f", "-c", "-P", TUNNEL_PASSWORD, "-l", place.address, "-p", "53"]
    return [["iodined", *options, f"{IODINE_NETWORK}/27", TUNNELS["iodine"]]]


def _dns2tcp(place: Place) -> list[Command]:
    place.folder("empty")
    settings = _DNS2TCPD.format(
        address=place.address, directory=place.directory, zone=TUNNELS["dns2tcp"], key=TUNNEL_PASSWORD, port=SINK_PORT
    )
    return [
        ["nice", "-n", "19", "dns2tcpd", "-F", "-d", "1", "-f", str(place.write("dns2tcpd.conf", settings))],
        _sink(place),
    ]


def _ptunnel(place: Place) -> list[Command]:
    return [_sink(place), ["ptunnel-ng", "-P", TUNNEL_PASSWORD, "-r" + place.address, f"-R{SINK_PORT}"]]


IODINE: Final = Service("iodine", "far end of iodine", ("iodine",), ("iodined",), (udp(53),), _iodine)
DNS2TCP: Final = Service(
    "dns2tcp",
    "far end of dns2tcp",
    ("dns2tcp", "socat"),
    ("dns2tcpd", "socat"),
    (udp(53),),
    _dns2tcp,
    restless=True,
)
PTUNNEL: Final = Service(
    "ptunnel",
    "far end of ptunnel-ng",
    ("ptunnel-ng", "socat"),
    ("ptunnel-ng", "socat"),
    (tcp(SINK_PORT), Ports(ICMP)),
    _ptunnel,
)
LISTENER: Final = Service(
    "listener",
    "a port that answers what it is told",
    ("socat",),
    ("socat",),
    (tcp(LISTENER_PORT),),
    _listener,
    ipv6=True,
)
NAME_ORDERS: Final = Service(
    "name-orders",
    "a name server that answers any name of its zone",
    ("dnsmasq-base",),
    ("dnsmasq",),
    (udp(53),),
    _name_orders,
)
