"""The start of a TLS connection, shared by all scenarios that use TLS."""

from random import Random

from sensor.synth.conversation import Conversation
from sensor.synth.protocols import tls
from sensor.synth.randomness import pause_ns


def secure(talk: Conversation, rng: Random, name: str) -> None:
    """TLS handshake on an open connection, until the client may send its first request."""
    talk.initiator_sends(tls.client_hello(rng, name), pause_ns(rng, 0.0008))
    talk.target_sends(tls.server_flight(rng, rng.choice((2100, 2800, 3600, 4400))), pause_ns(rng, 0.002))
    talk.initiator_sends(tls.client_finished(), pause_ns(rng, 0.0015))
