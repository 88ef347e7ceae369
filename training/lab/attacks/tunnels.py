"""Tunnels in DNS, by the site's own resolver, and in echoes; each carries some bytes each 1/rate seconds."""

from typing import Final

from training.lab.attacks.tool import Order, Reach, Tool, addresses, only, straight
from training.lab.place import Place
from training.lab.services.far_ends import IODINE_NETWORK, SINK_PORT, TUNNEL_PASSWORD
from training.lab.services.names import TUNNELS
from training.lab.traffic import ECHO, udp

DNS2TCP_PORT, PTUNNEL_PORT = 2222, 2223  # at the near end

# The tunnel, then lines through it until the time is up: a few hundred bytes, now and then some thousands.
_IODINE: Final = """iodine -f -r -m 900 -P "$1" "$2" "$3" &
sleep 5
exec ping -n -i "$4" -s "$5" "$6"
"""
_LINES: Final = """"$@" &
sleep 3
number=0
while [ "$number" -lt 5000 ]; do
  number=$((number + 1))
  head -c $((200 + number % 7 * 300)) /dev/zero | tr '\\0' x
  echo
  sleep "$PAUSE"
done | socat -t 5 - "TCP:127.0.0.1:$PORT,retry=10,interval=1" >/dev/null
"""


def _pause(order: Order) -> str:
    return f"{max(0.2, 1 / order.rate):g}"


def _iodine(place: Place, order: Order) -> list[list[str]]:
    resolver = place.site.addresses[order.through or ""]
    given = [TUNNEL_PASSWORD, resolver, TUNNELS["iodine"], _pause(order), "600", IODINE_NETWORK]
    return [["sh", "-c", _IODINE, "sh", *given]]


def _lines(order: Order, port: int, command: list[str]) -> list[list[str]]:
    script = f"PAUSE={_pause(order)} PORT={port}\n{_LINES}"
    return [["sh", "-c", script, "sh", *command]]


def _dns2tcp(place: Place, order: Order) -> list[list[str]]:
    resolver = place.site.addresses[order.through or ""]
    options = ["-z", TUNNELS["dns2tcp"], "-k", TUNNEL_PASSWORD, "-r", "sink", "-l", str(DNS2TCP_PORT), "-T", "TXT"]
    return _lines(order, DNS2TCP_PORT, ["dns2tcpc", *options, resolver])


def _ptunnel(place: Place, order: Order) -> list[list[str]]:
    far = addresses(place, order)[0]
    options = ["-P", TUNNEL_PASSWORD, f"-p{far}", f"-l{PTUNNEL_PORT}", f"-r{far}", f"-R{SINK_PORT}"]
    return _lines(order, PTUNNEL_PORT, ["ptunnel-ng", *options])


def by_resolver(place: Place, order: Order) -> list[Reach]:
    """From the host to its resolver, by the tool's own sockets; from the resolver to the far end."""
    resolver = only(place, order.through or "")
    return [
        Reach(only(place, place.host), resolver, (udp(53),), own_ports=True),
        Reach(resolver, only(place, *order.targets), (udp(53),)),
    ]


TUNNELLERS: Final = (
    Tool(
        "iodine",
        "IP in DNS",
        "T1071.004",
        ("iodine", "iputils-ping"),
        ("iodine", "ping"),
        _iodine,
        by_resolver,
        service="iodine",
        through_service="dns",
    ),
    Tool(
        "dns2tcp",
        "TCP in DNS",
        "T1071.004",
        ("dns2tcp", "socat"),
        ("dns2tcpc", "socat"),
        _dns2tcp,
        by_resolver,
        service="dns2tcp",
        through_service="dns",
    ),
    Tool(
        "ptunnel",
        "TCP in echoes",
        "T1095",
        ("ptunnel-ng", "socat"),
        ("ptunnel-ng", "socat"),
        _ptunnel,
        straight(ECHO),
        service="ptunnel",
    ),
)
