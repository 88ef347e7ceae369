"""Servers of the lab, by name."""

from typing import Final

from training.lab.services.desktops import RDP
from training.lab.services.far_ends import DNS2TCP, IODINE, LISTENER, NAME_ORDERS, PTUNNEL
from training.lab.services.files import GIT, NETBIOS, RSYNC, SMB, TORRENT
from training.lab.services.machines import MODBUS, MQTT, NTP, SNMP
from training.lab.services.mail import IMAP, SMTP
from training.lab.services.names import DNS
from training.lab.services.private import WIREGUARD
from training.lab.services.service import Service
from training.lab.services.shells import FTP, SSH, TELNET
from training.lab.services.stores import POSTGRESQL, REDIS
from training.lab.services.web import HTTP, HTTPS

_ALL: Final = (
    DNS,
    HTTP,
    HTTPS,
    SSH,
    FTP,
    TELNET,
    RDP,
    SMTP,
    IMAP,
    SMB,
    NETBIOS,
    RSYNC,
    GIT,
    TORRENT,
    POSTGRESQL,
    REDIS,
    NTP,
    SNMP,
    MQTT,
    MODBUS,
    WIREGUARD,
    IODINE,
    DNS2TCP,
    PTUNNEL,
    LISTENER,
    NAME_ORDERS,
)
SERVICES: Final[dict[str, Service]] = {service.name: service for service in _ALL}
