"""The page of claims says what was recorded, and no claim without tries counts as kept."""

import pytest

from tests.trust import record
from tests.trust.__main__ import all_claims, run
from tests.trust.claim import Claim, NotTriedError, Outcome


def test_the_page_shows_what_was_recorded() -> None:
    page = record.PAGE.read_text()
    assert page == record.with_table(page, all_claims(), record.read()), "python -m tests.trust --page writes it anew"


def test_what_was_recorded_had_tries() -> None:
    kept = record.read()
    assert not [name for name, outcome in kept.items() if not outcome["tries"]]
    assert set(kept) <= {claim.name for claim in all_claims()}


def test_a_failure_is_told_and_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    claim = Claim("sinks", "It does not sink.", "dives", lambda _: Outcome(3, ["the second sank"], "7 m"))
    monkeypatch.setattr("tests.trust.__main__.tried", lambda claim, scale: claim.run(scale))
    assert run([claim], 1.0, keep=False) == 1
    told = capsys.readouterr().out
    assert "3 dives       1" in told
    assert "sinks: the second sank" in told


def test_a_claim_that_breaks_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.trust import __main__ as command

    monkeypatch.setattr(command.sys, "executable", "false")
    outcome = command.tried(Claim("breaks", "", "tries", lambda _: Outcome(1)), 1.0)
    assert isinstance(outcome, Outcome)
    assert outcome.failures == ["ended with 1 before it had an outcome"]


def test_what_cannot_be_tried_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def untried(_: float) -> Outcome:
        raise NotTriedError("needs root")

    from tests.trust import __main__ as command

    claim = Claim("untried", "", "tries", untried)
    assert command.inside(claim, 1.0) == command.NOT_TRIED
    monkeypatch.setattr(command, "tried", lambda *_: "needs root")
    assert run([claim], 1.0, keep=True) == 0
    assert "untried  not tried: needs root" in capsys.readouterr().out
    assert "untried" not in record.read()
