"""`edged read`: the plates in picture files, with nothing but the models."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.read_view import FileRead, json_lines, tables

if TYPE_CHECKING:
    from edged.vision.pipeline import PlateVision

# Larger files are no pictures of cars; reading one whole must not bring a 1 GB box down.
_MAX_FILE_BYTES = 64 * 1024 * 1024


def read(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Picture files.", show_default=False)
    ],
    crop: Annotated[bool, typer.Option("--crop", help="Each picture is a cut-out plate already.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, in the order given.")
    ] = False,
    annotate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write each picture there with its plates outlined."
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Folder with manifest.json and the models."),
    ] = None,
) -> None:
    """Read the plates in picture files, shown in full.

    Exit status 1 when a file could not be read (the others still are), 2 when the models cannot be used.
    """
    from edged.vision.errors import VisionError
    from edged.vision.pipeline import PlateVision

    try:
        vision = PlateVision.load(models)
    except VisionError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if annotate is not None:
        _make_folder(annotate)
    failed = False
    with _progress(pictures) as (waiting, console):
        report = json_lines() if as_json else tables(console)
        next(report)
        for path in waiting:
            outcome = _read_file(vision, path, crop=crop, annotate=annotate)
            failed = failed or outcome.error is not None
            report.send(outcome)
        report.close()
    raise typer.Exit(1 if failed else 0)


def _make_folder(annotate: Path) -> None:
    try:
        annotate.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        typer.echo(f"--annotate {annotate}: cannot be made ({error.strerror}); name another folder", err=True)
        raise typer.Exit(2) from None


def _read_file(vision: "PlateVision", path: Path, *, crop: bool, annotate: Path | None) -> FileRead:
    from edged.cli.annotated import write_annotated
    from edged.picture import PictureError, decode_picture
    from edged.vision.errors import BadFrame

    try:
        image = decode_picture(_file_bytes(path))
        plates = [vision.read_crop(image)] if crop else vision.read_picture(image, closely=True)
        if annotate is not None:
            write_annotated(_free_name(annotate, path.stem), image, plates)
    except OSError as error:
        return FileRead(file=str(path), error=f"{error.filename or path}: {error.strerror or error}")
    except (PictureError, BadFrame) as error:
        return FileRead(file=str(path), error=str(error))
    return FileRead(file=str(path), plates=plates)


def _free_name(folder: Path, stem: str) -> Path:
    """Return where no picture lies yet: files of two folders may share a name."""
    return next(
        path for n in count(1) if not (path := folder / f"{stem}{f'-{n}' if n > 1 else ''}.jpg").exists()
    )


def _file_bytes(path: Path) -> bytes:
    from edged.picture import PictureError

    with path.open("rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise PictureError(f"the file is over {_MAX_FILE_BYTES >> 20} MiB; it is not a picture of a car")
    return data


@contextmanager
def _progress(pictures: Sequence[Path]) -> Iterator[tuple[Iterator[Path], Any]]:
    """Give the pictures one by one, with a bar on standard error when that is a terminal."""
    from rich.console import Console

    out = Console(soft_wrap=False, highlight=False)
    if not sys.stderr.isatty() or len(pictures) < 2:
        yield iter(pictures), out
        return
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield iter(bar.track(pictures, description="reading")), out
