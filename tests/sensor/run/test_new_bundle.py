"""Another bundle for a run that goes on: loaded aside, taken between turns, refused without a trace."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sensor.errors import ModelError
from sensor.run.new_bundle import NewBundle


@dataclass
class Hybrid:
    model_id: str
    manifest_sha256: str


@dataclass
class Judge:
    """Takes what it is given, and says so."""

    hybrid: Hybrid
    taken: list[str] = field(default_factory=list)

    def exchange(self, other: "Judge") -> None:
        self.hybrid = other.hybrid
        self.taken.append(other.hybrid.model_id)


def judge(name: str = "old") -> Any:
    return Judge(Hybrid(name, name.encode().hex().ljust(64, "0")))


def news_of(new_bundle: NewBundle, within_s: float = 5.0) -> list[tuple[str, str]]:
    """The next news, as turns would get it; none after so long."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if news := new_bundle.news():
            return list(news)
        time.sleep(0.002)
    return []


def test_it_is_taken_by_the_turn_after_it_is_loaded_and_both_hashes_are_told() -> None:
    run = judge()
    new_bundle = NewBundle(run)
    gate = threading.Event()

    def load() -> Any:
        gate.wait(5)
        return judge("new")

    new_bundle.request(load)
    assert new_bundle.news() == ()
    assert run.taken == []
    gate.set()
    ((action, message),) = news_of(new_bundle)
    assert run.taken == ["new"]
    assert action == "bundle-exchanged"
    assert "new (6e65770000000000)" in message
    assert "old (6f6c640000000000)" in message
    assert new_bundle.news() == ()


def test_one_that_does_not_load_changes_nothing_and_the_reason_is_told() -> None:
    run = judge()
    new_bundle = NewBundle(run)

    def refuse(error: Exception) -> Callable[[], Any]:
        def load() -> Any:
            raise error

        return load

    for error in (ModelError("bundle site: format is 'x', expected another"), MemoryError(), ValueError("cut is 7")):
        new_bundle.request(refuse(error))
        ((action, message),) = news_of(new_bundle)
        assert action == "bundle-kept"
        assert message.startswith("bundle old (6f6c640000000000) goes on")
        assert message.endswith(str(error) or "MemoryError")
    assert run.taken == []


def test_the_same_bundle_is_no_news() -> None:
    run = judge()
    new_bundle = NewBundle(run)
    new_bundle.request(lambda: None)
    assert news_of(new_bundle, within_s=0.2) == []
    assert run.taken == []


def test_what_was_asked_for_last_is_taken() -> None:
    run = judge()
    new_bundle = NewBundle(run)
    gate = threading.Event()

    def slow() -> Any:
        gate.wait(5)
        return judge("second")

    new_bundle.request(slow)
    new_bundle.request(lambda: judge("third"))
    new_bundle.request(lambda: judge("fourth"))
    gate.set()
    assert len(news_of(new_bundle)) == 1
    assert run.taken == ["fourth"]
