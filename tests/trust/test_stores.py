"""The claims about memory, small: the bounds hold and the second half adds nothing."""

import pytest

from tests.trust.stores import fragments, many_kinds, storm, syns, told_one_by_one


@pytest.mark.parametrize(
    ("run", "tries"),
    [(storm, 4000), (told_one_by_one, 2000), (many_kinds, 90_000), (syns, 120_000), (fragments, 100_000)],
)
def test_memory_stays_what_the_settings_say(run, tries: int) -> None:  # type: ignore[no-untyped-def]
    outcome = run(tries)
    assert outcome.failures == []
    assert outcome.tries >= tries * 0.9
