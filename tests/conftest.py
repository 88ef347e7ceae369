"""Where tests find the public data, which the repository never carries."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of public datasets and golden outputs; tests that need it skip where it is absent."""
    path = Path(os.environ.get("FLOWVIGIL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"public data is not at {path} (set FLOWVIGIL_DATA)")
    return path
