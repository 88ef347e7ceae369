"""What people do with desktops elsewhere: FreeRDP's client, on a screen that nobody sees."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.actions.shells import account_of
from training.lab.place import Place
from training.lab.services.desktops import SCREEN

FIRST_SCREEN: Final = 100
SCREENS: Final = 800
LONGEST_S: Final = 50.0

_SESSION: Final = f"""export DISPLAY=":$1"
Xvfb "$DISPLAY" {SCREEN} &
screen=$!
sleep 1
timeout "$2" xfreerdp "/v:$3" "/u:$4" "/p:$5" /cert:ignore /log-level:OFF /size:800x600
code=$?
kill "$screen"
test "$code" = "$6"
"""
_TIME_IS_UP: Final = "124"  # of timeout: somebody leaves the desktop
_REFUSED: Final = "147"  # of xfreerdp: the server closed the connection, as it does at a wrong password


def _session(place: Place, target: str, draw: Random) -> list[Step]:
    """Some time at a desktop; now and then the password is mistyped first."""
    user, password = account_of(place.host)
    screen = str(FIRST_SCREEN + sum(place.directory.name.encode()) % SCREENS)
    session = ["sh", "-c", _SESSION, "sh", screen]
    name = place.site.name(target)
    mistyped = [Step([*session, "8", name, user, password[::-1], _REFUSED], draw.uniform(1, 4))]
    seconds = min(LONGEST_S - 5, draw.lognormvariate(2.8, 0.6))
    whole = Step([*session, f"{seconds:.1f}", name, user, password, _TIME_IS_UP])
    return [*(mistyped if draw.random() < 0.15 else []), whole]


DESKTOPS: Final = (
    Action(
        "desktop",
        "works at a desktop by RDP",
        ("freerdp2-x11", "xvfb"),
        ("xfreerdp", "Xvfb"),
        "rdp",
        _session,
        longest_s=LONGEST_S,
    ),
)
