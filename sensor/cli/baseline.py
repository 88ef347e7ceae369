"""`flowvigil baseline`: a bundle and a site's own traffic in, a bundle that knows the site out."""

import importlib
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sensor import log
from sensor.cli.bundle_output import put_bundle, refuse_other_directory
from sensor.cli.durations import duration_s
from sensor.cli.extras import require_packages
from sensor.cli.flags import Flags, with_flags
from sensor.cli.flow_log_argument import are_flow_logs
from sensor.cli.interface_argument import interface_of
from sensor.cli.kernels import JUDGING, Kernels, cached
from sensor.cli.memory_option import MemoryOption, memory_bytes, within_memory
from sensor.cli.options import Color, QuietOption
from sensor.cli.stdout import write_stdout
from sensor.errors import CAPTURE, INTERRUPTED, OK, InputError
from sensor.printable import printable
from sensor.version import VERSION

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.baseline.judged import Records
    from sensor.baseline.learning import Asked, Learning
    from sensor.cli.learning_live import LearnedSite
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

NEEDS: Final = ("sklearn",)
# What is needed when the privileges of a capture have gone.
LATER: Final = (
    *("sklearn.ensemble", "training.fit.forests", "sensor.flow_log.reading", "sensor.report.publish"),
    *(
        "sensor.cli.learning",
        "training.datasets.rows",
        "sensor.baseline.page",
        "sensor.baseline.words",
        "sensor.files.replacing",
    ),
)
NETWORKS_NAMED: Final = 3
ATTACKED_TOLD, ATTACKED_REFUSED = 0.05, 0.5  # shares of flows of what was told, from which on it is said, or refused
SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="The site's own traffic: captures, directories of captures, flow logs (watch --flows) or flow tables as "
        "Parquet, also in parts or by a pattern; an interface; of a KDD bundle a file of its records. - is stdin.",
    ),
]
AlertsADayOption = Annotated[
    float, typer.Option(metavar="N", min=0.001, max=10_000, help="Alerts a day that somebody reads.")
]


@with_flags("config", "overrides", "expression", "decap", "site")
def baseline(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle directory, or the name of a shipped one.")],
    sources: SourcesArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="BUNDLE", help="Bundle directory to write.", readable=False)
    ],
    alerts_per_day: AlertsADayOption = 1.0,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="X.html", help="Also write what was learnt as a page.", readable=False),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="How long to listen to an interface, such as 90m or 7d; else 24h."),
    ] = None,
    habits: Annotated[
        bool, typer.Option("--habits/--no-habits", help="Learn claims that hold all the time as the site's habits.")
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=(1 << 31) - 1, help="Of samples and fits.")] = 1,
    memory: MemoryOption = None,
    *,
    flags: Flags,
    quiet: QuietOption = False,
) -> int:
    """Fit a bundle to a site's traffic and to so many alerts a day.

    \b
    flowvigil baseline default monday.pcap.gz tuesday.pcap.gz -o site
    flowvigil baseline default flows/ -o site --alerts-per-day 5 --page site.html
    sudo flowvigil baseline default eth0 --for 7d -o site   # goes on if repeated
    flowvigil baseline site new-week/ -o site --alerts-per-day 5   # weeks later
    flowvigil baseline default 'flows/*.parquet' -o site --memory 1G
    sudo flowvigil watch -i eth0 -m site

    The Isolation Forest, what is normal, the cuts of both lanes and the thresholds of alerts become the site's own.
    What is told of the learning period is not learnt as normal; yet look at the page, as what an attacker did all the
    time is a habit. Of less than a day nobody knows what happens once a day: such a bundle says "warming", and its
    thresholds are no lower than the shipped ones. The detectors that know attacks stay as they are.

    Needs scikit-learn: pip install 'flowvigil[home]'.
    """
    require_packages(NEEDS, "a baseline", "home")
    config = flags.settings()
    config = config.model_copy(update={"detection": config.detection.model_copy(update={"bundle": bundle})})
    kernels = cached(JUDGING, config)  # before anything that imports numba
    memory_bytes(memory)  # refused before a week is listened to
    refuse_other_directory(output)
    if page is not None:
        from sensor.report.publish import refuse_unwritable

        refuse_unwritable(page, [source for source in sources if os.path.exists(source)])
    progress = (lambda _: None) if quiet else log.progress
    interface = interface_of(sources, listen)
    if interface is not None:
        from sensor.cli.learning_live import LearnedSite

        site = LearnedSite(output.absolute(), duration_s(listen or "24h", "--for"), alerts_per_day, lambda: config)
        code = _heard(site, interface, quiet=quiet)
        if code != OK:
            return code
        sources = [str(site.log)]
    wanted = Wanted(output, page, alerts_per_day, seed, habits)
    with within_memory(memory):
        problems = _learnt(config, kernels, sources, wanted, progress, quiet=quiet)
    if interface is not None:
        site.clear()
    if problems:
        raise InputError(problems[-1], *problems[:-1])
    return OK


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be learnt, and where it is written."""

    output: Path
    page: Path | None
    alerts_per_day: float
    seed: int
    habits: bool


def _learnt(
    config: "Config",
    kernels: Kernels,
    sources: Sequence[str],
    wanted: Wanted,
    progress: Callable[[str], None],
    *,
    quiet: bool,
) -> list[str]:
    """Learn, write and tell; what could not be read."""
    from flows.kdd.columns import kdd_contract
    from sensor.baseline.learning import Asked, TooLittleError
    from sensor.cli.build import load_model, site_notes
    from sensor.cli.ready_model import ready_model

    notes = site_notes(config)
    hybrid = load_model(config)
    asked = Asked(wanted.alerts_per_day, wanted.seed, wanted.habits, *(() if notes is None else (notes.home,)))
    try:
        if hybrid.contract in (kdd_contract(content=True), kdd_contract(content=False)) and _are_tables(sources):
            _learn_table(hybrid, sources, asked, wanted.output, progress)
            return []
        hybrid = ready_model(config, kernels, partial(_refuse_sources, config, sources), quiet=quiet)
        learning, problems = _learn(config, hybrid, notes, sources, asked, wanted.output, progress)
    except TooLittleError as error:
        raise InputError(f"{', '.join(sources)}: {error}") from error
    _refuse_attacked(learning)
    _tell_other_network(hybrid, learning)
    about = _about(hybrid, sources, learning)
    _put(wanted.output, replace(learning.hybrid, model_id=_name(wanted.output, hybrid)), about, progress)
    if wanted.page is not None:
        from sensor.baseline.page import page as html
        from sensor.report.publish import publish

        publish(html(learning, sources, hybrid), wanted.page)
    if not quiet:
        from sensor.baseline.words import told

        for line in told(learning):
            write_stdout(f"{line}\n")
        progress(f"bundle written to {wanted.output}: flowvigil watch -i IFACE -m {wanted.output}")
    if config.detection.bundle_keys is not None:
        log.info(
            f"{wanted.output} is not signed: before a sensor with these detection.bundle_keys takes it, sign it where "
            "the secret key is (minisign -S -m manifest.json, docs/bundles.md)"
        )
    return problems


def _heard(site: "LearnedSite", interface: str, *, quiet: bool) -> int:
    """Listen to an interface until the site was heard for long enough: OK, or the exit code where it was not.

    Privileges are gone then.
    """
    if sys.platform == "linux":
        from sensor.process.privileges import single_threaded_libraries

        single_threaded_libraries()
    from sensor.cli.learning_live import Silent, refuse_output, tell_waiting
    from sensor.cli.live_capture import named_interfaces, unprivileged_user
    from sensor.cli.reload import not_yet_requested
    from sensor.cli.watching import WatchOptions, watching

    refuse_output(site.output, unprivileged_user(site.settings()))
    for module in LATER:
        importlib.import_module(module)  # while its file can still be read
    options = WatchOptions(
        named_interfaces([interface]), None, Silent(json=False, quiet=quiet, color=Color.AUTO), site.settings,
        partial(site.hook, site.ended),
    )  # fmt: skip
    with not_yet_requested() as requested, watching(replace(options, requested=requested)) as assembled:
        run = assembled.run
        run.run()
    if site.enough:
        return OK
    tell_waiting(site)
    return CAPTURE if run.turns.problems else INTERRUPTED  # a capture that ended unasked was not heard for long enough


def _learn(
    config: "Config",
    hybrid: "Hybrid",
    notes: "SiteNotes | None",
    sources: Sequence[str],
    asked: "Asked",
    output: Path,
    progress: Callable[[str], None],
) -> "tuple[Learning, list[str]]":
    """What was learnt, and what could not be read."""
    from sensor.baseline.learning import TooLittleError, learn
    from sensor.cli.learning import SiteSensor, fit_forest, records_of_captures, records_of_logs
    from training.datasets.rows import empty

    opened: AbstractContextManager[tuple[Records, list[str]]]
    if are_flow_logs(sources):
        opened = records_of_logs(sources)
    else:
        opened = records_of_captures(config, sources, output.absolute().parent)
    with opened as (records, problems):
        try:
            learning = learn(hybrid, records, SiteSensor(config, notes), asked, fit_forest, progress, empty)
        except TooLittleError as error:
            raise InputError(f"{', '.join(sources)}: {error}", *_first(problems)) from error
        return learning, _first(problems)


def _first(problems: Sequence[str]) -> list[str]:
    """What could not be read, each once though it was met each time through."""
    from sensor.progress.words import first_problems

    return first_problems(list(dict.fromkeys(problems)))


def _learn_table(
    hybrid: "Hybrid", sources: Sequence[str], asked: "Asked", output: Path, progress: Callable[[str], None]
) -> None:
    """Fit the lanes of a bundle for connection records to normal records of a file."""
    from flows.kdd.columns import kdd_contract
    from sensor.baseline.learning import learn_rows
    from sensor.cli.labels import stop
    from sensor.cli.learning import fit_forest
    from training.datasets.kdd import read_kdd
    from training.errors import DatasetError
    from training.evaluation.records import record_steps, seen_by_bundle
    from training.labels import BENIGN

    require_packages(("polars",), "a baseline of records", "train")
    if len(sources) != 1:
        raise typer.BadParameter("found several sources, expected one file of records")
    try:
        table = read_kdd(Path(sources[0]), progress)
    except DatasetError as error:
        raise stop(InputError, error) from error
    attacks = int((table.family != BENIGN).sum())
    normal = table.take(table.family == BENIGN)
    if attacks:
        progress(f"left out {attacks:,} records that are labelled as attacks")
    records = seen_by_bundle(normal, content=hybrid.contract == kdd_contract(content=True))
    learnt = learn_rows(hybrid, record_steps(records.values), asked, fit_forest)
    about = {
        **hybrid.about,
        "site": {"of": hybrid.model_id, "sources": [printable(Path(sources[0]).name)], "rows": learnt.rows},
    }
    _put(output, replace(learnt.hybrid, model_id=_name(output, hybrid)), about, progress)
    progress(f"fitted to {learnt.rows:,} normal records; records have no alerts, so there is no budget of them")
    progress(f"bundle written to {output}")


def _are_tables(sources: Sequence[str]) -> bool:
    """Whether a source is a table of records and no capture."""
    from training.datasets.kdd_files import is_kdd
    from training.errors import DatasetError

    def is_table(source: str) -> bool:
        try:
            return os.path.isfile(source) and is_kdd(Path(source))
        except DatasetError:  # a capture, or what its reader tells
            return False

    return any(map(is_table, sources))


def _refuse_sources(config: "Config", sources: Sequence[str]) -> None:
    """Raise InputError where nothing can be read, ConfigError for the filter."""
    from sensor.cli.beforehand import refuse_captures

    if not are_flow_logs(sources):
        refuse_captures(config, sources)


def _refuse_attacked(learning: "Learning") -> None:
    """Say what share of the learning period was of what no note excuses. Raises InputError where that is most of it."""
    share = learning.attacked / max(learning.site.learned.flows, 1)
    if share >= ATTACKED_REFUSED:
        raise InputError(
            f"{100 * share:.0f} % of the flows are of what is told as alerts: found attacks, or what the bundle "
            "takes for some, expected normal traffic for the most part; flowvigil report shows the alerts"
        )
    if share >= ATTACKED_TOLD:
        log.info(f"{100 * share:.0f} % of the flows are of what is told as alerts: they were not learnt as normal")


def _tell_other_network(before: "Hybrid", learning: "Learning") -> None:
    """Say that a source shares no network with the site that the bundle had."""
    from sensor.baseline.networks import of_another_network

    if before.site is None:
        return
    earlier, now = before.site.learned.networks, learning.site.learned.networks
    if of_another_network(earlier, now):
        log.info(
            f"another network? {before.model_id} was learnt in {_some(earlier)}, this source is of {_some(now)}: for "
            "another site begin with a shipped bundle"
        )


def _some(networks: Sequence[str]) -> str:
    more = len(networks) - NETWORKS_NAMED
    return ", ".join(networks[:NETWORKS_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _put(output: Path, hybrid: "Hybrid", about: Mapping[str, Any], progress: Callable[[str], None]) -> None:
    from models.bundle import save_bundle

    put_bundle(output, lambda fresh: save_bundle(fresh, hybrid, about), progress)


def _name(output: Path, hybrid: "Hybrid") -> str:
    """What alerts call the bundle: as its directory, if that is a name."""
    from models.bundle import MODEL_ID

    return output.name if MODEL_ID.fullmatch(output.name) else f"{hybrid.model_id[:120]}-site"


def _about(hybrid: "Hybrid", sources: Sequence[str], learning: "Learning") -> dict[str, Any]:
    """How the bundle was made: as that which it came from, and what it learnt here."""
    site = learning.site
    low, mean, high = site.expected_alerts_per_day
    made = {
        "of": {"model_id": hybrid.model_id, "sha256": hybrid.sha256},
        "sources": [printable(Path(source).name) for source in sources[:20]],
        "alerts_per_day": site.alerts_per_day,
        "expected_alerts_per_day": {"low": low, "mean": mean, "high": high},
        "versions": {"flowvigil": VERSION, "python": platform.python_version()},
    }
    return {**hybrid.about, "site": made}
