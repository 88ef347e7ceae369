"""Check of the databases of where addresses belong: whether they can be read, now and later."""

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from sensor.checks.privileges import without_privileges
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError
from sensor.settings.extras import missing_for

if TYPE_CHECKING:
    from sensor.settings.config import Config

OLD_S: Final = 90 * 86_400  # networks change hands each week
LONGEST: Final = 200  # characters of a reason


def geoip(context: CheckContext) -> Observation:
    """Open the databases of geoip.*. Raises ConfigError."""
    settings = context.config.geoip
    if settings.location is None and settings.asn is None:
        return Observation("no databases set (geoip.location, geoip.asn)", CheckStatus.SKIPPED)
    if missing_for("geoip.asn"):
        return Observation("not known without the extra", CheckStatus.SKIPPED)
    from sensor.geoip.databases import opened

    with opened(settings.location, settings.asn) as geo:
        found = [
            f"{database.path}: {database.type} of {datetime.fromtimestamp(database.built_s, UTC):%Y-%m-%d}"
            for database in geo.databases
        ]
        old = [
            f"{database.path} is older than {OLD_S // 86_400} days: what it says of a network may be past"
            for database in geo.databases
            if time.time() - database.built_s > OLD_S
        ]
    if why := without_privileges(context, partial(_cannot_open, context.config)):
        old.append(f"SIGHUP will take over no changes, as without its privileges the sensor cannot read it: {why}")
    return Observation("; ".join(found), CheckStatus.WARNING if old else CheckStatus.OK, tuple(old))


def _cannot_open(config: "Config") -> str:
    from sensor.geoip.databases import opened

    try:
        opened(config.geoip.location, config.geoip.asn).close()
    except ConfigError as error:
        return str(error)[:LONGEST]
    return ""
