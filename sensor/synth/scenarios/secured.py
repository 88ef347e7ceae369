"""The start of a TLS connection, shared by all that speaks over TLS."""

from random import Random

from sensor.synth.conversation import Conversation
from sensor.synth.dice import pause_ns
from sensor.synth.protocols import tls


def secure(talk: Conversation, rng: Random, name: str) -> None:
    """TLS handshake on an open conversation, up to where the initiator may ask."""
    talk.initiator_says(tls.client_hello(rng, name), pause_ns(rng, 0.0008))
    talk.target_says(tls.server_flight(rng, rng.choice((2100, 2800, 3600, 4400))), pause_ns(rng, 0.002))
    talk.initiator_says(tls.client_finished(), pause_ns(rng, 0.0015))
