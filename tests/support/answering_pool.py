"""A pool's process (sensor.jobs.server) whose work is what a test says: no kernel is loaded, so it starts at once."""

import hashlib
import os
import time
from pathlib import Path

from sensor.jobs.pool import Limits, Page, Pool, Result, Task
from sensor.jobs.server import Lines, serve

READY = {"bundle": "none", "sha256": "0" * 64, "files": {"notes.yaml": "5" * 64}}  # what it says of itself


def work(task: Task, page: Page) -> Result:
    """What the task says in `do`, and then lines of its capture's name."""
    for step in range(task.get("steps", 0)):
        page.move(step)
        time.sleep(0.1)
    if task.get("do") == "die":
        os._exit(3)
    lines = f"{task['capture']}\n".encode() * task.get("times", 1)
    Path(task["part"]).write_bytes(lines)
    if "pid" in task:
        Path(task["pid"]).write_text(str(os.getpid()))
    if task.get("do") == "hang":
        time.sleep(60)
    return {"sha256": hashlib.sha256(lines).hexdigest(), "seconds": 0.1}


def main() -> None:
    """Serve by standard input and output."""
    told, telling = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    settings = Lines(told).read()[0]
    serve(Pool(work, Limits(**settings["limits"])), told, telling, READY)


if __name__ == "__main__":
    main()
