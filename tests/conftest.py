"""Where tests find the public data, which the repository never carries, and what all tests run with.

Side by side (pytest-xdist, `make test`) a worker takes a file of tests after the other, those that take longest first.
Files of one group stay in one worker: those of live capture, which need the same interfaces, times and share of a core.
"""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

from sensor.process.kernel_cache import use_kernel_cache
from tests.support.examples import SHARE

REPOSITORY = Path(__file__).resolve().parents[1]
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make groups of files, and put those that take longest first."""
    takes_s_of: defaultdict[str, float] = defaultdict(float)
    group_of: dict[pytest.Item, str] = {}
    for item in items:
        group_of[item] = group = group_name(item)
        item.add_marker(pytest.mark.xdist_group(group))
        if takes_s := item.get_closest_marker("takes"):
            takes_s_of[group] = max(takes_s_of[group], takes_s.args[0])
    items.sort(key=lambda item: -takes_s_of[group_of[item]])


def group_name(item: pytest.Item) -> str:
    """The test's group: that of live capture, else its file."""
    if item.get_closest_marker("live"):
        return "live"
    return item.path.relative_to(REPOSITORY / "tests").as_posix()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Settle how the commands of a test start, before its fixtures start any."""
    real = item.config.getoption("--real-starts") or item.get_closest_marker("real_start")
    STARTS.forks = not real


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of public datasets and golden outputs; tests that need it skip where it is absent."""
    path = Path(os.environ.get("FLOWVIGIL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"public data is not at {path} (set FLOWVIGIL_DATA)")
    return path
