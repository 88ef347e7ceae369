"""`flowvigil model`: which bundles there are, and what one of them is."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensor.cli.build import DEFAULT_BUNDLE, load_model, shipped_bundles
from sensor.cli.flags import Flags, with_flags
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.stdout import write_lines, write_stdout
from sensor.errors import MODEL, OK, ModelError
from sensor.printable import printable

if TYPE_CHECKING:
    from models.fusion import Hybrid

app = typer.Typer(
    name="model", help="Show the bundles that there are, and what they hold.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip

JsonOption = Annotated[bool, typer.Option("--json", help="A JSON object a bundle.")]
DirectoriesArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="[DIR...]", help="Also those in these directories.", readable=False)
]
NameArgument = Annotated[
    str | None, typer.Argument(metavar="[BUNDLE]", help="Name of a shipped bundle, or a directory; default: default.")
]
LINE = "{:1} {:16} {:>6} {:>9}  {:33} {}\n"


@app.command("list")
@with_flags("config", "overrides")
def list_models(directories: DirectoriesArgument = None, *, flags: Flags, json: JsonOption = False) -> int:
    """List the shipped bundles, and those in directories of your own.

    \b
    flowvigil model list
    flowvigil model list runs /etc/flowvigil/bundles
    flowvigil model list --json | jq -r .name

    Each is loaded as a sensor would do it, signatures included where detection.bundle_keys is set; of one that
    cannot be used the reason is told, and the exit code is 4. The name, or the directory, is what -m takes.
    """
    found: dict[str, Path] = dict(shipped_bundles())
    for given in directories or ():
        within = _bundles_below(given)
        if os.path.exists(given / "manifest.json") or not within:  # of one without any it is told that it has none
            within.insert(0, given)
        found |= {str(path): path for path in within}
    code = OK
    if not json:
        write_stdout(LINE.format("", "BUNDLE", "LABELS", "SIZE", "DETECTORS", "JUDGES"))
    for name, directory in found.items():
        try:
            about = _about(_loaded(name, flags), name)
        except ModelError as error:
            code = MODEL
            about = {"name": name, "problem": str(error)}
        if json:
            _write_json(about)
        else:
            write_stdout(_line(about, _size(directory)))
    return code


@app.command("show")
@with_flags("config", "overrides")
def show(bundle: NameArgument = None, *, flags: Flags, json: JsonOption = False) -> int:
    """Tell what a bundle is. What it judges, its detectors, labels, thresholds, and what it was fitted on.

    \b
    flowvigil model show
    flowvigil model show nsl-kdd-flow
    flowvigil model show runs/mine --json | jq .labels

    What it finds on networks that it was not fitted on says docs/default.md of the shipped one, and of your own
    `flowvigil evaluate`.
    """
    name = bundle or DEFAULT_BUNDLE
    about = _about(_loaded(name, flags), name)
    if json:
        _write_json(about)
    else:
        write_stdout("".join(_facts(about)))
    return OK


def _bundles_below(directory: Path) -> list[Path]:
    """The bundles in a directory, in the order of their names; none of what cannot be listed."""
    try:
        return sorted(path for path in directory.iterdir() if os.path.exists(path / "manifest.json"))
    except OSError:
        return []


def _loaded(name: str, flags: Flags) -> "Hybrid":
    config = replace(flags, model=name).settings()
    cached(JUDGING, config)  # before anything that imports numba
    return load_model(config)


def _about(hybrid: "Hybrid", name: str) -> dict[str, Any]:
    """What is told of a bundle."""
    about = hybrid.about
    sources = about.get("sources")
    return {
        "name": name,
        "default": name == DEFAULT_BUNDLE,
        "id": hybrid.model_id,
        "sha256": hybrid.sha256,
        "judges": hybrid.contract.rows,
        "columns": len(hybrid.seen),
        "detectors": {
            "known": [member.detector.name for member in hybrid.known],
            "novel": [member.detector.name for member in hybrid.novel],
        },
        "labels": dict(zip(hybrid.labels, hybrid.techniques, strict=True)),
        "rate": hybrid.default_rate,
        "rates": sorted(hybrid.thresholds),
        "site": None if hybrid.site is None else "fitted to one network",
        "made_by": _text(about.get("made_by")),
        "sources": list(filter(None, map(_name_of_source, sources if isinstance(sources, list) else ()))),
    }


def _name_of_source(source: object) -> str | None:
    return _text(source.get("name")) if isinstance(source, dict) else None


def _text(found: object) -> str | None:
    """What stands in the free section of a bundle, from anybody: None where it is no text."""
    return found if isinstance(found, str) else None


def _line(about: dict[str, Any], size: int) -> str:
    name = printable(about["name"], 200)
    if problem := about.get("problem"):
        return f"! {name}: {printable(problem, 500)}\n"
    detectors = ", ".join((*about["detectors"]["known"], *about["detectors"]["novel"]))
    mark = "*" if about["default"] else ""
    return LINE.format(mark, name, len(about["labels"]), f"{size / 1e6:.2f} MB", detectors, about["judges"])


def _facts(about: dict[str, Any]) -> list[str]:
    labels = [f"{label} ({technique})" if technique else label for label, technique in about["labels"].items()]
    facts = {
        "bundle": about["name"], "id": about["id"], "sha256": about["sha256"],
        "judges": f"{about['judges']}, by {about['columns']} columns",
        "known lane": ", ".join(about["detectors"]["known"]), "novel lane": ", ".join(about["detectors"]["novel"]),
        "labels": ", ".join(labels), "rate": f"{about['rate']:g} of normal flows flagged; also "
        + ", ".join(f"{rate:g}" for rate in about["rates"] if rate != about["rate"]),
        "site": about["site"] or "no network's in particular", "made by": about["made_by"] or "not told",
        "fitted on": ", ".join(map(str, about["sources"])) or "see its page",
    }  # fmt: skip
    return [f"{what:11} {printable(str(words), 2000)}\n" for what, words in facts.items()]


def _size(directory: Path) -> int:
    """Bytes of the files of a bundle."""
    try:
        return sum(path.stat().st_size for path in directory.iterdir() if os.path.isfile(path))
    except OSError:
        return 0


def _write_json(about: dict[str, Any]) -> None:
    import orjson

    write_lines((orjson.dumps(about, option=orjson.OPT_APPEND_NEWLINE),))
