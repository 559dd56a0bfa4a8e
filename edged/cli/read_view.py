"""What `edged read` prints: one JSON object a line, or tables."""

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edged.domain.reading import PlateRead

_ROWS_A_TABLE = 100

Report = Generator[None, "FileRead", None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """What one file showed, or why it could not be read."""

    file: str
    plates: Sequence["PlateRead"] = ()
    error: str | None = None


def json_lines() -> Report:
    """Receive outcomes, print each at once: a caller in a pipe need not wait for the last."""
    while True:
        outcome = yield
        line = json.dumps(_as_json(outcome), ensure_ascii=False)
        # a file's name need not be UTF-8, JSON must be: such a byte is told as its escape, \udcff
        typer.echo(line.encode("utf-8", "backslashreplace"))


def tables(console: "Console") -> Report:
    """Receive outcomes; a table for few files, and the table so far for every next hundred rows."""
    table = _empty_table()
    try:
        while True:
            outcome = yield
            _add_rows(table, outcome)
            if table.row_count >= _ROWS_A_TABLE:
                console.print(table)
                table = _empty_table()
    finally:
        if table.row_count:
            console.print(table)


def _as_json(outcome: FileRead) -> dict[str, Any]:
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
                "cut_off": plate.cut_off,
                "corners": [[round(x, 1), round(y, 1)] for x, y in plate.corners],
            }
            for plate in outcome.plates
        ],
    }
    if outcome.error is not None:
        line["error"] = outcome.error
    return line


def _empty_table() -> "Table":
    from rich.table import Table

    table = Table("file", "plate", "kind", "confidence", "accepted")
    table.columns[0].overflow = "fold"  # names are worth a second line, plates must not be cut
    table.columns[3].justify = "right"
    return table


def _add_rows(table: "Table", outcome: FileRead) -> None:
    from rich.text import Text

    name = Text(outcome.file.encode("utf-8", "backslashreplace").decode())
    if outcome.error is not None:
        table.add_row(name, Text(outcome.error, style="red"), "", "", "")
    elif not outcome.plates:
        table.add_row(name, Text("no plate found", style="dim"), "", "", "")
    for plate in outcome.plates:
        reading = plate.reading
        doubt = "no: cut off" if plate.cut_off else "no"
        accepted = Text("yes", style="green") if reading.accepted else Text(doubt, style="yellow")
        table.add_row(
            name, Text(reading.text or "?"), reading.kind.value, f"{reading.confidence:.3f}", accepted
        )
