"""The process that reads captures one by one, each in a child of its own (sensor.jobs.server).

Its first line says by which settings. What a child finds are lines in a file, and an account of its run.
"""

import gc
import hashlib
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.cli.assembly import DisplayOptions, reading, ready_model
from sensor.cli.build import build_judge, build_meter
from sensor.cli.exit_code import exit_code
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.options import Color
from sensor.errors import INTERNAL, InputError, SensorError
from sensor.files.unfinished import whole_file
from sensor.jobs.accounts import account_of
from sensor.jobs.pool import Limits, Page, Pool, Result, Task
from sensor.jobs.server import Lines, say, serve

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.metering.turns import Turn
    from sensor.run.run import Run
    from sensor.settings.config import Config

COMMAND: Final = [sys.executable, "-P", "-m", "sensor.cli.reading_pool"]  # -P: no module of where the captures lie


class Moving:
    """The hook of a run (sensor.run.run.Hook) that tells the process above that it goes on."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def begin(self, _run: "Run") -> None:
        """It has begun."""
        self._page.move(0)

    def before(self, _turn: "Turn", _run: "Run") -> None:
        """Nothing yet."""

    def after(self, _turn: "Turn", run: "Run") -> None:
        """Tell how far it is, in bytes of the capture."""
        self._page.move(run.progress.bytes_read)

    def end(self, run: "Run") -> None:
        """All is read."""
        self._page.move(run.progress.bytes_read)


def main() -> None:
    """Serve by standard input and output until the first is closed."""
    told, telling = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what is written to stdout by mistake must not be taken for news
    for number in (signal.SIGINT, signal.SIGHUP):  # meant for the process that began this one
        signal.signal(number, signal.SIG_IGN)
    asked = Lines(told)
    first: list[Any] = []
    while not first and not asked.closed:
        first = asked.read()
    if not first:
        return
    settings = first[0]
    try:
        config, hybrid = _ready(settings)
    except SensorError as error:
        say(telling, {"refused": {"message": str(error), "detail": list(error.detail), "code": error.exit_code}})
        return
    pool = Pool(partial(read_one, config, hybrid), Limits(**settings["limits"]))
    serve(pool, told, telling, {"bundle": hybrid.model_id, "sha256": hybrid.sha256})


def _ready(settings: dict[str, Any]) -> "tuple[Config, Hybrid]":
    """The settings, and the model with every kernel loaded, so that no child has to."""
    from sensor.settings.config import Config

    config = Config.model_validate_json(json.dumps(settings["config"]))
    hybrid = ready_model(config, cached(JUDGING, config), lambda: None, quiet=bool(settings["quiet"]))
    from sensor.run.warmup import warm_up  # not before: it loads kernels, whose cache is chosen by now

    warm_up(build_meter(config), build_judge(config, hybrid))
    gc.collect()
    gc.freeze()
    return config, hybrid


def read_one(config: "Config", hybrid: "Hybrid", task: Task, page: Page) -> Result:
    """Read one capture into a file of lines; what is known of it then. In a child."""
    part, name = Path(task["part"]), task["capture"]
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    found: Result = {"code": INTERNAL, "problems": [], "remarks": [], "account": {}}
    page.move(0)
    with whole_file(part) as lines:
        os.dup2(lines.fileno(), 1)
        try:
            display = DisplayOptions(True, True, Color.NEVER)
            with reading(config, [name], display, hybrid, [Moving(page)], capture=name) as assembled:
                assembled.run.run()
            found["code"] = exit_code(assembled, None)
            found["problems"] = list(assembled.run.problems)
            found["remarks"] = list(assembled.run.turns.remarks)
            found["account"] = account_of(assembled.run.progress)
        except SensorError as error:
            found["code"] = error.exit_code
            found["problems"] = [str(error), *(error.others if isinstance(error, InputError) else ())]
    with part.open("rb") as written:
        found["sha256"] = hashlib.file_digest(written, "sha256").hexdigest()
    return found | {"seconds": time.monotonic() - began_s, "cpu_s": time.process_time() - began_cpu_s}


if __name__ == "__main__":
    main()
