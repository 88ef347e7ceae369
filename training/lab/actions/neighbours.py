"""What hosts ask everybody on their segment: names by NetBIOS, screens and printers by mDNS, SSDP and LLMNR."""

import sys
from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.place import Place
from training.lab.traffic import Shout, udp

NETBIOS: Final = (udp(137), udp(138))


def _discover(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  it asks everybody
    client = [sys.executable, "-P", "-m", "training.lab.clients.discover", place.address]
    return [Step([*client, "--seed", str(draw.getrandbits(31))])]


def _netbios(place: Place, target: str, draw: Random) -> list[Step]:
    """The name of a host that is there, or of one that is not, asked of all."""
    broadcast = str(place.site.networks[place.host].broadcast_address)
    name = draw.choice((target.upper(), "OLDSERVER", "WORKGROUP"))
    command = ["nmblookup", "-s", "/dev/null", "-B", broadcast, name]
    return [Step(["sh", "-c", '"$@" >/dev/null; true', "sh", *command])]


NEIGHBOURS: Final = (
    Action(
        "discover",
        "looks for screens and printers",
        (),
        (),
        None,
        _discover,
        shouts=(
            Shout(udp(5353), "224.0.0.251"),
            Shout(udp(1900), "239.255.255.250"),
            Shout(udp(5355), "224.0.0.252"),
        ),
    ),
    Action(
        "netbios",
        "asks all for a name",
        ("samba-common-bin",),
        ("nmblookup",),
        "netbios",
        _netbios,
        among=NETBIOS,
        shouts=tuple(map(Shout, NETBIOS)),
    ),
)
