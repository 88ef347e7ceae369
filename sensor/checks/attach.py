"""Check of the attach socket: made beside its place, and removed again."""

import os

from sensor.checks.privileges import owner_of
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import ConfigError


def attach(context: CheckContext) -> Observation:
    """Create the socket attach.socket under a temporary name. Raises ConfigError."""
    path = context.config.attach.socket
    if path is None:
        return Observation("no socket set (attach.socket)", CheckStatus.SKIPPED)
    from sensor.attach.place import listen, refuse_taken

    refuse_taken(path)
    trial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        listen(trial, owner_of(context), context.config.attach.group).leave()
    except ConfigError as error:
        raise ConfigError(str(error).replace(str(trial), str(path))) from error
    group = context.config.attach.group
    return Observation(f"{path}: can be made, for the sensor's user and {'their group' if group is None else group}")
