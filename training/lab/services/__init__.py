"""Servers of the lab, by name."""

from collections.abc import Mapping
from typing import Final

from training.lab.services.names import DNS
from training.lab.services.service import Service
from training.lab.services.shells import FTP, SSH
from training.lab.services.web import HTTP, HTTPS

_ALL: Final = (HTTP, HTTPS, SSH, FTP, DNS)
SERVICES: Final[Mapping[str, Service]] = {service.name: service for service in _ALL}
