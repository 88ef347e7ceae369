"""A cable between two namespaces for each live test."""

from collections.abc import Iterator

import pytest

from tests.support.namespaces import joined_namespaces


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Names of two namespaces: fv0 in the first and fv1 in the second are the ends of a cable."""
    with joined_namespaces() as names:
        yield names
