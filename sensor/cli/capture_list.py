"""The captures of a run over many, each as it is stored: files, those of directories, and objects of stores."""

import os
from collections.abc import Sequence

from sensor.errors import InputError
from sensor.jobs.run_directory import Capture
from sensor.sources.captures.objects import StoreError, is_object, objects_in


def captures_of(names: Sequence[str]) -> list[Capture]:
    """Each capture once, in the order of the names; those of a directory or a prefix by name.

    What cannot be looked for stays as it is named: reading it says why.
    """
    from sensor.sources.captures.files import captures_in

    found: dict[str, Capture] = {}
    for name in names:
        for capture in _objects(name) if is_object(name) else map(_file, captures_in([name])):
            found.setdefault(capture.name, capture)
    return list(found.values())


def _objects(name: str) -> list[Capture]:
    try:
        return [Capture(stored.name, stored.size, tag=stored.tag) for stored in objects_in(name)]
    except (StoreError, InputError):
        return [Capture(name, 0)]


def _file(name: str) -> Capture:
    try:
        status = os.stat(name)
    except OSError:  # which reading it says
        return Capture(name, 0)
    return Capture(name, status.st_size, status.st_mtime_ns)
