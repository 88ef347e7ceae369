"""Makes docs/demo.svg, the picture in the README: `flowvigil read` on the demo capture. `make picture` runs it."""

import io
from pathlib import Path

from rich.console import Console

from sensor.cli.session import build_pipeline, load_model
from sensor.config import load_config
from sensor.kernel_cache import use_kernel_cache

CAPTURE = Path(__file__).resolve().parent.parent / "sensor" / "synth" / "demo.pcap.gz"


def main() -> None:
    """Read the demo capture on a terminal that is recorded."""
    use_kernel_cache()
    from sensor.outlet import Outlet
    from sensor.runner import Run
    from sensor.sources.reading import Reading
    from sensor.terminal.view import View

    config = load_config()
    console = Console(record=True, width=110, file=io.StringIO(), color_system="truecolor", force_terminal=False)
    with View(console, "read", CAPTURE.name) as view:
        Run(Reading([str(CAPTURE)]), build_pipeline(config, load_model(config)), Outlet([], view)).read()
    console.save_svg(str(CAPTURE.parents[2] / "docs" / "demo.svg"), title=f"flowvigil read {CAPTURE.name}")


if __name__ == "__main__":
    main()
