"""Where tests find the public data, which the repository never carries, and what all tests run with.

Side by side (pytest-xdist, `make test`) a worker takes a file of tests after the other, those that take longest first,
so that what a file arranges is arranged once. Those of live capture are one group: they do not run beside each other.
They wait for half of their time, so there is a worker more than cores, and the others give way to them.
"""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from sensor.process.cores import usable_cores
from sensor.process.kernel_cache import use_kernel_cache
from tests.support.examples import SHARE

REPOSITORY = Path(__file__).resolve().parents[1]
LIVE = "tests/live/"
NICENESS = 5  # of workers beside that of live capture
LOADED = "from tests.support.fork_server import load; load()"

# One cache for these kernels and for those of the commands that tests start, and none that is out of date.
COMPILED = use_kernel_cache()

# Threads of scikit-learn that wait for a core of another worker's would take that core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.support.command import STARTS, surroundings  # noqa: E402  # it keeps the environment for commands

settings.load_profile(SHARE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --real-starts."""
    parser.addoption("--real-starts", action="store_true", help="start each command in an interpreter of its own")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels before there are workers, each of which would do it for itself."""
    spreads = session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput")
    if spreads and not COMPILED:
        print("compiling kernels before the workers start", flush=True)
        subprocess.run([sys.executable, "-c", LOADED], stdout=subprocess.DEVNULL, env=surroundings(), check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest: live capture, which waits much, then files by what they say of themselves."""

    def takes_s(item: pytest.Item) -> float:
        said = item.get_closest_marker("takes")
        return math.inf if group_of(item.nodeid) == LIVE else said.args[0] if said else 0.0

    items.sort(key=takes_s, reverse=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A worker for each core, and one that mostly waits."""
    return usable_cores() + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole groups in this order. pytest-xdist's own groups (3.8) are not seen by pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class GroupScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return GroupScheduling(config, log)


def group_of(nodeid: str) -> str:
    """What a test belongs to: live capture, else its file."""
    path = nodeid.partition("::")[0]
    return LIVE if path.startswith(LIVE) else path


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Settle how the commands of a test start, before its fixtures start any."""
    beside = hasattr(item.config, "workerinput") and group_of(item.nodeid) != LIVE
    if beside and os.name == "posix" and os.nice(0) == 0:
        os.nice(NICENESS)
    real = item.config.getoption("--real-starts") or item.get_closest_marker("real_start")
    STARTS.forks = not real


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of public datasets and golden outputs; tests that need it skip where it is absent."""
    path = Path(os.environ.get("FLOWVIGIL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"public data is not at {path} (set FLOWVIGIL_DATA)")
    return path
