"""Servers that people log on to: OpenSSH, vsftpd, and telnet as old devices have it."""

from typing import Final

from training.lab.content import file_root
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp

PASSIVE: Final = (30_000, 30_199)  # FTP's data ports

_SSHD: Final = """Port 22
{listen}
HostKey {key}
PidFile none
UsePAM no
UseDNS no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin no
StrictModes no
MaxStartups 40:30:100
MaxAuthTries 6
Subsystem sftp internal-sftp
"""
_VSFTPD: Final = """listen=YES
listen_address={address}
background=NO
local_enable=YES
write_enable=YES
anonymous_enable=NO
seccomp_sandbox=NO
pam_service_name=vsftpd
use_localtime=NO
xferlog_enable=NO
pasv_min_port={low}
pasv_max_port={high}
secure_chroot_dir={empty}
local_root={root}
"""


def _ssh(place: Place) -> list[Command]:
    listen = "\n".join(f"ListenAddress {address}" for address in place.addresses)
    settings = _SSHD.format(listen=listen, key=place.site.shared / "ssh_host_key")
    return [["/usr/sbin/sshd", "-D", "-e", "-f", str(place.write("sshd_config", settings))]]


def _telnet(place: Place) -> list[Command]:
    line = "telnet stream tcp nowait root /usr/sbin/telnetd telnetd\n"
    return [["inetutils-inetd", "-d", str(place.write("inetd.conf", line))]]


def _ftp(place: Place) -> list[Command]:
    settings = _VSFTPD.format(
        address=place.address,
        low=PASSIVE[0],
        high=PASSIVE[1],
        empty=place.folder("empty"),
        root=file_root(place.site.shared),
    )
    return [["vsftpd", str(place.write("vsftpd.conf", settings))]]


SSH: Final = Service(
    "ssh",
    "OpenSSH with passwords",
    ("openssh-server",),
    ("sshd",),
    (tcp(22),),
    _ssh,
    private=("/run/sshd",),
    ipv6=True,
)
FTP: Final = Service("ftp", "vsftpd, passive", ("vsftpd",), ("vsftpd",), (tcp(21), tcp(*PASSIVE)), _ftp)
TELNET: Final = Service(
    "telnet",
    "telnet by inetd",
    ("inetutils-telnetd", "inetutils-inetd"),
    ("telnetd", "inetutils-inetd"),
    (tcp(23),),
    _telnet,
)
