"""Floods: more packets or requests than a victim can take, from one flow, from many sources, or from forged ones.

Their mark is a rate at one victim that was not there before; the number of sources says little, for forged addresses
are anyone's, and a flood in one flow has a single source. T1498.001 (direct network flood), T1499.001 (the stack's
half-open connections), T1499.002 (the service's requests).
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.datagrams import Message, dialogue, signalling
from sensor.synth.packets import icmp_echo
from sensor.synth.protocols import http
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.synflood import syn_flood
from sensor.synth.scenarios.visitors import visitors
from sensor.synth.site import Site, inward_path, outside
from sensor.synth.stacks import LINUX, MACOS, WINDOWS
from sensor.synth.truth import Exchange, Purpose

FORGED_FLOOD = Purpose("forged-syn-flood", "T1499.001")
UDP_FLOOD = Purpose("udp-flood", "T1498.001")
ICMP_FLOOD = Purpose("icmp-flood", "T1498.001")
HTTP_FLOOD = Purpose("http-flood", "T1499.002")

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


def forged_syn_flood(*, syns: int = 4000, per_second: float = 400.0, backlog: int = 128) -> Scenario:
    """SYNs to the web server's port 80, each under a forged address; the first `backlog` are answered, to nobody."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        return syn_flood(
            site, rng, span, syns=syns, per_second=per_second, backlog=backlog, spoofed=True, purpose=FORGED_FLOOD
        )

    summary = f"{syns} SYNs from forged addresses, {per_second:g} a second"
    return Scenario("forged-syn-flood", summary, 0.0, traffic, _minutes(syns / per_second + 40))


def udp_flood(
    *, packets: int = 6000, per_second: float = 1000.0, payload_bytes: int = 512, port: int = 27015, ports: int = 1
) -> Scenario:
    """Datagrams from one host to one port of the web server, which says nothing.

    ports: source ports, each a flow of its own; with 1 the whole flood is a single flow of one direction.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        flooder = outside("udp flooder", "192.0.2.66", rng)
        sources = rng.sample(range(1024, 65536), ports)
        messages: dict[int, list[Message]] = {}
        at_ns = span.start_ns
        for _ in range(packets):
            at_ns += int(rng.expovariate(per_second) * SECOND)
            messages.setdefault(rng.choice(sources), []).append(Message(at_ns, False, opaque(payload_bytes)))
        for source_port, sent in messages.items():
            yield dialogue((flooder, site.web), (source_port, port), sent, rng, UDP_FLOOD)

    summary = f"{packets} datagrams from {_counted(ports, 'source port')}, {per_second:g} a second"
    return Scenario("udp-flood", summary, 0.0, traffic, _minutes(packets / per_second + 2))


def icmp_flood(
    *, packets: int = 4000, per_second: float = 1000.0, payload_bytes: int = 1400, answered: float = 1.0
) -> Scenario:
    """Echo requests from one host to the web server, all in one flow; answered: share that it can still answer."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        flooder, path = outside("echo flooder", "192.0.2.88", rng), inward_path(rng, 9.0)
        at_ns, ident = span.start_ns, rng.getrandbits(16)
        messages = []
        for number in range(packets):
            at_ns += int(rng.expovariate(per_second) * SECOND)
            payload = opaque(payload_bytes)
            messages.append(Message(at_ns, False, icmp_echo(False, ident, number & 0xFFFF, payload)))
            if rng.random() < answered:
                when_ns = at_ns + 2 * path.far_ns + rng.randrange(15_000, 60_000)
                messages.append(Message(when_ns, True, icmp_echo(True, ident, number & 0xFFFF, payload)))
        yield signalling((flooder, site.web), messages, rng, ICMP_FLOOD)

    summary = f"{packets} echo requests from one host, {per_second:g} a second"
    return Scenario("icmp-flood", summary, 0.0, traffic, _minutes(packets / per_second + 2))


def http_flood(
    *, sources: int = 100, connections: int = 8, gets: int = 2, seconds: float = 20.0, quiet_s: float = 180.0
) -> Scenario:
    """Many hosts that each open full connections to the web server one after the other and ask for a costly page.

    sources: at most 2500. connections: of each source. gets: requests on each connection. All within about `seconds`,
    after some in which there are only visitors.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        yield from visitors(site, child(rng), span.first(quiet_s))
        gap_s = seconds / (connections + 1)
        for number in range(sources):
            own = child(rng)
            stack = own.choice((LINUX, WINDOWS, MACOS))
            source = outside(f"bot{number}", f"198.18.{240 + number // 250}.{1 + number % 250}", own, stack)
            at_ns = span.start_ns + int((quiet_s + own.random() * gap_s) * SECOND)
            for _ in range(connections):
                talk = Conversation((source, site.port(source, own)), (site.web, 80), inward_path(own), own)
                talk.open(at_ns)
                for _ in range(gets):
                    path = f"/search?q={own.randrange(10**9)}"
                    talk.initiator_sends(http.request("www.office.example", path, _AGENT), pause_ns(own, 0.001))
                    talk.target_sends(http.response(own.randrange(500, 3_000)), pause_ns(own, 0.15))
                talk.close(Close.INITIATOR_RST if own.random() < 0.3 else Close.INITIATOR_FIN, pause_ns(own, 0.002))
                yield talk.exchange(HTTP_FLOOD)
                at_ns = talk.now_ns + int(gap_s * own.uniform(0.3, 1.0) * SECOND)

    summary = f"GET requests on {sources * connections} connections from {_counted(sources, 'host')}"
    return Scenario("http-flood", summary, 0.0, traffic, _minutes(quiet_s + seconds + 20))


def _minutes(seconds: float) -> float:
    return seconds / 60


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
