"""Makes docs/kdd-hypotheses.svg and docs/kdd-bytes.svg, the plots of docs/nsl-kdd.md.

`python -m docs.kdd_plots KDDTrain+.txt.gz [DIRECTORY]`: they are drawn anew from the training file, as the page of
`flowvigil explore` draws them.
"""

import re
import sys
from pathlib import Path

from matplotlib.figure import Figure

from training.explore.box_charts import paint_boxes
from training.explore.dataset import read_labelled
from training.explore.exploration import Exploration, explore
from training.explore.relation_charts import scatter_chart
from training.page.charts import draw
from training.page.content import Chart

# A column for each of the three ideas.
COLUMNS = ("serror_rate", "dst_host_diff_srv_rate", "num_failed_logins")
SIZE = (10.5, 2.8)


def main(dataset: Path, directory: Path) -> None:
    """Write both plots into the directory."""
    found = explore(read_labelled(dataset, _progress), _progress)
    for name, chart in (("hypotheses", hypotheses(found)), ("bytes", scatter_chart(found, "src_bytes", "dst_bytes"))):
        (directory / f"kdd-{name}.svg").write_text(standalone(chart), encoding="utf-8")


def hypotheses(found: Exploration) -> Chart:
    """Box plots of one column of each idea, side by side."""
    claims = {name: [claim for claim in found.table.hypotheses if claim.column == name] for name in COLUMNS}

    def paint(figure: Figure) -> None:
        for axes, name in zip(figure.subplots(1, len(COLUMNS)), COLUMNS, strict=True):
            paint_boxes(axes, found, name, claims[name])

    told = "Boxes from quartile to quartile, whiskers from 5 to 95 %, a bar at the median, a cross at the mean."
    return draw("kdd-hypotheses", "One column of each of the three hypotheses", told, paint, size=SIZE)


def standalone(chart: Chart) -> str:
    """A chart of a page as a file of its own, on white so that dark pages show it too."""
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart.svg)[0]
    root = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    opening, _, rest = str(chart.svg).replace("<svg", root, 1).partition(">")
    return f'{opening}><rect width="100%" height="100%" fill="white"/>{rest}\n'


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).resolve().parent)
