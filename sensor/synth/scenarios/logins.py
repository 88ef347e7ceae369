"""Password guessing at the login services of the web server, from one host or from many. T1110.

Each service refuses in its own words and hangs up after a few tries, so what an analyst sees is many short sessions of
like sizes to one service, most of them as long as the server's delay after a wrong password. Distributed over many
sources, each of which tries seldom, only the server's side shows it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import ssh, tls
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.scenarios.shells import negotiate
from sensor.synth.site import Site, inward_path, outside
from sensor.synth.truth import Exchange, Purpose


@dataclass(frozen=True, slots=True)
class LoginService:
    """A service that asks for a password."""

    port: int
    try_out: Callable[[Conversation, Random], Close]  # on an open connection, until it should be closed


def _try_ssh(talk: Conversation, rng: Random) -> Close:
    """OpenSSH with PAM: about two seconds for each wrong password, at most six (MaxAuthTries)."""
    negotiate(talk, rng, "libssh_0.10.6", "OpenSSH_9.2p1 Debian-2")
    guesses = rng.choice((1, 3, 6))
    for guess in range(1, guesses + 1):
        talk.initiator_sends(ssh.password_request(rng.randrange(4, 9), rng.randrange(5, 13)), pause_ns(rng, 0.003))
        failure = ssh.too_many_failures() if guess == 6 else ssh.authentication_failure()
        talk.target_sends(failure, int(rng.uniform(1.5, 2.5) * SECOND))
    return Close.TARGET_FIN if guesses == 6 else Close.INITIATOR_FIN


def _try_rdp(talk: Conversation, rng: Random) -> Close:
    """Negotiation of CredSSP, TLS, NTLM in three steps, then a reset. MS-RDPBCGR 2.2.1, MS-CSSP 3.1.5."""
    cookie = f"Cookie: mstshash={'administrator'[: rng.randrange(4, 14)]}\r\n".encode()
    length = 19 + len(cookie)
    request = bytes((3, 0, 0, length, length - 5, 0xE0, 0, 0, 0, 0, 0)) + cookie + bytes((1, 0, 8, 0, 3, 0, 0, 0))
    talk.initiator_sends(request, pause_ns(rng, 0.001))
    talk.target_sends(bytes.fromhex("030000130ed000001234000209080002000000"), pause_ns(rng, 0.004))
    secure(talk, rng, "rdp.office.example")
    talk.initiator_sends(tls.sealed(57), pause_ns(rng, 0.002))  # NEGOTIATE
    talk.target_sends(tls.sealed(240), pause_ns(rng, 0.003))  # CHALLENGE
    talk.initiator_sends(tls.sealed(540 + rng.randrange(24)), pause_ns(rng, 0.002))  # AUTHENTICATE
    talk.target_sends(tls.sealed(33), pause_ns(rng, 0.03))  # STATUS_LOGON_FAILURE
    return Close.TARGET_RST if rng.random() < 0.7 else Close.INITIATOR_FIN


def _try_imaps(talk: Conversation, rng: Random) -> Close:
    """Greeting, some LOGIN commands with a tagged NO after the server's delay, LOGOUT. RFC 9051 section 6.2.3."""
    secure(talk, rng, "mail.office.example")
    talk.target_sends(tls.sealed(112), pause_ns(rng, 0.003))
    for _ in range(rng.choice((1, 1, 2, 3))):
        talk.initiator_sends(tls.sealed(38 + rng.randrange(12)), pause_ns(rng, 0.002))
        talk.target_sends(tls.sealed(52), int(rng.uniform(1.9, 2.3) * SECOND))
    talk.initiator_sends(tls.sealed(11), pause_ns(rng, 0.002))
    talk.target_sends(tls.sealed(64), pause_ns(rng, 0.001))
    return Close.TARGET_FIN


def _try_ftp(talk: Conversation, rng: Random) -> Close:
    """USER and PASS in the clear, 530 after the server's delay, QUIT. RFC 959 section 4."""
    talk.target_sends(b"220 (vsFTPd 3.0.5)\r\n", pause_ns(rng, 0.003))
    for _ in range(rng.choice((1, 2, 3))):
        talk.initiator_sends(f"USER user{rng.randrange(100)}\r\n".encode(), pause_ns(rng, 0.001))
        talk.target_sends(b"331 Please specify the password.\r\n", pause_ns(rng, 0.0005))
        talk.initiator_sends(
            b"PASS " + opaque(6).hex()[: rng.randrange(5, 12)].encode() + b"\r\n", pause_ns(rng, 0.001)
        )
        talk.target_sends(b"530 Login incorrect.\r\n", int(rng.uniform(2.8, 3.4) * SECOND))
    talk.initiator_sends(b"QUIT\r\n", pause_ns(rng, 0.001))
    talk.target_sends(b"221 Goodbye.\r\n", pause_ns(rng, 0.0005))
    return Close.TARGET_FIN


LOGIN_SERVICES: dict[str, LoginService] = {
    "ssh": LoginService(22, _try_ssh),
    "rdp": LoginService(3389, _try_rdp),
    "imaps": LoginService(993, _try_imaps),
    "ftp": LoginService(21, _try_ftp),
}


def guessing(
    *, service: str = "rdp", sources: int = 1, sessions: int = 100, workers: int = 4, pause_s: float = 0.1
) -> Scenario:
    """Sessions of password guesses by `workers`, each of which starts one about pause_s after its last one ended.

    service: a key of LOGIN_SERVICES. sources: hosts that guess, at most 1000; each worker takes one after the other.
    """
    purpose = Purpose(_name(service, sources), "T1110")

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        login = LOGIN_SERVICES[service]
        hosts = [outside(f"guesser{number}", _address(service, number), rng) for number in range(sources)]
        paths = [inward_path(rng) for _ in hosts]
        free_ns = [span.start_ns + pause_ns(rng, pause_s) for _ in range(workers)]
        for number in range(sessions):
            worker, own = free_ns.index(min(free_ns)), child(rng)
            source = hosts[number % sources]
            ends = (source, site.port(source, own)), (site.web, login.port)
            talk = Conversation(*ends, paths[number % sources], own)
            talk.open(free_ns[worker])
            talk.close(login.try_out(talk, own), pause_ns(own, 0.002))
            free_ns[worker] = talk.now_ns + pause_ns(own, pause_s)
            yield talk.exchange(purpose)

    whom = "one host" if sources == 1 else f"{sources} hosts"
    minutes = (sessions / workers * (pause_s * 1.5 + 8) + 30) / 60
    return Scenario(
        purpose.scenario, f"{sessions} sessions of password guessing on {service} by {whom}", 0.0, traffic, minutes
    )


def _name(service: str, sources: int) -> str:
    return f"{service}-guessing" if sources == 1 else f"{service}-guessing-by-many"


def _address(service: str, number: int) -> str:
    """Of other people's machines, of others for each service."""
    third = 220 + 4 * list(LOGIN_SERVICES).index(service) + number // 250
    return f"198.18.{third}.{1 + number % 250}"
