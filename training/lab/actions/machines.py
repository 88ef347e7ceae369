"""What machines do on their own: time, names, state, measurements."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.place import Place
from training.lab.traffic import ECHO, tcp

CHECKED: Final = (22, 25, 80, 443)
OFF: Final = 8081  # where nobody listens


def _time(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  an action's arguments
    """A look at the time, which changes no clock."""
    pid = f"pidfile {place.path('chronyd.pid')}"
    options = ["-Q", "-u", "root", "-t", "8", "cmdport 0", "bindcmdaddress /", pid]
    return [Step(["chronyd", *options, f"server {place.site.addresses[target]} iburst maxsamples 4"])]


def _lookups(place: Place, target: str, draw: Random) -> list[Step]:
    names = [place.site.name(name) for name in draw.sample(sorted(place.site.addresses), 3)]
    names += [f"{draw.choice(('wpad', 'isatap', 'printer', 'update'))}.{place.site.domain}"] * (draw.random() < 0.4)
    server = f"@{place.site.addresses[target]}"
    return [Step(["dig", "+short", "+tries=2", "+timeout=2", server, name], draw.random()) for name in names]


def _poll(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  an action's arguments
    """What a monitoring system asks of a device."""
    options = ["-v2c", "-c", "public", "-r", "1", "-t", "2", place.site.addresses[target]]
    objects = ["1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.2.1.0"]
    return [Step(["snmpget", *options, *objects]), Step(["snmpbulkwalk", *options, "1.3.6.1.2.1.2.2"])]


def _publish(place: Place, target: str, draw: Random) -> list[Step]:
    reading = f'{{"t": {draw.gauss(21, 2):.2f}, "rh": {draw.gauss(45, 5):.1f}, "id": "{place.host}"}}'
    topic = f"site/{place.host}/climate"
    return [Step(["mosquitto_pub", "-h", place.site.addresses[target], "-t", topic, "-m", reading, "-q", "1"])]


def _stream(place: Place, target: str, draw: Random) -> list[Step]:
    """Measurements for a while by one connection, as most things tell them."""
    lines = [f'{{"t": {draw.gauss(21, 2):.2f}, "id": "{place.host}"}}' for _ in range(draw.randint(4, 12))]
    script = 'pause=$1; shift; for line; do echo "$line"; sleep "$pause"; done | mosquitto_pub -h "$HUB" -t "$TOPIC" -l'
    given = f"HUB={place.site.addresses[target]} TOPIC=site/{place.host}/stream\nexport HUB TOPIC\n"
    return [Step(["sh", "-c", given + script, "sh", f"{draw.uniform(2, 6):.2f}", *lines])]


def _subscribe(place: Place, target: str, draw: Random) -> list[Step]:
    options = ["-h", place.site.addresses[target], "-t", "site/#", "-W", str(draw.randint(15, 50)), "-k", "20"]
    until_late = 'mosquitto_sub "$@"; test $? = 27'  # its code when the time is up
    return [Step(["sh", "-c", until_late, "sh", *options])]


def _registers(place: Place, target: str, draw: Random) -> list[Step]:
    options = ["-m", "tcp", "-a", "1", "-t", "4", "-1", "-r", str(draw.choice((1, 17, 33))), "-c", "8"]
    return [Step(["mbpoll", *options, place.site.addresses[target]])]


def _steer(place: Place, target: str, draw: Random) -> list[Step]:
    options = ["-m", "tcp", "-a", "1", "-t", "4", "-r", str(draw.randint(100, 110)), place.site.addresses[target]]
    return [Step(["mbpoll", *options, str(draw.randrange(4096))])]


def _ping(place: Place, target: str, draw: Random) -> list[Step]:
    return [Step(["ping", "-n", "-c", str(draw.randint(2, 5)), "-W", "2", place.site.addresses[target]])]


def _port_check(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  an action's arguments
    """What a monitoring system does with servers: a connection to each service, at once closed again."""
    script = 'for port in $2; do socat -u OPEN:/dev/null "TCP:$1:$port,connect-timeout=3"; done; true'
    return [Step(["sh", "-c", script, "sh", place.site.addresses[target], " ".join(map(str, CHECKED))])]


def _retry(place: Place, target: str, draw: Random) -> list[Step]:
    """A program whose server is gone: it asks some times, waits longer each time, and gives up for now."""
    url = f"http://{place.site.in_url(target)}:{OFF}/"
    waits = [0.5 * 2**number for number in range(draw.randint(2, 5))]
    return [Step(["sh", "-c", 'curl -s --max-time 4 -o /dev/null "$1"; true', "sh", url], wait) for wait in waits]


_MODBUS: Final = (("mbpoll",), ("mbpoll",), "modbus")
_MQTT: Final = ("mosquitto-clients",)

MACHINES: Final = (
    Action("time", "asks for the time", ("chrony",), ("chronyd",), "ntp", _time, ipv6=True),
    Action("lookups", "asks for names", ("bind9-dnsutils",), ("dig",), "dns", _lookups, ipv6=True),
    Action("poll", "asks a device for its state", ("snmp",), ("snmpget", "snmpbulkwalk"), "snmp", _poll),
    Action("publish", "tells a measurement", _MQTT, ("mosquitto_pub",), "mqtt", _publish, ipv6=True),
    Action(
        "stream",
        "tells measurements by one connection",
        _MQTT,
        ("mosquitto_pub",),
        "mqtt",
        _stream,
        longest_s=90,
        ipv6=True,
    ),
    Action(
        "subscribe", "listens to measurements", _MQTT, ("mosquitto_sub",), "mqtt", _subscribe, longest_s=70, ipv6=True
    ),
    Action("registers", "reads registers of a plant", *_MODBUS, _registers),
    Action("steer", "writes a register of a plant", *_MODBUS, _steer),
    Action("ping", "asks whether a host is there", ("iputils-ping",), ("ping",), None, _ping, other=(ECHO,), ipv6=True),
    Action(
        "port-check",
        "looks whether services of a server take connections",
        ("socat",),
        ("socat",),
        None,
        _port_check,
        other=tuple(tcp(port) for port in CHECKED),
    ),
    Action(
        "retry", "asks a server that is switched off", ("curl",), ("curl",), None, _retry, other=(tcp(OFF),), ipv6=True
    ),
)
