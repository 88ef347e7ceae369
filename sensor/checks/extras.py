"""Check of the packages that only some settings need."""

from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError
from sensor.settings.extras import missing_for, settings_in_need


def extras(context: CheckContext) -> Observation:
    """Look for the package of each setting that needs one. Raises ConfigError."""
    needing = settings_in_need(context.config)
    if not needing:
        return Observation("no setting needs one", CheckStatus.SKIPPED)
    missing = [line for line in map(missing_for, needing) if line]
    if missing:
        raise ConfigError("; ".join(missing))
    return Observation(f"installed for {', '.join(needing)}")
