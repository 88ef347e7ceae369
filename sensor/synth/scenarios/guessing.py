"""Password guessing over SSH: parallel workers, some passwords a connection, until the server hangs up. T1110.001."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import ssh
from sensor.synth.randomness import child, pause_ns
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.shells import negotiate
from sensor.synth.site import Host, NetworkPath, Site, inward_path, outside
from sensor.synth.truth import Exchange, Purpose

GUESSING = Purpose("ssh", "T1110.001")

_ALLOWED = 6  # OpenSSH's MaxAuthTries


def password_guessing(
    site: Site, rng: Random, span: Span, sessions: int = 120, workers: int = 10
) -> Iterator[Exchange]:
    """Sessions on the web server by parallel workers, each of which starts one when its last one has ended."""
    guesser = outside("guesser", "198.51.100.23", rng)
    path = inward_path(rng, 17.0)
    free_ns = [span.start_ns + worker * pause_ns(rng, 0.02) for worker in range(workers)]
    for _ in range(sessions):
        worker = free_ns.index(min(free_ns))
        talk = _session(site, guesser, path, child(rng), free_ns[worker])
        free_ns[worker] = talk.now_ns + pause_ns(rng, 0.06)
        yield talk.exchange(GUESSING)


def _session(site: Site, guesser: Host, path: NetworkPath, rng: Random, at_ns: int) -> Conversation:
    talk = Conversation((guesser, site.port(guesser, rng)), (site.web, 22), path, rng)
    talk.open(at_ns)
    negotiate(talk, rng, "libssh2_1.11.0", "OpenSSH_9.2p1 Debian-2")
    guesses = rng.choice((4, 5, _ALLOWED, _ALLOWED, _ALLOWED))
    for guess in range(1, guesses + 1):
        talk.initiator_sends(ssh.password_request(4, rng.randrange(5, 13)), pause_ns(rng, 0.003))
        # PAM delays its answer by about two seconds, give or take a quarter.
        delay_ns = int(rng.uniform(1.5e9, 2.5e9))
        talk.target_sends(ssh.too_many_failures() if guess == _ALLOWED else ssh.authentication_failure(), delay_ns)
    talk.close(Close.TARGET_FIN if guesses == _ALLOWED else Close.INITIATOR_FIN, pause_ns(rng, 0.001))
    return talk


SSH_GUESSING = Scenario("ssh", "password guessing over SSH, 120 sessions by ten workers", 0.34, password_guessing)
