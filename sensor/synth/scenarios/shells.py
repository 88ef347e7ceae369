"""Interactive SSH: key or password login, typing with echoes, output in bursts, pauses."""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.protocols import ssh
from sensor.synth.randomness import SECOND, child, lognormal, pause_ns
from sensor.synth.scenarios.scenario import Span
from sensor.synth.site import Host, NetworkPath, Site, inward_path, local_path, outside
from sensor.synth.truth import Exchange, Purpose

SHELL = Purpose("ssh session")

_CHANNEL_DATA = 9  # bytes before the data of SSH_MSG_CHANNEL_DATA, RFC 4254 section 5.2


def negotiate(talk: Conversation, rng: Random, client: str, server: str) -> None:
    """Banners and key exchange on an open connection, until authentication begins."""
    talk.initiator_sends(ssh.banner(client), pause_ns(rng, 0.0005))
    talk.target_sends(ssh.banner(server), pause_ns(rng, 0.012))
    talk.initiator_sends(ssh.key_exchange_init(rng), pause_ns(rng, 0.0008))
    talk.target_sends(ssh.key_exchange_init(rng), pause_ns(rng, 0.0008))
    talk.initiator_sends(ssh.ecdh_init(rng), pause_ns(rng, 0.001))
    talk.target_sends(ssh.ecdh_reply(rng), pause_ns(rng, 0.005))
    talk.initiator_sends(ssh.new_keys() + ssh.service_request(), pause_ns(rng, 0.003))
    talk.target_sends(ssh.service_accept(), pause_ns(rng, 0.0004))


def shells(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
    """A developer on the file server, and an administrator from outside who mistypes the password once."""
    developer = next(client for client in site.clients if client.name == "devel")
    whole = span.end_ns - span.start_ns
    yield _session(
        site, developer, site.files, local_path(rng), child(rng), at_ns=span.start_ns + whole // 20, commands=14
    )
    yield _session(
        site, developer, site.files, local_path(rng), child(rng), at_ns=span.start_ns + whole * 3 // 5, commands=6
    )
    home = outside("administrator", "198.18.200.7", rng)
    at_ns = span.start_ns + whole // 8
    yield _session(site, home, site.web, inward_path(rng, 14.0), child(rng), at_ns=at_ns, commands=8, mistyped=1)


def _session(
    site: Site,
    client: Host,
    server: Host,
    path: NetworkPath,
    rng: Random,
    *,
    at_ns: int,
    commands: int,
    mistyped: int = 0,
) -> Exchange:
    talk = Conversation((client, site.port(client, rng)), (server, 22), path, rng)
    talk.open(at_ns)
    negotiate(talk, rng, "OpenSSH_9.6", "OpenSSH_9.2p1 Debian-2")
    for _ in range(mistyped):
        talk.initiator_sends(ssh.password_request(5, 11), pause_ns(rng, 4.0, 0.3))
        talk.target_sends(ssh.authentication_failure(), 2 * SECOND + pause_ns(rng, 0.2))
    talk.initiator_sends(ssh.sealed(360), pause_ns(rng, 4.0, 0.3) if mistyped else pause_ns(rng, 0.004))
    talk.target_sends(ssh.authentication_success(), pause_ns(rng, 0.006))
    talk.initiator_sends(ssh.sealed(24) + ssh.sealed(64), pause_ns(rng, 0.001))
    talk.target_sends(ssh.sealed(17) + ssh.sealed(500), pause_ns(rng, 0.02))
    for _ in range(commands):
        _command(talk, rng)
    talk.initiator_sends(ssh.sealed(5), pause_ns(rng, 1.0))
    talk.target_sends(ssh.sealed(30) + ssh.sealed(5), pause_ns(rng, 0.004))
    talk.close(Close.INITIATOR_FIN, pause_ns(rng, 0.0005))
    return talk.exchange(SHELL)


def _command(talk: Conversation, rng: Random) -> None:
    """Keystrokes with their echoes, then the output of the command."""
    for key in range(rng.randrange(3, 14)):
        talk.initiator_sends(ssh.sealed(_CHANNEL_DATA + 1), pause_ns(rng, 0.16) if key else pause_ns(rng, 5.0, 0.8))
        talk.target_sends(ssh.sealed(_CHANNEL_DATA + 1), pause_ns(rng, 0.0004))
    talk.initiator_sends(ssh.sealed(_CHANNEL_DATA + 1), pause_ns(rng, 0.2))
    talk.target_sends(ssh.sealed(_CHANNEL_DATA + min(12_000, int(lognormal(rng, 400, 1.2)))), pause_ns(rng, 0.01, 1.0))
