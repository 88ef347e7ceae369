"""Whether others can be shown the sensor: its socket made beside its place, and removed again."""

import os

from sensor.checks.finding import Remark, Status, Subject
from sensor.checks.outputs import owner_of
from sensor.errors import ConfigError


def attach(subject: Subject) -> Remark:
    """Make the socket of attach.socket under another name. Raises ConfigError."""
    path = subject.config.attach.socket
    if path is None:
        return Remark("no socket set (attach.socket)", Status.SKIPPED)
    from sensor.attach.place import listen, refuse_taken

    refuse_taken(path)
    trial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        listen(trial, owner_of(subject), subject.config.attach.group).leave()
    except ConfigError as error:
        raise ConfigError(str(error).replace(str(trial), str(path))) from error
    group = subject.config.attach.group
    return Remark(f"{path}: can be made, for the sensor's user and {'their group' if group is None else group}")
