"""Check of the port of the Prometheus exporter."""

import socket
from functools import partial

from sensor.checks.privileges import without_privileges
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError, reason_of


def metrics(context: CheckContext) -> Observation:
    """Listen on the port of the exporter. Raises ConfigError."""
    port = context.config.stats.metrics_port
    if port is None:
        return Observation("no port set (stats.metrics_port)", CheckStatus.SKIPPED)
    from sensor.progress.prometheus import ADDRESS

    if why := without_privileges(context, partial(_cannot_listen, ADDRESS, port)):
        raise ConfigError(f"stats.metrics_port {port}: {why} on {ADDRESS}, expected a port that is free")
    return Observation(f"{ADDRESS}:{port} is free")


def _cannot_listen(address: str, port: int) -> str:
    """Why this process cannot listen on a port, or ""."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as serving:
        serving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the sensor does
        try:
            serving.bind((address, port))
            serving.listen()
        except OSError as error:
            return reason_of(error)
    return ""
