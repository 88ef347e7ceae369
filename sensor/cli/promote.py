"""`flowvigil promote`: a new bundle in place of the one that a sensor runs on, if it is shown to be no worse."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensor import log
from sensor.cli.flags import Flags, with_flags
from sensor.errors import NOT_MET, OK, ModelError, OutputError, reason_of
from sensor.printable import printable

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.files.replacing import ReplacedDirectory
    from sensor.settings.config import Config
    from training.evaluation.promotion.record import Decision

LONGEST_WHY = 400  # characters

ChallengerArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="CHALLENGER",
        help="Bundle that is to take the champion's place: directory, or name of a shipped one.",
        readable=False,
        show_default=False,
    ),
]
OverOption = Annotated[
    Path | None,
    typer.Option("--over", metavar="CHAMPION", help="Directory that the sensor runs on (detection.bundle)."),
]
OnOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--on", metavar="INDEX", help="Also compare by an index of labelled captures, or its directory; repeatable."
    ),
]
NormalOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--normal",
        metavar="SOURCE",
        help="Also compare by the site's own traffic, on which every alert is false: captures, a flow log's directory "
        "or Parquet files; repeatable.",
    ),
]
RollbackOption = Annotated[
    Path | None,
    typer.Option("--rollback", metavar="CHAMPION", help="Put the previous bundle back in place of this one instead."),
]
FleetOption = Annotated[
    Path | None,
    typer.Option(
        "--fleet",
        metavar="FLEET.yaml",
        help="Write which sensors of this list should have it, and lay it beside the list.",
        readable=False,
    ),
]
GroupOption = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Sensors of this group alone.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Promote in spite of the comparison; needs --why.")]
WhyOption = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Why it is forced; the bundle keeps it.")]


@with_flags("config", "overrides")
def promote(
    challenger: ChallengerArgument = None,
    over: OverOption = None,
    on: OnOption = None,
    normal: NormalOption = None,
    rollback: RollbackOption = None,
    fleet: FleetOption = None,
    group: GroupOption = None,
    *,
    flags: Flags,
    as_json: Annotated[bool, typer.Option("--json", help="The comparison as JSON on stdout, not as a table.")] = False,
    force: ForceOption = False,
    why: WhyOption = None,
) -> int:
    """Put a bundle in the place of another, if it is no worse.

    The other is the one that a sensor runs on; that the new one is no worse has to be shown.

    \b
    flowvigil promote bundles/new --over bundles/site
    flowvigil promote bundles/new --over bundles/site --normal yesterday.pcap
    flowvigil promote bundles/new --over bundles/site --force --why 'a new attack'
    flowvigil promote --rollback bundles/site
    flowvigil promote new --over site --fleet fleet.yaml --group canary
    flowvigil promote new --fleet fleet.yaml
    sudo systemctl reload flowvigil      # a running sensor takes it at SIGHUP

    Both are judged by the same traffic: a fixed set of the generator's, with at least 60 episodes of each family of
    attacks, and what --on and --normal give. With 95 % confidence, of each family the challenger must find, rightly
    name and call an attack at most 10 points less, have more false alerts in at most 2 points of the hours, and take at
    most 1.25 times the processor time. What cannot be shown is no pass. In --on and --normal alone no more may speak
    against it than chance would. It takes a minute or two, and more for what is given.

    The directory is exchanged as a whole: whatever is killed when, it holds the old bundle or the new one. The old one
    is kept beside it as CHAMPION.previous. On file systems that cannot exchange two directories (most of Linux's and
    APFS can) only a symbolic link to a directory can be replaced so, and nothing else is. The manifest's section
    "about" keeps what was compared and why; a signed bundle stays as it is, and promotion.json beside it keeps that.

    With --fleet nothing is exchanged here: the bundle is laid beside the list of sensors under its hash
    (fleet.bundles/SHA-256), and fleet.wanted.json says which sensor should have which. What rolls it out is yours;
    check --fleet on a sensor, and alerts sensors --fleet, hold them to it. One that was promoted to a group needs no
    second comparison.

    The exit code is 0 when it is promoted, 11 when it is not, and 4 when it cannot be: it does not load, is of other
    rows, names techniques that the sensor does not know, or has no threshold for the rate of the settings.
    """
    if rollback is not None:
        if any((challenger, over, on, normal, force, why, fleet, group)):
            raise typer.BadParameter("found other options beside --rollback, expected --rollback CHAMPION alone")
        _roll_back(rollback, flags.settings())
        return OK
    if group is not None and fleet is None:
        raise typer.BadParameter("found it without --fleet, expected the list that has the group", param_hint="--group")
    if challenger is None or (over is None and fleet is None):
        raise typer.BadParameter("expected CHALLENGER and --over CHAMPION, or --rollback CHAMPION")
    if force != bool(why and why.strip()):
        raise typer.BadParameter("--force and --why go together: the bundle keeps why it was forced")
    trials = Trials(flags.settings(), on or [], normal or [], why, as_json)
    if fleet is not None:
        return _promote_to_fleet(challenger, over, fleet, group, trials)
    assert over is not None  # noqa: S101  # refused above
    return _promote(challenger, over, trials)


@dataclass(frozen=True, slots=True)
class Trials:
    """By what two bundles are compared, and what is made of it."""

    config: "Config"
    on: list[Path]
    normal: list[Path]
    why: str | None  # it is forced, None where it is not
    as_json: bool  # the comparison on stdout as JSON

    def decided(self, models: "tuple[Hybrid, Hybrid]") -> "tuple[Decision, dict[str, Any]]":
        """Compare champion and challenger, show it, and tell what speaks against; what is kept of it."""
        from sensor.cli.evaluation_output import print_figures
        from sensor.cli.promoting import check_contract, compared, decided
        from training.evaluation.promotion.record import promotion_record
        from training.evaluation.promotion.table import promotion_table

        rate = self.config.detection.false_positive_rate
        check_contract(*models, self.config)
        comparison = compared(models, rate, self.on, self.normal)
        decision = decided(comparison, rate, printable(self.why or "", LONGEST_WHY))
        record = promotion_record(models, comparison, decision)
        print_figures(record, promotion_table, as_json=self.as_json)
        for line in decision.refusals:
            log.error(printable(line, 1000))
        return decision, record


def _promote(challenger: Path, over: Path, trials: Trials) -> int:
    _prepared()
    from sensor.cli.build import bundle_directory
    from sensor.cli.promoting import put_in_place

    config = trials.config
    with _locked(_champion_directory(over)) as directory:
        models = _loaded(config, directory.name), _loaded(config, bundle_directory(challenger))
        if models[0].manifest_sha256 == models[1].manifest_sha256:
            log.info(f"{over} holds this bundle already")
            return OK
        decision, record = trials.decided(models)
        if not decision.promoted:
            return _stays(f"{over} stays as it is", decision)
        with _replacing(over):
            put_in_place(directory, bundle_directory(challenger), models[1], record, config)
    forced = ", forced" if decision.forced else ""
    log.info(f"promoted{forced}: {over} holds {models[1].model_id} now, {directory.previous} the one before")
    return OK


def _promote_to_fleet(challenger: Path, over: Path | None, fleet: Path, group: str | None, trials: Trials) -> int:
    """Have the sensors of a list want a bundle, if it is no worse than the one that it is held to."""
    _prepared()
    from sensor.alerts.spread import counted
    from sensor.cli.build import bundle_directory
    from sensor.cli.promoting_fleet import FleetPromotion

    promotion = FleetPromotion.of(fleet, group)
    model = _loaded(trials.config, bundle_directory(challenger))
    sha256 = promotion.known(model)
    if sha256 is None:
        if over is None:
            raise typer.BadParameter(
                "found a bundle that was not promoted to this fleet before, expected --over CHAMPION"
            )
        decision, record = trials.decided((_loaded(trials.config, bundle_directory(over)), model))
        if not decision.promoted:
            return _stays("the fleet stays as it is", decision)
        sha256 = promotion.lay(bundle_directory(challenger), model, record, trials.config)
    written = promotion.want(sha256, model)
    log.info(f"{counted(len(promotion.sensors), 'sensor')} should have {model.model_id} {sha256[:16]}: {written}")
    return OK


def _prepared() -> None:
    from sensor.cli.extras import require_packages
    from sensor.process.kernel_cache import use_kernel_cache

    require_packages(("sklearn", "scipy"), "a comparison of bundles", "train")
    use_kernel_cache()  # before anything that brings numba


def _stays(what: str, decision: "Decision") -> int:
    from sensor.alerts.spread import counted

    log.error(f"{what}: {counted(len(decision.refusals), 'reason')} against the challenger", (), NOT_MET)
    return NOT_MET


def _loaded(config: "Config", bundle: Path) -> "Hybrid":
    from sensor.cli.build import load_model

    return load_model(config.model_copy(update={"detection": config.detection.model_copy(update={"bundle": bundle})}))


def _champion_directory(champion: Path) -> Path:
    """The directory of a champion. Raises typer.BadParameter for a shipped bundle, ModelError for what is none."""
    from sensor.cli.build import bundle_directory, bundle_path

    shipped = Path(os.path.realpath(bundle_path(None).parent))
    path = bundle_path(champion)
    real = Path(
        os.path.realpath(path)
    )  # Path.resolve of some versions of Python raises RuntimeError for a loop of links
    if shipped in (real, *real.parents):
        raise typer.BadParameter(
            f"{champion} is a bundle that comes with flowvigil and stays as it is: copy its directory "
            f"(cp -r {path} site), have the sensor run on the copy (detection.bundle) and promote over that"
        )
    return bundle_directory(champion)


@contextmanager
def _locked(champion: Path) -> Iterator["ReplacedDirectory"]:
    """The directory of a champion while no other process replaces it, with what a killed one left settled.

    Raises OutputError.
    """
    from sensor.files.replacing import ReplacedDirectory

    directory = ReplacedDirectory(Path(os.path.abspath(champion)))
    with ExitStack() as stack:
        with _replacing(champion):
            stack.enter_context(directory.locked())
            for line in directory.settle():
                log.info(line)
        yield directory


@contextmanager
def _replacing(champion: Path) -> Iterator[None]:
    """Raise OutputError for what keeps a directory from being replaced."""
    from sensor.files.replacing import BusyError, NotAtomicError

    try:
        yield
    except (BusyError, NotAtomicError) as error:
        raise OutputError(f"not replaced: {error}") from error
    except OSError as error:
        raise OutputError(f"{champion} cannot be replaced: {error.filename or 'it'}: {reason_of(error)}") from error


def _roll_back(champion: Path, config: "Config") -> None:
    """Put the previous bundle back. Raises ModelError where there is none that loads."""
    from sensor.process.kernel_cache import use_kernel_cache

    use_kernel_cache()  # before the next imports, which bring numba
    with _locked(_champion_directory(champion)) as directory:
        if not os.path.exists(directory.previous):
            raise ModelError(f"bundle {champion}: found no {directory.previous}, expected the bundle that was before")
        before = _loaded(config, directory.previous)
        with _replacing(champion):
            directory.restore()
    log.info(f"rolled back: {champion} holds {before.model_id} again, {directory.previous} the one after it")
