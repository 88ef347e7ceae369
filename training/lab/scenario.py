"""A scenario of the lab: site, services, users and attacks. It reads no file."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from training.lab.actions import ACTIONS
from training.lab.attacks import ATTACKS
from training.lab.services import SERVICES
from training.lab.stacks import STACKS

LONGEST_S: Final = 3600.0
MOST_HOSTS: Final = 64
LEAST_MTU6: Final = 1280  # of a cable with IPv6; RFC 8200, 5
ROUTER: Final = "router"
MOST_PACKETS: Final = 200_000  # of one attack

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0.0, le=LONGEST_S)]
Time = Annotated[float, Field(ge=0.0, le=LONGEST_S)]
Rate = Annotated[float, Field(gt=0.0, le=5000.0)]


def _both_ends(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value, value)


def _ascending(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"{span[0]:g} to {span[1]:g}, expected the lower end first")
    return span


_SPAN: Final = (BeforeValidator(_both_ends), AfterValidator(_ascending))  # one number is a span without width


class Part(BaseModel):
    """A mapping of the scenario; a key that it does not list is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Segment(Part):
    """A network behind one switch; the router has its first address."""

    network: IPv4Network
    network6: IPv6Network | None = None  # of its hosts that have an IPv6 address too
    capture: bool = False  # a capture of this segment alone, beside the router's
    masquerades: tuple[Name, ...] = ()  # segments whose hosts have the router's IPv4 address here

    @property
    def gateway(self) -> IPv4Address:
        """The router's address."""
        return self.network.network_address + 1

    @property
    def gateway6(self) -> IPv6Address | None:
        """The router's IPv6 address, None where the segment has none."""
        return None if self.network6 is None else self.network6.network_address + 1


class Link(Part):
    """What a host's cable does to frames, the same each way."""

    delay_ms: Annotated[float, Field(ge=0.0, le=2000.0)] = 0.1
    jitter_ms: Annotated[float, Field(ge=0.0, le=500.0)] = 0.0
    loss: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    rate_mbit: Annotated[float, Field(gt=0.0, le=1000.0)] = 100.0
    mtu: Annotated[int, Field(ge=576, le=1500)] = 1500  # of the host; it asks others for segments that fit
    hops: Annotated[int, Field(ge=0, le=30)] = 0  # routers on the way, which lower the TTL


class Habit(Part):
    """What a user does again and again: an action, a pause, the next one."""

    pace_s: Annotated[float, Field(ge=0.5, le=LONGEST_S)]  # mean pause between two actions
    regular: bool = False  # always the same pause, as of a program, instead of a person's
    actions: Annotated[dict[str, Names], Field(min_length=1)]  # action to the hosts that it may go to
    weights: dict[str, Annotated[float, Field(gt=0.0)]] = {}  # how often an action is chosen; 1 where it is not named

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: dict[str, Names]) -> dict[str, Names]:
        for name in actions:
            _expect(name, ACTIONS, "action")
        return actions

    @model_validator(mode="after")
    def _weights_of_actions(self) -> "Habit":
        for name in self.weights:
            _expect(name, self.actions, "action of this habit")
        return self


class Host(Part):
    """A host: one namespace with one address, or one of each version of IP."""

    segment: Name
    address: IPv4Address
    address6: IPv6Address | None = None
    link: Name
    stack: str = "linux"
    services: tuple[str, ...] = ()
    habits: tuple[Name, ...] = ()

    @field_validator("stack")
    @classmethod
    def _known_stack(cls, stack: str) -> str:
        return _expect(stack, STACKS, "stack")

    @field_validator("services")
    @classmethod
    def _known_services(cls, services: tuple[str, ...]) -> tuple[str, ...]:
        taken: dict[tuple[int, int], str] = {}
        for name in services:
            _expect(name, SERVICES, "service")
            first = SERVICES[name].ports[0]
            other = taken.setdefault((first.protocol, first.low), name)
            if other != name or services.count(name) > 1:
                raise ValueError(f"services {other} and {name} have one port, expected them on two hosts")
        return services


class Attack(Part):
    """One episode of an attack, bounded in time and, where its tool counts them, in packets."""

    name: Name
    tool: str
    source: Name  # host that it comes from
    targets: Names  # hosts that it is about
    through: Name | None = None  # host that it goes through, such as a resolver
    at_s: Annotated[tuple[Time, Time], *_SPAN]  # spans: the seed draws from them
    for_s: Annotated[tuple[Seconds, Seconds], *_SPAN]
    packets: Annotated[int, Field(ge=1, le=MOST_PACKETS)] = 2000
    rate: Annotated[tuple[Rate, Rate], *_SPAN] = (100.0, 100.0)  # packets, tries or bytes a second, as its tool says
    ip: Literal[4, 6] | None = None  # version of IP; None: the seed draws it where both are possible

    @field_validator("tool")
    @classmethod
    def _known_tool(cls, tool: str) -> str:
        return _expect(tool, ATTACKS, "tool")


class Scenario(Part):
    """All of a scenario."""

    name: Name
    summary: str
    domain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]*\.(test|lan)$")]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    duration_s: Seconds
    resolver: Name  # host with the service dns, that all others ask
    ipv6_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5  # of what could go by either version of IP
    segments: Annotated[dict[Name, Segment], Field(min_length=1)]
    links: Annotated[dict[Name, Link], Field(min_length=1)]
    habits: dict[Name, Habit] = {}
    hosts: Annotated[dict[Name, Host], Field(min_length=2, max_length=MOST_HOSTS)]
    attacks: tuple[Attack, ...] = ()

    @field_validator("segments")
    @classmethod
    def _translated_once(cls, segments: dict[str, Segment]) -> dict[str, Segment]:
        translating = [name for name, segment in segments.items() if segment.masquerades]
        if len(translating) > 1:
            raise ValueError(f"segments {' and '.join(translating)} masquerade others, expected one that does")
        for name in translating:
            for inside in segments[name].masquerades:
                _expect(inside, [other for other in segments if other != name], f"segment behind {name}")
        return segments

    def by_ipv6(self, attack: Attack) -> bool:
        """Whether an attack could go by IPv6: its tool and all of its hosts have it."""
        return _by_ipv6(attack, self.hosts)

    @field_validator("hosts")
    @classmethod
    def _hosts_in_place(cls, hosts: dict[str, Host], info: ValidationInfo) -> dict[str, Host]:
        seen: dict[IPv4Address | IPv6Address, str] = {}
        if ROUTER in hosts or ROUTER in info.data.get("segments", ()):
            raise ValueError(f"a host or segment named {ROUTER}, expected another name: the router has this one")
        for name, host in hosts.items():
            for kind, part in (("segment", host.segment), ("link", host.link)):
                _expect(part, info.data.get(f"{kind}s", ()), f"{kind} of host {name}")
            for habit in host.habits:
                _expect(habit, info.data.get("habits", ()), f"habit of host {name}")
            segment, link = info.data["segments"][host.segment], info.data["links"][host.link]
            if host.address6 is not None and segment.network6 is None:
                raise ValueError(f"host {name} has {host.address6}, expected a network6 of its segment {host.segment}")
            if host.address6 is not None and link.mtu < LEAST_MTU6:
                raise ValueError(f"host {name} has {host.address6} and an mtu of {link.mtu}, expected {LEAST_MTU6}")
            for address, gateway in ((host.address, segment.gateway), (host.address6, segment.gateway6)):
                if address is None:
                    continue
                if address == gateway:
                    raise ValueError(f"host {name} has the router's address {gateway}, expected another one")
                if address in seen:
                    raise ValueError(f"hosts {seen[address]} and {name} both have {address}, expected two")
                seen[address] = name
        return hosts

    @field_validator("attacks")
    @classmethod
    def _attacks_in_place(cls, attacks: tuple[Attack, ...], info: ValidationInfo) -> tuple[Attack, ...]:
        hosts, duration_s = info.data.get("hosts", {}), info.data.get("duration_s", 0.0)
        seen: set[str] = set()
        for attack in attacks:
            for host in (attack.source, *attack.targets, *((attack.through,) if attack.through else ())):
                _expect(host, hosts, f"host of attack {attack.name}")
            end_s = attack.at_s[1] + attack.for_s[1]
            if end_s > duration_s:
                raise ValueError(f"attack {attack.name} ends at {end_s:g} s, expected {duration_s:g} s or before")
            if attack.name in seen:
                raise ValueError(f"two attacks are named {attack.name}, expected a name for each")
            seen.add(attack.name)
            services = {name: host.services for name, host in hosts.items()}
            ATTACKS[attack.tool].refuse(attack.through, services, attack.targets)
            if attack.ip == 6 and not _by_ipv6(attack, hosts):
                raise ValueError(f"attack {attack.name} by IPv6: its tool or one of its hosts has none, expected ip: 4")
        return attacks

    @model_validator(mode="after")
    def _whole(self) -> "Scenario":
        _expect(self.resolver, self.hosts, "host as resolver")
        if "dns" not in self.hosts[self.resolver].services:
            raise ValueError(f"resolver: host {self.resolver} has no service dns, expected one that has")
        for name, habit in self.habits.items():
            for action, targets in habit.actions.items():
                service = ACTIONS[action].service
                for target in targets:
                    _expect(target, self.hosts, f"host of habit {name}")
                    if service is not None and service not in self.hosts[target].services:
                        raise ValueError(f"habits.{name}: {action} needs the service {service}, {target} has none")
        self._refuse_uncalled()
        return self

    def _refuse_uncalled(self) -> None:
        """Raise ValueError where somebody asks a host that stands behind the router's address."""
        asked = [
            (attack.source, target, f"attack {attack.name}") for attack in self.attacks for target in attack.targets
        ]
        for name, host in self.hosts.items():
            for habit in host.habits:
                targets = {target for some in self.habits[habit].actions.values() for target in some}
                asked += [(name, target, f"habit {habit} of host {name}") for target in sorted(targets)]
        for source, target, what in asked:
            hidden = self.segments[self.hosts[source].segment].masquerades
            if self.hosts[target].segment in hidden:
                raise ValueError(
                    f"{what} goes to {target}, which stands behind the router's address, expected one in view"
                )


def _by_ipv6(attack: Attack, hosts: dict[str, Host]) -> bool:
    parties = (attack.source, *attack.targets, *((attack.through,) if attack.through else ()))
    tool = ATTACKS[attack.tool]
    works = tool.ipv6 and (tool.service is None or SERVICES[tool.service].ipv6)
    return works and all(hosts[name].address6 is not None for name in parties)


def _expect(name: str, known: Any, what: str) -> str:
    """The name, which must be known. Raises ValueError."""
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}, expected one of {', '.join(sorted(known)) or 'none'}")
    return name
