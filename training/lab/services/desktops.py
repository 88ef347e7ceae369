"""Remote desktops: FreeRDP's server with a screen on which a clock goes, behind a password (NLA)."""

import subprocess
from typing import Final

from training.lab.accounts import PASSWORDS
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp

RDP_PORT: Final = 3389
# Screens listen at an abstract socket alone, which each namespace has for itself: no file, no lock, no port.
SCREEN: Final = "-screen 0 800x600x24 -nolock -nolisten tcp -nolisten unix"

_DESKTOP: Final = f"""export DISPLAY=:99
Xvfb "$DISPLAY" {SCREEN} &
sleep 1
xclock -update 1 -geometry 400x400 &
exec freerdp-shadow-cli /port:{RDP_PORT} "/bind-address:$2" /sec:nla "/sam-file:$1" +auth
"""


def _rdp(place: Place) -> list[Command]:
    sam = place.path("sam")
    for user, password in PASSWORDS.items():
        command = ["winpr-hash", "-u", user, "-p", password, "-f", "sam"]
        made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout
        with sam.open("a", encoding="utf-8") as out:
            out.write(made.strip() + "\n")
    return [["sh", "-c", _DESKTOP, "sh", str(sam), place.address]]


RDP: Final = Service(
    "rdp",
    "a desktop by RDP with network level authentication",
    ("freerdp2-shadow-x11", "winpr-utils", "xvfb", "x11-apps"),
    ("freerdp-shadow-cli", "winpr-hash", "Xvfb", "xclock"),
    (tcp(RDP_PORT),),
    _rdp,
)
