"""Guessing of passwords and of hidden pages: hydra, medusa, ncrack, gobuster."""

from collections.abc import Callable
from typing import Final

from training.lab.attacks.tool import Order, Tool, addresses, in_urls, straight
from training.lab.place import Place
from training.lab.services.desktops import RDP_PORT
from training.lab.traffic import Ports, tcp

GUESSING: Final = "T1110.001"

_Commands = Callable[[Place, Order], list[list[str]]]


def _tasks(order: Order) -> str:
    """As many at once as the rate asks for: a try takes about a second."""
    return str(max(1, min(16, round(order.rate))))


def _hydra(service: str, path: str = "") -> _Commands:
    def commands(place: Place, order: Order) -> list[list[str]]:
        shared = place.site.shared
        options = ["-I", "-L", str(shared / "users.txt"), "-P", str(shared / "passwords.txt"), "-t", _tasks(order)]
        version = ["-6"] if order.ip == 6 else []
        return [["hydra", *version, *options, f"{service}://{address}{path}"] for address in in_urls(place, order)]

    return commands


def _medusa(module: str) -> _Commands:
    def commands(place: Place, order: Order) -> list[list[str]]:
        shared = place.site.shared
        options = [
            "-U",
            str(shared / "users.txt"),
            "-P",
            str(shared / "passwords.txt"),
            "-t",
            _tasks(order),
            "-M",
            module,
        ]
        return [["medusa", "-h", address, *options] for address in addresses(place, order)]

    return commands


def _ncrack(place: Place, order: Order) -> list[list[str]]:
    shared = place.site.shared
    lists = ["-U", str(shared / "users.txt"), "-P", str(shared / "passwords.txt")]
    pace = ["-g", f"CL={_tasks(order)},to={order.for_s:.0f}s"]
    return [["ncrack", *lists, *pace, *(f"ssh://{address}" for address in addresses(place, order))]]


def _shares(place: Place, order: Order) -> list[list[str]]:
    """One word after the other by smbclient: Debian 12's hydra is built without SMB, its ncrack stalls at its samba."""
    script = (
        'while read -r word; do smbclient -s /dev/null -p 445 -U "admin%$word" -L "$1"; sleep "$2"; done <"$3"; true'
    )
    words, pause = str(place.site.shared / "passwords.txt"), f"{1 / order.rate:.2f}"
    return [["sh", "-c", script, "sh", address, pause, words] for address in addresses(place, order)]


def _pages(place: Place, order: Order) -> list[list[str]]:
    delay = ["--delay", f"{1000 / order.rate:.0f}ms", "-t", "1"]
    words = ["-w", str(place.site.shared / "passwords.txt")]
    return [
        ["gobuster", "dir", "-q", "-z", "-u", f"http://{each}/", *words, *delay] for each in addresses(place, order)
    ]


def _guess(name: str, summary: str, program: str, service: str, port: Ports, how: _Commands) -> Tool:
    ipv6 = program == "hydra"
    return Tool(name, summary, GUESSING, (program,), (program,), how, straight(port), service=service, ipv6=ipv6)


GUESSERS: Final = (
    _guess("hydra-ssh", "guesses SSH passwords", "hydra", "ssh", tcp(22), _hydra("ssh")),
    _guess("hydra-ftp", "guesses FTP passwords", "hydra", "ftp", tcp(21), _hydra("ftp")),
    _guess("hydra-telnet", "guesses telnet passwords", "hydra", "telnet", tcp(23), _hydra("telnet")),
    _guess("hydra-http", "guesses the password of a page", "hydra", "http", tcp(80), _hydra("http-get", "/login")),
    _guess("hydra-imap", "guesses IMAP passwords", "hydra", "imap", tcp(143), _hydra("imap")),
    _guess("hydra-rdp", "guesses the password of a desktop", "hydra", "rdp", tcp(RDP_PORT), _hydra("rdp")),
    _guess("hydra-postgres", "guesses a database's password", "hydra", "postgresql", tcp(5432), _hydra("postgres")),
    _guess("medusa-ssh", "guesses SSH passwords", "medusa", "ssh", tcp(22), _medusa("ssh")),
    _guess("medusa-ftp", "guesses FTP passwords", "medusa", "ftp", tcp(21), _medusa("ftp")),
    _guess("ncrack-ssh", "guesses SSH passwords", "ncrack", "ssh", tcp(22), _ncrack),
    _guess("smbclient", "guesses passwords of shares", "smbclient", "smb", tcp(445), _shares),
    Tool(
        "gobuster",
        "guesses the names of pages, rate a second",
        "T1595.003",
        ("gobuster",),
        ("gobuster",),
        _pages,
        straight(tcp(80)),
        service="http",
    ),
)
