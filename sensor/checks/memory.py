"""Check of the memory that settings ask for: whether the system gives it, not whether all of it is there at once."""

from sensor.checks.result import CheckContext, Observation
from sensor.settings.memory import given_memory


def memory(context: CheckContext) -> Observation:
    """Make the table of flows and the ring of packets, as the start does, and forget them. Raises ConfigError."""
    settings = context.config
    context.new_meter(settings)
    if settings.keep_packets.directory is not None:
        from sensor.packets.ring import PacketRing

        with given_memory("keep_packets.memory_bytes"):
            PacketRing(settings.keep_packets.memory_bytes)
    return Observation(f"for {settings.meter.capacity_flows:,} flows at once, and all else that the settings ask for")
