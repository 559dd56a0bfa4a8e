"""The pages that follow a drive-in and an order name functions that exist."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
ROW = re.compile(r"^\| \d+ \| \w+ \| (.*?) \| ", re.MULTILINE)
ORDER_ROW = re.compile(r"^\| \d+ \| (`[\w.]+`.*?) \| ", re.MULTILINE)
OTHER_ROOTS = ("firmware_bridge", "cloud_endpoint")


def steps() -> list[list[str]]:
    """Return the names of each step of the table."""
    return [re.findall(r"`([\w.]+)`", cell) for cell in ROW.findall(PAGE.read_text(encoding="utf-8"))]


def found(name: str) -> Any:
    """Return what a dotted name stands for. Raises AttributeError."""
    parts = name.split(".")
    if parts[0] not in OTHER_ROOTS:
        parts.insert(0, "edged")
    thing: Any = importlib.import_module(parts[0])
    for place, part in enumerate(parts[1:], start=1):
        if isinstance(thing, ModuleType) and not hasattr(thing, part):
            try:
                thing = importlib.import_module(".".join(parts[: place + 1]))
            except ImportError:
                raise AttributeError(name) from None
        else:
            thing = getattr(thing, part)
    return thing


def test_the_page_has_a_drive_in_from_the_bus_to_the_cloud() -> None:
    assert len(steps()) >= 15


@pytest.mark.parametrize("names", steps(), ids=lambda names: names[0])
def test_every_step_of_a_drive_in_names_functions_that_exist(names: list[str]) -> None:
    holder = ""
    for name in names:
        full = f"{holder}.{name}" if name.startswith("_") else name
        assert callable(found(full)), full
        holder = full.rpartition(".")[0]


def order_steps() -> list[list[str]]:
    """Return the names of each step of an order; they are below `cloud_endpoint`."""
    return [re.findall(r"`([\w.]+)`", cell) for cell in ORDER_ROW.findall(PAGE.read_text(encoding="utf-8"))]


def test_the_page_has_an_order_from_the_first_message_to_the_payment() -> None:
    assert len(order_steps()) >= 12


@pytest.mark.parametrize("names", order_steps(), ids=lambda names: names[0])
def test_every_step_of_an_order_names_functions_that_exist(names: list[str]) -> None:
    for name in names:
        assert callable(found(f"cloud_endpoint.{name}")), name
