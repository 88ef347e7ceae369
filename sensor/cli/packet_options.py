"""The options of `--write`, for watch and check: the file of all packets, and when the next one begins."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from sensor.packets.packet_files import PacketFiles

MIN_SIZE, MAX_SIZE = 0.01, 1e9  # millions of bytes
MAX_INTERVAL_S: Final = 100_000_000

WriteOption = Annotated[
    Path | None,
    typer.Option(
        "--write", metavar="FILE", help="Keep the packets too in a new file, nanosecond pcapng.", readable=False
    ),
]
WriteSizeOption = Annotated[
    float | None,
    typer.Option("-C", "--write-size", metavar="MB", help="Go on in a new file before one has more millions of bytes."),
]
WriteEveryOption = Annotated[
    int | None,
    typer.Option(
        "-G",
        "--write-every",
        metavar="SECONDS",
        min=1,
        max=MAX_INTERVAL_S,
        help="Go on in a new file after so long; FILE is a strftime pattern then.",
    ),
]
WriteFilesOption = Annotated[
    int | None,
    typer.Option("-W", "--write-files", metavar="N", min=1, help="Keep so many files: remove this run's oldest."),
]


def packet_files(
    write: Path | None, size: float | None, every_s: int | None, files: int | None
) -> "PacketFiles | None":
    """The files that these options ask for, None for none. Raises typer.BadParameter.

    size: millions of bytes.
    """
    if write is None:
        given = {"--write-size": size, "--write-every": every_s, "--write-files": files}
        for name in (name for name, value in given.items() if value is not None):
            raise typer.BadParameter("expected --write FILE beside it", param_hint=name)
        return None
    if size is not None and not MIN_SIZE <= size <= MAX_SIZE:  # nor not a number
        message = f"found {size:g}, expected {MIN_SIZE:g} to {MAX_SIZE:,.0f} millions of bytes"
        raise typer.BadParameter(message, param_hint="--write-size")
    if files is not None and size is None and every_s is None:
        raise typer.BadParameter("expected --write-size or --write-every beside it", param_hint="--write-files")
    from sensor.packets.packet_files import PacketFiles

    return PacketFiles(
        write,
        size_bytes=None if size is None else round(size * 1_000_000),
        every_ns=None if every_s is None else every_s * 1_000_000_000,
        files=files,
    )
