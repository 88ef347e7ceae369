"""A cable between two namespaces for each live test."""

from collections.abc import Iterator

import pytest

from tests.support.namespaces import SCANNER, SERVER, ip, joined_namespaces


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Names of two namespaces: fv0 in the first and fv1 in the second are the ends of a cable."""
    with joined_namespaces() as names:
        yield names


@pytest.fixture
def cable(namespaces: tuple[str, str]) -> tuple[str, str]:
    """The same with an address at each end."""
    left, right = namespaces
    ip("-n", left, "address", "add", f"{SCANNER}/24", "dev", "fv0")
    ip("-n", right, "address", "add", f"{SERVER}/24", "dev", "fv1")
    return left, right
