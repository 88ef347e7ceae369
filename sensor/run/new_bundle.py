"""Another bundle for a run that goes on: loaded and tried in a thread, taken between two turns.

The thread that takes packets waits for nothing but the exchange itself, some milliseconds; while the other is loaded
it shares the interpreter with it. A bundle that does not load changes nothing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sensor.judging.judge import Judge

EXCHANGED, KEPT = "bundle-exchanged", "bundle-kept"  # actions of the events

# Gives a judge with the other model, with which nothing was judged, None where it is the one that judges already.
# Raises whatever it likes.
LoadJudge = Callable[[], Judge | None]


@dataclass(slots=True)
class _Loading:
    """One attempt, and what came of it."""

    load: LoadJudge
    judge: Judge | None = None
    problem: str | None = None
    thread: threading.Thread | None = None

    def run(self) -> None:
        """Load. In the thread."""
        try:
            self.judge = self.load()
        except Exception as error:  # noqa: BLE001  # whatever a bundle holds, the run goes on, and says it
            self.problem = str(error) or type(error).__name__


class NewBundle:
    """Exchanges the model of a judge when asked to."""

    def __init__(self, judge: Judge, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        """judge: of the run. clock_ns: measures the pause of an exchange."""
        self._judge = judge
        self._clock_ns = clock_ns
        self._loading: _Loading | None = None
        self._wanted: LoadJudge | None = None  # asked for while another was loaded

    @property
    def judge(self) -> Judge:
        """The judge of the run."""
        return self._judge

    def request(self, load: LoadJudge) -> None:
        """Begin to load another bundle; one that is being loaded gives way to it."""
        if self._loading is not None:
            self._wanted = load
            return
        self._loading = _Loading(load)
        self._loading.thread = threading.Thread(target=self._loading.run, name="new bundle", daemon=True)
        self._loading.thread.start()

    def news(self) -> Sequence[tuple[str, str]]:
        """Exchange the model if another is ready; action and message of the event, if there is one. Between turns."""
        loading = self._loading
        if loading is None or (loading.thread is not None and loading.thread.is_alive()):
            return ()
        self._loading = None
        if self._wanted is not None:  # what has come is out of date
            wanted, self._wanted = self._wanted, None
            self.request(wanted)
            return ()
        name = _name(self._judge)
        if loading.problem is not None:
            return ((KEPT, f"bundle {name} goes on, as the other cannot be taken: {loading.problem}"),)
        if loading.judge is None:
            return ()
        began_ns = self._clock_ns()
        self._judge.exchange(loading.judge)
        pause_ms = (self._clock_ns() - began_ns) / 1e6
        message = (
            f"bundle {_name(self._judge)} judges from now on, instead of {name}; the exchange took {pause_ms:.1f} ms"
        )
        return ((EXCHANGED, message),)


def _name(judge: Judge) -> str:
    """Name of the model that judges and the begin of its manifest's SHA-256."""
    return f"{judge.hybrid.model_id} ({judge.hybrid.manifest_sha256[:16]})"
