"""The alert: what a run says of an episode in one line.

It is the record in memory alone: what of it stands where in the line is declared in sensor.alerts.alert_record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sensor.alerts.deviation import Deviation
from sensor.alerts.seen_names import NO_HELLO, SeenName, TlsHello
from sensor.alerts.spread import Spread, counted
from sensor.alerts.techniques import Technique

Action = Literal["opened", "updated", "closed"]
Verdict = Literal["attack", "uncertain"]
Lane = Literal["known", "novel", "both", "shape"]
Direction = Literal["inbound", "outbound", "internal", "external"]  # of the flow shown, by the networks that are ours

_TRANSPORT = {
    **{1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp"},
    **{88: "eigrp", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp"},
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of the flow shown."""

    ip: str  # its address as text
    port: int | None  # None where the protocol has none
    bytes: int  # payload that it sent
    packets: int  # packets that it sent
    domain: str | None = None  # the asset's name in the site's notes
    # By the operator's databases (sensor.geoip), None where they do not say: shown and never judged.
    country: str | None = None  # where its network is, as ISO 3166-1 has it: two capitals
    city: str | None = None  # the same, in English
    as_number: int | None = None  # of the autonomous system that announces its network
    as_organization: str | None = None  # whose system that is
    names: Sequence[SeenName] = ()  # that DNS answers told of its address, the latest first


@dataclass(frozen=True, slots=True)
class Muted:
    """Why a note of the site says that nobody need look at an alert (sensor.site)."""

    by: str  # the rule, asset or mark
    why: str  # as the operator wrote it
    until_ns: int | None = None  # after which it mutes nothing, None: without end


@dataclass(frozen=True, slots=True)
class Grade:
    """How bad and how urgent an alert is."""

    severity: int  # 0 to 100
    risk: float  # 0 to 100


@dataclass(frozen=True, slots=True)
class Observer:
    """The sensor that speaks."""

    name: str  # its name, by default the host's
    version: str  # of flowvigil
    run: str | None = None  # which run of it, where that is a live one: another one after each start


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The bundle that judged."""

    id: str  # its name
    sha256: str  # of its weights, 64 hexadecimal digits


@dataclass(frozen=True, slots=True)
class Alert:
    """One line about an episode.

    The flow shown is the one that speaks strongest: with the smallest p-value against its lane's cut, the known lane
    first, the first of equals. p_known, p_novel, scores, deviations, source, destination and community_id are its own.
    """

    time_ns: int  # traffic time at which this line became true
    action: Action  # what became of the episode
    id: str  # name of the episode, the same in each of its lines: 26 letters of base 32
    sequence: int  # number of the line, without gaps, from 1
    severity: int  # how bad it is if it is true, 0 to 100
    risk: float  # severity weighed with the evidence, 0 to 100
    start_ns: int  # first packet of the flagged flows
    end_ns: int  # last packet of the flagged flows
    reason: str  # what the flagged flows look like, in one sentence
    source: Endpoint  # the host that the episode is about; of several, the one that speaks strongest
    destination: Endpoint  # the other side of the flow shown
    ip_version: int  # 4 or 6
    protocol: int  # IP number
    community_id: str  # name of the flow shown that other tools compute alike (sensor.alerts.community_id)
    technique: Technique | None  # what ATT&CK calls it, None where neither a class nor the shape of the episode says so
    verdict: Verdict  # how sure it is
    lane: Lane  # which detectors speak for it, "shape" where none does
    label: str | None  # what the known lane most often said, None where it was silent
    p_known: float  # P-value of the known lane; NaN where it has none
    p_novel: float  # P-value of the novel lane; NaN where it has none
    scores: Mapping[str, float]  # by detector, 0 to 1; higher is more anomalous
    # The columns of the flow shown that are furthest from normal traffic, the furthest first.
    deviations: tuple[Deviation, ...]
    spread: Spread  # how many flows, targets and ports in how long
    model: ModelIdentity  # the bundle that judged
    observer: Observer  # the sensor that speaks
    dropped: int  # packets that the capture had lost by then
    # Alerts of single hosts that this one tells as one (sensor.episodes.storms), 0 for an alert of one host.
    hosts_merged: int = 0
    habit: float | None = None  # share of the site's learning period in which it was there too, None: it is no habit
    target_ips: tuple[str, ...] = ()  # the first distinct targets
    target_ports: tuple[int, ...] = ()  # the first distinct destination ports
    packets_file: str | None = None  # name of the capture that gets its packets, None where none are kept
    tls: TlsHello = NO_HELLO  # of the flow shown
    capture: str | None = None  # path of the capture that it was found in, None where that is not one file
    # What the site's notes made of it, all None without any.
    direction: Direction | None = None
    muted: Muted | None = None
    before_notes: Grade | None = None  # severity and risk where notes changed them

    @property
    def key(self) -> tuple[str, str, str]:
        """Of the episode, among those of all sensors and captures: the same packets may give one id in two of them."""
        return self.observer.name, self.capture or "", self.id

    @property
    def title(self) -> str:
        """What it is called: the technique's name or id, or that it is only unusual.

        The names of command and control say by what means alone (DNS, Web Protocols), so the tactic stands before them.
        """
        technique = self.technique
        if technique is None:
            return "Unusual traffic"
        name = technique.name or technique.id
        return f"{technique.tactic}: {name}" if technique.tactic == "Command and Control" else name

    @property
    def sources(self) -> int:
        """How many alerts of single hosts or pairs it tells as one: 1 but in a storm."""
        return max(1, self.hosts_merged)

    @property
    def storm(self) -> bool:
        """Whether it tells of many hosts as one."""
        return self.hosts_merged > 0

    @property
    def many_sources(self) -> bool:
        """Whether it is not about one source: its flows came from several, or it is a storm."""
        return self.storm or self.spread.origins > 1 or self.spread.origins_more

    @property
    def origin(self) -> str:
        """Who did it: the source's address, or of several how many hosts."""
        if self.spread.origins > 1 or self.spread.origins_more:
            return counted(self.spread.origins, "host", more=self.spread.origins_more)
        return self.source.ip

    @property
    def transport(self) -> str:
        """Name of the protocol, its number where it has none here."""
        return transport_of(self.protocol)


def transport_of(protocol: int) -> str:
    """Name of an IP protocol in ECS, its number where it has none here."""
    return _TRANSPORT.get(protocol, str(protocol))


def service_in_words(port: int | None, protocol: int) -> str:
    """A service as a site's notes name it: `tcp/443`, without a port `icmp`."""
    return transport_of(protocol) if port is None else f"{transport_of(protocol)}/{port}"
