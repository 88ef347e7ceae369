"""`--scheduler`: the Dask cluster that carries captures, by the settings, and what of it is refused beforehand."""

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final

import typer

from sensor.cli.extras import require_packages
from sensor.errors import ConfigError, reason_of
from sensor.printable import printable

if TYPE_CHECKING:
    from distributed import Security

    from sensor.jobs.cluster import ClusterPool
    from sensor.settings.config import Config, JobsSection

READER: Final = "sensor.cli.reading_pool"  # the module that a worker's pool runs
_ADDRESS: Final = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.%]+\]|[\w.-]+):(\d{1,5})", re.ASCII)


def checked_scheduler(address: str, config: "Config") -> None:
    """Refuse an address of a scheduler that is none, or where anybody on the way could read or command."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[3]) < 65536:
        raise typer.BadParameter(
            f"found {printable(address, 100)}, expected tcp://HOST:PORT or tls://HOST:PORT", param_hint="--scheduler"
        )
    require_packages(("distributed",), "a cluster", "cluster")
    if found[1] == "tcp" and not config.jobs.plain_scheduler and not _is_own(found[2].strip("[]")):
        raise ConfigError(
            f"--scheduler: found {address}, by which anybody on the way reads the captures' alerts and commands the "
            "workers, expected tls://, or jobs.plain_scheduler: true"
        )


def cluster_of(config: "Config", address: str, told: dict[str, Any], ready: dict[str, Any]) -> "ClusterPool":
    """The cluster behind a checked address, not yet connected to. told: as of LocalPool. ready: as of order_of."""
    from sensor.jobs.cluster import ClusterPool, run_name
    from sensor.jobs.on_worker import order_of

    jobs = config.jobs
    return ClusterPool(
        address,
        _security(jobs) if address.startswith("tls") else None,
        order_of(run_name(), told, READER, ready),
        reconnect_s=jobs.reconnect_s,
        patience_s=jobs.patience_s,
    )


def _security(jobs: "JobsSection") -> "Security":
    """TLS by the settings; what they leave out is Dask's own configuration's."""
    from distributed import Security

    files = {"tls_ca_file": jobs.tls_ca, "tls_client_cert": jobs.tls_cert, "tls_client_key": jobs.tls_key}
    security = Security(require_encryption=True, **{name: str(file) for name, file in files.items() if file})
    try:
        arguments = security.get_connection_args("client")
    except OSError as error:  # a file that is not there, or holds no certificate or key
        raise ConfigError(
            f"jobs.tls_ca, jobs.tls_cert, jobs.tls_key: cannot be used ({reason_of(error)}), expected files in PEM"
        ) from error
    if arguments.get("ssl_context") is None:
        raise ConfigError("jobs.tls_ca, jobs.tls_cert, jobs.tls_key: found none, which tls:// needs")
    return security


def _is_own(host: str) -> bool:
    """Whether a host is this one, by which nothing leaves it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
