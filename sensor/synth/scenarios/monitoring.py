"""Monitoring: a machine asks others how they are, at a fixed period and for ever; much of it looks like an attack.

Polls are as regular as a beacon, checks by half a handshake look like a scan's, and who checks forty services reaches
more hosts than any client. What tells them apart: the asked are the same ones each time, and they answer.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.datagrams import Message, dialogue
from sensor.synth.protocols import http, snmp, tls
from sensor.synth.randomness import child, pause_ns
from sensor.synth.scenarios.lookups import server_name
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, Site, inside, local_path, outward_path, remote_server
from sensor.synth.stacks import MS
from sensor.synth.truth import Exchange, Purpose

SNMP = Purpose("snmp-polling")
AGENTS = Purpose("agent-polling")
HEALTH = Purpose("health-checks")
UPTIME = Purpose("uptime-checks")

_MONITOR = inside("monitor", 20)
_BALANCER = inside("balancer", 21)
_ITEMS = ("system.cpu.load[all,avg1]", "vm.memory.size[available]", "net.if.in[eth0]", "agent.ping")


def snmp_polling(
    *, hosts: int = 10, every_s: float = 60.0, questions: int = 2, new_ports: bool = True, hours: float = 2.0
) -> Scenario:
    """Questions for some values over UDP 161 to each host every period, each answered.

    hosts: at most 60. new_ports: a source port for each poll; else one for each host, which makes one flow of all.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        for host in _hosts(hosts):
            kept: list[Message] = []
            for at_ns in span.first(hours * 3600).ticks(rng, every_s, 0.01):
                poll = list(_poll(rng, at_ns))
                if new_ports:
                    yield dialogue((_MONITOR, host), (site.port(_MONITOR, rng), 161), poll, rng, SNMP)
                kept += poll
            if kept and not new_ports:
                yield dialogue((_MONITOR, host), (site.port(_MONITOR, rng), 161), kept, rng, SNMP)

    def _poll(rng: Random, at_ns: int) -> Iterator[Message]:
        for _ in range(questions):
            ident, objects = rng.getrandbits(31), rng.randrange(4, 9)
            yield Message(at_ns, False, snmp.question(ident, objects))
            at_ns += rng.randrange(MS, 6 * MS)
            yield Message(at_ns, True, snmp.answer(ident, objects, rng.randrange(4, 40)))
            at_ns += rng.randrange(MS // 5, MS)

    return Scenario("snmp-polling", f"SNMP polls of {hosts} hosts every {every_s:g} s", 0.0, traffic, hours * 60)


def agent_polling(
    *, hosts: int = 4, every_s: float = 30.0, jitter: float = 0.01, port: int = 10050, hours: float = 1.0
) -> Scenario:
    """One short TCP connection to the agent of each host every period: a key, a value, closed by the agent.

    As Zabbix polls its passive agents: `ZBXD`, a flag, a length of eight bytes, the key or the value.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        path = local_path(rng)
        for host in _hosts(hosts):
            for at_ns in span.first(hours * 3600).ticks(rng, every_s, jitter):
                own = child(rng)
                talk = Conversation((_MONITOR, site.port(_MONITOR, own)), (host, port), path, own)
                talk.open(at_ns)
                talk.initiator_sends(_zabbix(own.choice(_ITEMS)), pause_ns(own, 0.0003))
                talk.target_sends(_zabbix(f"{own.random() * 1000:.4f}"), pause_ns(own, 0.002))
                talk.close(Close.TARGET_FIN, pause_ns(own, 0.0002))
                yield talk.exchange(AGENTS)

    return Scenario("agent-polling", f"polls of {hosts} agents every {every_s:g} s", 0.0, traffic, hours * 60)


def health_checks(*, services: int = 3, every_s: float = 5.0, hours: float = 0.75) -> Scenario:
    """A load balancer's checks of at most 60 services behind it: SYN, SYN-ACK, RST, every few seconds."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        path = local_path(rng)
        for host in _hosts(services):
            for at_ns in span.first(hours * 3600).ticks(rng, every_s, 0.002):
                talk = Conversation((_BALANCER, site.port(_BALANCER, rng)), (host, 8080), path, child(rng))
                talk.check(at_ns)
                yield talk.exchange(HEALTH)

    summary = f"half-open checks of {services} services every {every_s:g} s"
    return Scenario("health-checks", summary, 0.0, traffic, hours * 60)


def uptime_checks(*, services: int = 40, every_s: float = 120.0, down: int = 2, minutes: float = 15.0) -> Scenario:
    """A status page's checks of services outside: one request on a TLS connection to each, every period.

    services: at most 200. down: how many of them never answer.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        for number in range(services):
            server, path = remote_server(200 + number), outward_path(rng)
            for at_ns in span.first(minutes * 60).ticks(rng, every_s, 0.01):
                own = child(rng)
                talk = Conversation((_MONITOR, site.port(_MONITOR, own)), (server, 443), path, own)
                if number < down:
                    talk.unanswered(at_ns, (1, 3))
                else:
                    _ask(talk, server, own, at_ns)
                yield talk.exchange(UPTIME)

    def _ask(talk: Conversation, server: Host, rng: Random, at_ns: int) -> None:
        name = server_name(server)
        talk.open(at_ns)
        secure(talk, rng, name)
        talk.initiator_sends(tls.sealed(len(http.request(name, "/health", "uptime/1"))), pause_ns(rng, 0.0005))
        talk.target_sends(tls.sealed(rng.randrange(180, 900)), pause_ns(rng, 0.01))
        talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.001))

    summary = f"checks of {services} services outside every {every_s:g} s"
    return Scenario("uptime-checks", summary, 0.0, traffic, minutes)


def _hosts(count: int) -> list[Host]:
    return [inside(f"monitored{number}", 30 + number) for number in range(count)]


def _zabbix(text: str) -> bytes:
    return b"ZBXD\1" + len(text).to_bytes(8, "little") + text.encode()
