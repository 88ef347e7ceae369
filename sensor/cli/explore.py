"""flowvigil explore: what a dataset holds, as one HTML page. Training's packages load in here and nowhere else."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from sensor import log
from sensor.cli.extras import require_packages
from sensor.cli.labels import LabelsOption, label_map, stop
from sensor.cli.memory_option import MemoryOption, within_memory
from sensor.cli.refusals import refuse_to_replace_inputs
from sensor.cli.stdout import write_lines
from sensor.errors import ConfigError, InputError, OutputError, reason_of
from sensor.files.unfinished import PUBLIC, refuse_unwritable, whole_file

NEEDS = ("polars", "scipy", "matplotlib", "jinja2")


def explore(
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="A table of flows or of KDD records, a directory of such, or a pattern.",
            readable=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="X.html", help="Page to write.", readable=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Also print all findings as JSON on stdout.")] = False,
    labels: LabelsOption = None,
    memory: MemoryOption = None,
) -> None:
    """Explore a dataset and write one HTML page about it.

    It shows classes, distributions, correlations and hypothesis tests.

    \b
    flowvigil explore cic-ids-2017/ -o cic-ids-2017.html
    flowvigil explore monday.csv.gz -o monday.html
    flowvigil explore KDDTrain+.txt -o nsl-kdd.html
    flowvigil explore flows.csv -o flows.html --json | jq '.findings[]'
    flowvigil explore ours.csv -o ours.html --labels map.yaml
    flowvigil explore 'parts/*.parquet' -o parts.html --memory 1G

    A flow table is CSV (plain, .gz, .zst) or Parquet with any header that CICFlowMeter, cicflowmeter or flowvigil
    flows write. Without labels, or with a single class, the page has all but the tests.

    KDD records are those of NSL-KDD and KDD'99 as published (plain, .gz, .zst), with or without header and
    difficulty. Of several files the page also says which records stand in more than one. The content decides which
    kind a file is, not its name.

    Labels beside those of the public sets are read as --labels says: a YAML file with a line for each, its target a
    known label, a family of attacks, or drop, which leaves the rows out. What each line did is told.

    The page needs no network and no script, and prints. It gets its name when it is whole; what stood there before is
    replaced. Progress goes to stderr. The same dataset gives the same page, byte for byte.
    """
    require_packages(NEEDS, "exploring", "train")

    refuse_to_replace_inputs(output, (dataset, labels))
    try:
        refuse_unwritable(output)
        with within_memory(memory):
            document = _write_page(dataset, output, labels)
    except OSError as error:
        raise OutputError(f"page {output} cannot be written: {reason_of(error)}") from error
    if as_json:
        write_lines((json.dumps(document, allow_nan=False).encode() + b"\n",))


def _write_page(dataset: Path, output: Path, labels: Path | None) -> dict[str, object]:
    """Explore the dataset, write the page, and return the findings as JSON has them."""
    from training.errors import DatasetError, LabelMapError
    from training.explore.dataset import read_labelled
    from training.explore.document import document_of
    from training.explore.exploration import explore as run
    from training.explore.page import page_of
    from training.page.render import html_of

    try:
        table = read_labelled(dataset, log.progress, label_map(labels))
    except LabelMapError as error:
        raise stop(ConfigError, error) from error
    except DatasetError as error:
        raise stop(InputError, error) from error
    found = run(table, log.progress)
    mapped = () if labels is None else ("--labels", str(labels))
    made_by = shlex.join(("flowvigil", "explore", str(dataset), *mapped, "-o", str(output)))
    html = html_of(page_of(found, made_by, log.progress))
    content = html.encode()
    with whole_file(output, PUBLIC) as stream:
        stream.write(content)
    log.progress(f"page written to {output} ({len(content) / 1e6:.1f} MB)")
    return document_of(found)
