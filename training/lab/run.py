"""A run of a scenario: the network up, the servers ready, users and attacks at work, all of it down, the truth told.

A run writes a directory: router.pcap and a capture for each segment that asks for one, truth.csv (what each flow is, as
of the generator), episodes.json (each attack), run.json (what ran, by which versions) and the logs of all processes.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from subprocess import CalledProcessError, Popen
from threading import Event, Lock
from typing import Final

from training.lab.accounts import make_homes
from training.lab.actions import ACTIONS
from training.lab.attacks import ATTACKS
from training.lab.claims import Claim
from training.lab.content import make_content
from training.lab.leftovers import remove_leftovers, removed_if_killed
from training.lab.namespaces import own_prefix
from training.lab.network import Network, network_up
from training.lab.orders import order_of, site_of
from training.lab.place import Place, Site
from training.lab.processes import end, is_open, run, send, start
from training.lab.record import Activity, Episode, write_record
from training.lab.scenario import Attack, Scenario
from training.lab.schedule import User, users_of
from training.lab.services import SERVICES
from training.reporting import Report

READY_S: Final = 30.0  # for all servers together
SETTLING_S: Final = 1.0  # after the last user, so that answers still arrive


class LabError(Exception):
    """A run that could not be made; one line."""


@dataclass(slots=True)
class Run:
    """A run that goes on."""

    scenario: Scenario
    site: Site
    network: Network
    directory: Path  # of this run's own files
    logs: Path
    report: Report
    stopping: Event
    began_s: float = 0.0  # of the monotonic clock
    episodes: list[Episode] = field(default_factory=list)
    activities: dict[str, Activity] = field(default_factory=dict)
    ended_early: list[str] = field(default_factory=list)  # servers, as host/service
    restless: dict[tuple[str, str], list["Popen[bytes]"]] = field(
        default_factory=dict
    )  # stopped servers, by host and name
    _lock: Lock = field(default_factory=Lock)

    def place(self, host: str, name: str) -> Place:
        """A host, with a directory for something that it does."""
        directory = self.directory / "hosts" / host / name
        directory.mkdir(parents=True, exist_ok=True)
        return Place(host, self.site, directory)

    def sleep_until(self, at_s: float) -> bool:
        """Wait for a time of the run: whether it came before the run was stopped."""
        return not self.stopping.wait(max(0.0, self.began_s + at_s - time.monotonic()))

    def refuse_without_switches(self) -> None:
        """Raise LabError where the switches are gone: nobody could reach anybody."""
        if self.network.fabric.poll() is not None:
            raise LabError(f"the switches ended before the run: {self._last_words()}")

    def refuse_failed_switches(self) -> None:
        """Raise LabError where the switches have not ended as they should: their captures may lack their ends."""
        if self.network.fabric.returncode:
            raise LabError(f"the switches failed at the end of the run: {self._last_words()}")

    def _last_words(self) -> str:
        said = (self.directory / "fabric.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return said[-1] if said else "without a word"

    def left_s(self) -> float:
        """Seconds until the users' work ends."""
        return self.began_s + self.scenario.duration_s - time.monotonic()

    def did(self, name: str, seconds: float, failed: bool) -> None:
        """Count an action."""
        with self._lock:
            activity = self.activities.setdefault(name, Activity())
            activity.times += 1
            activity.failed += failed
            activity.seconds += seconds


def run_scenario(scenario: Scenario, digest: str, output: Path, report: Report, stopping: Event) -> Path:
    """Run a scenario and write its directory, under its name when it is whole. stopping: ends it, whoever sets it.

    Raises LabError, OSError; KeyboardInterrupt where it was stopped. Then nothing is left behind.
    """
    remove_leftovers(output.parent, report)
    with ExitStack() as stack:
        stack.enter_context(removed_if_killed(output.parent))
        unfinished = Path(tempfile.mkdtemp(prefix=f".{output.name}.{own_prefix()}", dir=output.parent))
        stack.callback(shutil.rmtree, unfinished, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(prefix=own_prefix()))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        try:
            done = _make(scenario, directory, unfinished, report, stopping)
        except CalledProcessError as error:
            said = str(error.stderr or "").strip().splitlines()
            raise LabError(f"{error.cmd[0]} failed: {said[-1] if said else f'exit code {error.returncode}'}") from error
        except OSError as error:
            raise LabError(f"{error.filename or 'the network'}: {(error.strerror or str(error)).lower()}") from error
        if stopping.is_set():
            raise KeyboardInterrupt
        report("putting flows and claims together")
        counts = {**done.network.counts, "ended_early": done.ended_early}
        write_record(unfinished, scenario, digest, done.episodes, done.activities, counts)
        unfinished.chmod(0o755)
        unfinished.rename(output)
    return output


def _make(scenario: Scenario, directory: Path, output: Path, report: Report, stopping: Event) -> Run:
    """Bring all up, let it work, take all down."""
    shared, logs = directory / "shared", output / "logs"
    for path in (shared, logs):
        path.mkdir()
    make_homes(directory / "homes")
    report("making content")
    make_content(shared, scenario.seed)
    site = site_of(scenario, shared)
    captures = {"router": output / "router.pcap"}
    captures |= {name: output / f"{name}.pcap" for name, segment in scenario.segments.items() if segment.capture}
    with network_up(scenario, site, directory, captures) as network:
        going = Run(scenario, site, network, directory, logs, report, stopping)
        with _services_up(going):
            _work(going)
            going.refuse_without_switches()
    going.refuse_failed_switches()
    return going


@contextmanager
def _services_up(going: Run) -> Iterator[None]:
    """All servers, ready, while they are needed. Raises LabError where one does not get ready in time."""
    with ExitStack() as stack:
        waiting = []
        for host, parts in going.scenario.hosts.items():
            for name in parts.services:
                place = going.place(host, name)
                for command in SERVICES[name].commands(place):
                    log = going.logs / f"{host}-{name}.log"
                    process = start(
                        going.network.namespace(host), SERVICES[name].start_command(command), log, place.directory
                    )
                    stack.callback(end, process)
                    waiting.append((host, name, process, log))
        going.report(f"waiting for {len(waiting)} servers")
        until = time.monotonic() + READY_S
        faults = [fault for each in waiting if (fault := _not_ready(going, *each, until)) is not None]
        if faults:
            raise LabError("; ".join(faults))
        for host, name, process, _ in waiting:
            if SERVICES[name].restless:
                going.restless.setdefault((host, name), []).append(process)
                send(process, signal.SIGSTOP)
        yield
        going.ended_early = sorted(
            {f"{host}/{name}" for host, name, process, _ in waiting if process.poll() is not None}
        )
        for name in going.ended_early:
            going.report(f"server {name} ended before the run")


def _not_ready(going: Run, host: str, name: str, process: "Popen[bytes]", log: Path, until: float) -> str | None:
    """What keeps a server from being ready, None where it is or nobody waits for it any more."""
    while not is_open(going.network.namespace(host), SERVICES[name].ports[0]):
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return f"service {name} of host {host} is not ready: {said[-1] if said else 'it said nothing'}"
        if going.stopping.wait(0.05):
            return None
    return None


def _work(going: Run) -> None:
    """Users and attacks at work until the time is up."""
    users = users_of(going.scenario)
    going.network.begin_capture()
    going.began_s = time.monotonic() + 0.2
    attacks = going.scenario.attacks
    going.report(f"{len(users)} users and {len(attacks)} attacks for {going.scenario.duration_s:g} s")
    with ThreadPoolExecutor(max(1, len(users) + len(attacks))) as pool:
        work = [pool.submit(_use, going, user) for user in users]
        work += [pool.submit(_attack, going, attack) for attack in attacks]
        try:
            for done in as_completed(work):
                done.result()
        except BaseException:
            going.stopping.set()  # the others need not go on
            raise
    going.sleep_until(going.scenario.duration_s + SETTLING_S)


def _use(going: Run, user: User) -> None:
    """What one user does, one thing after the other."""
    namespace = going.network.namespace(user.host)
    place = going.place(user.host, user.habit)
    behind_s = 0.0  # how long actions have taken
    for planned in user.actions:
        if planned.at_s + behind_s >= going.scenario.duration_s or not going.sleep_until(planned.at_s + behind_s):
            return
        action = ACTIONS[planned.action]
        began_s, failed = time.monotonic(), False
        here = replace(place, site=place.site.by(planned.ip))
        for step in action.steps(here, planned.target, Random(planned.seed)):
            longest_s = min(action.longest_s, going.left_s())
            if longest_s <= 0:
                break
            log = going.logs / f"{user.host}-{user.habit}.log"
            ended = run(namespace, step.command, log, place.directory, longest_s, going.stopping)
            failed |= ended.code not in (0, None)  # None: the time was up
            if going.stopping.wait(max(0.0, min(step.pause_s, going.left_s()))):
                return
        took_s = time.monotonic() - began_s
        behind_s += took_s
        going.did(planned.action, took_s, failed)
        going.refuse_without_switches()


@contextmanager
def _awake(going: Run, attack: Attack) -> Iterator[None]:
    """Servers that an attack is about and that are stopped otherwise, at work for a while."""
    service = ATTACKS[attack.tool].service or ""
    processes = [process for host in attack.targets for process in going.restless.get((host, service), ())]
    for process in processes:
        send(process, signal.SIGCONT)
    try:
        yield
    finally:
        for process in processes:
            send(process, signal.SIGSTOP)


def _attack(going: Run, attack: Attack) -> None:
    """One episode."""
    order = order_of(attack, going.scenario)
    if not going.sleep_until(order.at_s):
        return
    tool = ATTACKS[attack.tool]
    place = going.place(attack.source, attack.name)
    place = replace(place, site=place.site.by(order.ip))
    reaches = tool.reaches(place, order)
    going.report(f"{attack.name}: {attack.tool} from {attack.source} to {', '.join(attack.targets)}")
    began_ns, until_s = time.time_ns(), going.began_s + order.at_s + order.for_s
    commands, codes = tool.commands(place, order), []
    ports: set[int] | None = set() if any(reach.own_ports for reach in reaches) else None
    for command in commands:
        longest_s = until_s - time.monotonic()
        if longest_s <= 0 or going.stopping.is_set():
            break
        log = going.logs / f"attack-{attack.name}.log"
        namespace = going.network.namespace(attack.source)
        with _awake(going, attack):
            codes.append(run(namespace, command, log, place.directory, longest_s, going.stopping, ports).code)
    ended_ns = time.time_ns()
    claims = [
        Claim(attack.name, tool.technique, reach, began_ns, ended_ns, frozenset(ports or ())) for reach in reaches
    ]
    going.episodes.append(Episode(attack, order, tool.technique, began_ns, ended_ns, commands, codes, claims))
