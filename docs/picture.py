"""Makes docs/demo.svg, the picture in the README: `flowvigil read` on the demo capture. `make picture` runs it."""

import io
from pathlib import Path

from rich.console import Console

from sensor.cli.build import build_judge, load_model
from sensor.cli.reading import capture_turns
from sensor.process.kernel_cache import use_kernel_cache
from sensor.settings.config import effective_config

CAPTURE = Path(__file__).resolve().parent.parent / "sensor" / "synth" / "demo.pcap.gz"
WIDTH, HEIGHT = 120, 40


def main() -> None:
    """Read the demo capture on a terminal that is recorded, as it stands at the end."""
    use_kernel_cache()
    from sensor.run.detection import Detection
    from sensor.run.outlet import Outlet
    from sensor.run.run import Run
    from sensor.terminal.dashboard import Dashboard

    config = effective_config().config
    hybrid = load_model(config)
    console = Console(
        record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    view = Dashboard(console, "read", CAPTURE.name, hybrid.model_id)
    view.board.at_end = True
    detection = Detection(build_judge(config, hybrid), Outlet(()))
    Run(capture_turns(config, [str(CAPTURE)]), detection, view).run()
    console.export_text()  # forgets the summary
    for line in view.lines(WIDTH, HEIGHT):
        console.print(line, highlight=False, markup=False)
    console.save_svg(str(CAPTURE.parents[2] / "docs" / "demo.svg"), title=f"flowvigil read {CAPTURE.name}")


if __name__ == "__main__":
    main()
