"""Signals that end a command, heard in every phase."""

import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest

from sensor.cli.signals import ended_by_interrupt, stopped_by_signals
from sensor.process.children import Child, settled
from sensor.signals import _Interrupt, interrupt_by_signals


class Run:
    """A run that has not begun."""

    stopping = False

    def stop(self) -> None:
        self.stopping = True


@pytest.fixture
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(_Interrupt, "heard", False)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_as_before")
def test_an_interrupt_that_a_library_has_caught_ends_the_run_before_it_begins() -> None:
    interrupt_by_signals(130)
    with suppress(KeyboardInterrupt):  # as a library does while it is imported
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    run = Run()
    with pytest.raises(KeyboardInterrupt), stopped_by_signals(run):
        raise AssertionError("the run has begun")
    assert not run.stopping


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("begun", [False, True])
def test_of_ignored_signals_only_the_hangup_stays_ignored(begun: bool) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # as a script's & and nohup have them
        signal.signal(number, signal.SIG_IGN)
    interrupt_by_signals(130)
    run, interrupted = Run(), False
    with stopped_by_signals(run) if begun else nullcontext():
        os.kill(os.getpid(), signal.SIGHUP)
        assert not run.stopping
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            interrupted = True
    assert (run.stopping, interrupted) == (begun, not begun)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_interrupts_a_command_ends_it_at_once_while_kernels_are_compiled(number: signal.Signals) -> None:
    def compile_kernels() -> int:
        interrupt_by_signals(130)
        settled()
        with ended_by_interrupt():
            os.kill(os.getpid(), number)
        return 1

    assert Child(compile_kernels).ended(20.0) == "exit code 130"
