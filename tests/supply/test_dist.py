"""A wheel carries its bill of materials, and the same commit gives the same bytes."""

from tests.trust.supply import same_wheel, swapped_package


def test_two_builds_of_a_commit_are_equal() -> None:
    outcome = same_wheel(0.5)
    assert outcome.tries == 2
    assert not outcome.failures


def test_a_swapped_package_is_refused() -> None:
    assert not swapped_package(0.05).failures
