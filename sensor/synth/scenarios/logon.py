"""A logon to a directory: a machine starts, and in half a minute asks one domain controller for everything.

Some forty short connections to a dozen ports of one host look like a scan or a guess of passwords to who counts them;
but each port answers, and each logon of each client is the same. Over TCP the contents are filler of the usual sizes.
MS-ADTS, RFC 4120 (Kerberos), RFC 4511 (LDAP).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.datagrams import Message, dialogue
from sensor.synth.protocols import dns, ldap, ntp
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, NetworkPath, Site, inside, local_path
from sensor.synth.stacks import MS, WINDOWS
from sensor.synth.truth import Exchange, Purpose

LOGON = Purpose("directory-logon")


@dataclass(frozen=True, slots=True)
class Errand:
    """A kind of connection of a logon over TCP."""

    port: int
    times: int
    turns: tuple[tuple[int, int], ...]  # bytes of question and answer
    close: Close


_ERRANDS = (
    Errand(88, 10, ((280, 240),), Close.INITIATOR_FIN),  # AS-REQ, and that pre-authentication is wanted
    Errand(88, 4, ((1650, 1720),), Close.INITIATOR_FIN),  # TGS-REQ and -REP
    Errand(389, 6, ((320, 280), (1800, 212), (240, 1400), (42, 0)), Close.INITIATOR_FIN),  # bind, search, unbind
    Errand(445, 3, ((240, 590), (1900, 260), (120, 84), (360, 290), (120, 4200)), Close.INITIATOR_RST),  # policies
    Errand(135, 4, ((116, 84), (156, 151)), Close.INITIATOR_FIN),  # endpoint mapper
    Errand(49668, 4, ((1700, 240), (360, 520)), Close.INITIATOR_FIN),  # Netlogon and SAMR
)
_SERVICES = ("_ldap._tcp.dc._msdcs", "_kerberos._tcp.dc._msdcs", "_ldap._tcp.site1._sites.dc._msdcs", "_gc._tcp")
_DOMAIN = "office.example"


def directory_logon(*, clients: int = 5, seconds: float = 30.0, every_s: float = 120.0) -> Scenario:
    """The logons of so many clients (at most ten), each within about `seconds`, every_s apart."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        controller = inside("controller", 15, WINDOWS)
        for number in range(clients):
            client = inside(f"workstation{number}", 150 + number, WINDOWS)
            own = child(rng)
            path = local_path(own)
            at_ns = span.start_ns + int((number + 0.2 * own.random()) * every_s * SECOND)
            yield from _datagrams(site, (client, controller), own, at_ns)
            for errand in _ERRANDS:
                for _ in range(errand.times):
                    start_ns = at_ns + int((0.05 + 0.9 * own.random()) * seconds * SECOND)
                    yield _connection(site, (client, controller), errand, path, child(own), start_ns)

    minutes = ((clients - 1 + 0.2) * every_s + seconds + 30) / 60
    return Scenario("directory-logon", f"{clients} clients that log on to a directory", 0.0, traffic, minutes)


def _datagrams(site: Site, ends: tuple[Host, Host], rng: Random, at_ns: int) -> Iterator[Exchange]:
    """Where the services are (SRV), whether the controller is up (LDAP over UDP), and what time it is."""
    client, controller = ends
    target = dns.service("dc1." + _DOMAIN, 389)
    for service in _SERVICES:
        name, ident = f"{service}.{_DOMAIN}", rng.getrandbits(16)
        asked_ns = at_ns + rng.randrange(800 * MS)
        exchanged = (dns.query(ident, name, dns.SRV), dns.response(ident, name, dns.SRV, [target]))
        yield _asked(ends, (site.port(client, rng), 53), exchanged, rng, asked_ns)
    for number in range(2):
        asked_ns = at_ns + SECOND + number * 300 * MS
        exchanged = (ldap.controller_search(number + 1, _DOMAIN), ldap.controller_found(number + 1))
        yield _asked(ends, (site.port(client, rng), 389), exchanged, rng, asked_ns)
    asked_ns = at_ns + 3 * SECOND
    exchanged = (
        ntp.request(asked_ns) + bytes(20),
        ntp.response(asked_ns, asked_ns + MS) + bytes(20),
    )  # signed: MS-SNTP
    yield _asked((client, controller), (123, 123), exchanged, rng, asked_ns)


def _asked(
    ends: tuple[Host, Host], ports: tuple[int, int], exchanged: tuple[bytes, bytes], rng: Random, at_ns: int
) -> Exchange:
    answered_ns = at_ns + rng.randrange(MS // 2, 3 * MS)
    messages = [Message(at_ns, False, exchanged[0]), Message(answered_ns, True, exchanged[1])]
    return dialogue(ends, ports, messages, rng, LOGON)


def _connection(
    site: Site, ends: tuple[Host, Host], errand: Errand, path: NetworkPath, rng: Random, at_ns: int
) -> Exchange:
    talk = Conversation((ends[0], site.port(ends[0], rng)), (ends[1], errand.port), path, rng)
    talk.open(at_ns)
    for question, answer in errand.turns:
        talk.initiator_sends(opaque(question + rng.randrange(24)), pause_ns(rng, 0.002))
        if answer:
            talk.target_sends(opaque(answer + rng.randrange(24)), pause_ns(rng, 0.002))
    talk.close(errand.close, pause_ns(rng, 0.01))
    return talk.exchange(LOGON)
