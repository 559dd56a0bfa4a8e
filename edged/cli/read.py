"""`edged read`: the plates in picture files, with nothing but the models."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from edged.domain.reading import PlateRead
    from edged.picture import Image
    from edged.vision.pipeline import PlateVision

# Larger files are no pictures of cars; reading one whole must not bring a 1 GB box down.
_MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    file: str
    plates: Sequence["PlateRead"] = ()
    error: str | None = None


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
        annotate.mkdir(parents=True, exist_ok=True)
    failed = False
    with _progress(pictures) as (waiting, console):
        report = _json_lines() if as_json else _table_rows(console)
        next(report)
        for path in waiting:
            outcome = _read_file(vision, path, crop=crop, annotate=annotate)
            failed = failed or outcome.error is not None
            report.send(outcome)
        report.close()
    raise typer.Exit(1 if failed else 0)


def _read_file(vision: "PlateVision", path: Path, *, crop: bool, annotate: Path | None) -> _Outcome:
    from edged.picture import PictureError, decode_picture
    from edged.vision.errors import BadFrame

    try:
        image = decode_picture(_file_bytes(path))
        plates = [vision.read_crop(image)] if crop else vision.read_picture(image)
        if annotate is not None:
            _write_annotated(_free_name(annotate, path.stem), image, plates)
    except OSError as error:
        return _Outcome(file=str(path), error=f"{error.filename or path}: {error.strerror or error}")
    except (PictureError, BadFrame) as error:
        return _Outcome(file=str(path), error=str(error))
    return _Outcome(file=str(path), plates=plates)


def _free_name(folder: Path, stem: str) -> Path:
    """Return where no picture lies yet: files of two folders may share a name."""
    return next(
        path for n in count(1) if not (path := folder / f"{stem}{f'-{n}' if n > 1 else ''}.jpg").exists()
    )


def _file_bytes(path: Path) -> bytes:
    from edged.picture import PictureError

    if path.is_file() and (size := path.stat().st_size) > _MAX_FILE_BYTES:
        raise PictureError(
            f"the file has {size} bytes, over {_MAX_FILE_BYTES >> 20} MiB; it is not a picture of a car"
        )
    return path.read_bytes()


def _as_json(outcome: _Outcome) -> dict[str, Any]:
    """One line of --json; corners are px of the picture as it is shown, upright."""
    line: dict[str, Any] = {
        "file": outcome.file,
        "plates": [
            {
                "text": plate.reading.text,
                "kind": plate.reading.kind.value,
                "confidence": round(plate.reading.confidence, 4),
                "characters": [round(value, 4) for value in plate.reading.characters],
                "accepted": plate.reading.accepted,
                "corners": [[round(x, 1), round(y, 1)] for x, y in plate.corners],
            }
            for plate in outcome.plates
        ],
    }
    if outcome.error is not None:
        line["error"] = outcome.error
    return line


def _json_lines() -> Any:
    """Receive outcomes, print each at once: a caller in a pipe need not wait for the last."""
    while True:
        outcome = yield
        typer.echo(json.dumps(_as_json(outcome), ensure_ascii=False))


def _table_rows(console: Any) -> Any:
    """Receive outcomes; a table for few files, and the table so far for every next hundred."""
    table = _empty_table()
    try:
        while True:
            outcome = yield
            _add_rows(table, outcome)
            if table.row_count >= 100:
                console.print(table)
                table = _empty_table()
    finally:
        if table.row_count:
            console.print(table)


def _empty_table() -> "Table":
    from rich.table import Table

    table = Table("file", "plate", "kind", "confidence", "accepted")
    table.columns[0].overflow = "fold"  # names are worth a second line, plates must not be cut
    table.columns[3].justify = "right"
    return table


def _add_rows(table: "Table", outcome: _Outcome) -> None:
    from rich.text import Text

    name = Text(outcome.file)
    if outcome.error is not None:
        table.add_row(name, Text(outcome.error, style="red"), "", "", "")
    elif not outcome.plates:
        table.add_row(name, Text("no plate found", style="dim"), "", "", "")
    for plate in outcome.plates:
        reading = plate.reading
        accepted = Text("yes", style="green") if reading.accepted else Text("no", style="yellow")
        table.add_row(
            name, Text(reading.text or "?"), reading.kind.value, f"{reading.confidence:.3f}", accepted
        )


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


def _write_annotated(path: Path, image: "Image", plates: Sequence["PlateRead"]) -> None:
    import cv2
    import numpy as np

    from edged.picture import encode_jpeg

    thickness = max(1, image.shape[1] // 500)
    for plate in plates:
        colour = (60, 200, 60) if plate.reading.accepted else (0, 170, 255)
        outline = np.asarray(plate.corners, np.float32).round().astype(np.int32)
        cv2.polylines(image, [outline], True, colour, thickness, cv2.LINE_AA)
        left, top = (int(value) for value in outline.min(axis=0))
        # OpenCV's own fonts have no Chinese; the province is in the table.
        text = "".join(c if c.isascii() else "*" for c in plate.reading.text)
        size = max(0.5, image.shape[1] / 1600)
        cv2.putText(
            image,
            text,
            (left, max(12, top - 6)),
            cv2.FONT_HERSHEY_SIMPLEX,
            size,
            colour,
            thickness,
            cv2.LINE_AA,
        )
    path.write_bytes(encode_jpeg(image))
