"""The claim of an hour of mixed traffic on a cable (tests.bench.soak)."""

import os
import shutil
from typing import Final

from tests.trust.claim import Claim, NotTriedError, Outcome

MINUTES: Final = 60.0
SHARE: Final = 0.5  # of one core
TABLE: Final = 65_536  # flows, so that it is full from the first minute on


def try_soak(scale: float) -> Outcome:
    """An hour at four fifths of the capacity that is measured at its beginning."""
    if os.geteuid() != 0 or shutil.which("tcpreplay") is None:
        raise NotTriedError("needs root and tcpreplay")
    from tests.bench.soak import run

    soaked = run(MINUTES * scale, SHARE, TABLE)
    account = soaked.account
    figure = (
        f"{soaked.minutes:.0f} min at {soaked.rate:,} packets/s ({soaked.share:.0%} of a core, capacity "
        f"{soaked.capacity:,}): {soaked.slope_mb:+.2f} MB/h at {soaked.rss_mb[1]:.0f} MB (every ten "
        f"minutes {', '.join(f'{mb:.0f}' for mb in soaked.course_mb[::10])}), longest pause "
        f"{1000 * soaked.pause_s:.0f} ms (an idle process {1000 * soaked.idler_pause_s:.0f} ms, the machine slow in "
        f"{soaked.slow:.1%} of the seconds), "
        f"dropped {account['dropped']:,}, load {soaked.load[0]:.1f}"
    )
    return Outcome(account["received"], soaked.failures(), figure)


CLAIMS: Final = (
    Claim(
        "soak",
        "An hour of mixed traffic at four fifths of capacity with a full flow table: memory grows by less than 1 MB an "
        "hour, descriptors stay, every packet is accounted for, and the ring is never left alone for 100 ms.",
        "packets",
        try_soak,
        alone=True,
        minutes=65.0,
        long=True,
        needs="root, tcpreplay",
    ),
)
