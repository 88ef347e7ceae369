"""Roles of assets: what each is there for, and so which claims about it are nothing to look at.

One table. A role excuses on its own side only: a scanner that scans, never one that is scanned. A tunnel in a
resolver's questions is excused for nobody, as every such tunnel runs through one.
"""

from dataclasses import dataclass
from typing import Final, Literal

from sensor.alerts.alert import Alert
from sensor.site.claims import Claim, claim_of, ports_within

Role = Literal["scanner", "monitor", "backup", "resolver", "mail"]
Side = Literal["source", "destination"]


@dataclass(frozen=True, slots=True)
class Excuse:
    """A claim that a role accounts for."""

    role: Role
    side: Side  # on which the asset must be
    claim: Claim
    why: str
    ports: tuple[int, ...] = ()  # to which it must go, () for any
    within_ours: bool = False  # whether what it goes to must be ours

    def holds(self, alert: Alert) -> bool:
        """Whether the alert is of that claim and goes where the role may; which side the asset is on is not asked."""
        if not self.claim.holds(alert) or (self.within_ours and alert.direction not in ("internal", "inbound")):
            return False
        return not self.ports or any(ports_within(alert, port, port) for port in self.ports) or _all_of(alert, self)


def _all_of(alert: Alert, excuse: Excuse) -> bool:
    """Whether it goes to several ports, each of which is one of the excuse's."""
    ports = alert.target_ports
    return ports_within(alert, 0, 65535) and set(ports) <= set(excuse.ports)


_DNS: Final = (53, 853)
_MAIL: Final = (25, 465, 587)

ROLES: Final[tuple[Excuse, ...]] = (
    Excuse("scanner", "source", claim_of("scan"), "a scanner scans"),
    Excuse("monitor", "source", claim_of("scan"), "a monitor asks who is there"),
    Excuse("monitor", "source", claim_of("beat"), "a monitor polls what is ours in a beat", within_ours=True),
    Excuse("backup", "source", claim_of("upload"), "a backup sends much and gets little"),
    Excuse("backup", "destination", claim_of("upload"), "a backup is sent much"),
    Excuse("resolver", "source", claim_of("scan"), "a resolver asks servers that are not there", _DNS),
    Excuse("resolver", "source", claim_of("beat"), "a resolver asks again when names expire", _DNS),
    Excuse("resolver", "destination", claim_of("beat"), "a resolver is asked at fixed times", _DNS),
    Excuse("resolver", "destination", claim_of("overload"), "a resolver is asked by all at once", _DNS),
    Excuse("mail", "source", claim_of("scan"), "a mail server tries servers that are gone", _MAIL),
    Excuse("mail", "source", claim_of("beat"), "a mail server tries again at fixed times", _MAIL),
)
