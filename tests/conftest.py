"""Where tests find the public data, which the repository never carries, and what all tests run with."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from sensor.process.kernel_cache import use_kernel_cache
from tests.support.examples import SHARE

REPOSITORY = Path(__file__).resolve().parents[1]

# One cache for these kernels and for those of the commands that tests start, and none that is out of date.
use_kernel_cache()

from tests.support.command import STARTS  # noqa: E402  # it keeps the environment for commands, with the cache

settings.load_profile(SHARE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --real-starts."""
    parser.addoption("--real-starts", action="store_true", help="start each command in an interpreter of its own")


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
