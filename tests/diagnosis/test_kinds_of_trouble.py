"""Every part that the code can name as troubled has its place among the parts of a box."""

import ast
from collections.abc import Iterator
from pathlib import Path

import edged
from edged.settings import load_settings, needs_of
from edged.settings.parts import NAMED, ONCE

PACKAGE = Path(edged.__file__).parent
SAMPLE = Path(__file__).parents[2] / "config" / "edged.toml"
# Functions that take the troubled part as their first argument or as `where`.
MAKERS = {"report", "Finding", "of", "sound"}


def named_parts(tree: ast.AST) -> Iterator[str]:
    """Yield the text with which each troubled part's name begins, where the code gives it as text."""
    texts = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name_of(node.func) in MAKERS:
            given = [k.value for k in node.keywords if k.arg == "where"] or node.args[:1]
            for part in given:
                text = texts.get(part.id) if isinstance(part, ast.Name) else part
                if isinstance(text, ast.JoinedStr):
                    text = text.values[0]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_every_part_that_the_code_reports_is_known_to_the_diagnosis() -> None:
    found = {
        part
        for path in PACKAGE.rglob("*.py")
        if "demo" not in path.parts
        for part in named_parts(ast.parse(path.read_text()))
    }
    assert len(found) > 12
    unknown = sorted(part for part in found if part not in ONCE and part not in NAMED)
    assert not unknown, "add them to edged/settings/parts.py"


def test_a_berth_needs_its_sensor_and_a_sensor_its_port() -> None:
    needs = needs_of(load_settings(SAMPLE))
    assert needs["berth 1001"] == ("sensor loop-1",)
    assert needs["sensor loop-1"] == ("bus kerb",)
    assert set(needs["view of berth 1001"]) == {"camera high"}
