"""Guessing of passwords: hydra, medusa and ncrack."""

from collections.abc import Callable
from typing import Final

from training.lab.attacks.tool import Order, Tool, addresses, straight
from training.lab.place import Place
from training.lab.traffic import tcp

GUESSING: Final = "T1110.001"


def _hydra(service: str, *path: str) -> Callable[[Place, Order], list[list[str]]]:
    """hydra with as many tasks as the rate asks for, one try a second each."""

    def commands(place: Place, order: Order) -> list[list[str]]:
        tasks = str(max(1, min(16, round(order.rate))))
        lists = ["-L", str(place.site.shared / "users.txt"), "-P", str(place.site.shared / "passwords.txt")]
        return [
            ["hydra", "-I", *lists, "-t", tasks, "-W", "1", f"{service}://{address}", *path]
            for address in addresses(place, order)
        ]

    return commands


_HYDRA: Final = (("hydra",), ("hydra",))

GUESSERS: Final = (
    Tool("hydra-ssh", "guesses SSH passwords", GUESSING, *_HYDRA, _hydra("ssh"), straight(tcp(22)), service="ssh"),
    Tool("hydra-ftp", "guesses FTP passwords", GUESSING, *_HYDRA, _hydra("ftp"), straight(tcp(21)), service="ftp"),
    Tool(
        "hydra-http",
        "guesses the password of a page",
        GUESSING,
        *_HYDRA,
        _hydra("http-get", "/login"),
        straight(tcp(80)),
        service="http",
    ),
)
