"""Curb data that fits the standard's own schemas, and data that goes when its time is over."""

import os
from datetime import UTC
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cloud_street import RIGHT, SITE, WRONG, Street
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from sqlalchemy import func, select

from cloud_endpoint import audit, retention
from cloud_endpoint.database import reading
from cloud_endpoint.settings import RetentionSettings
from cloud_endpoint.tables import metadata, orders, readings, visits

CDS = Path(os.environ.get("EDGED_TEST_DATA", Path(__file__).parents[3] / "shared")) / "cds"


def validator(path: str) -> jsonschema.Draft202012Validator:
    """The answer schema of a path of the standard's Events API, with its references resolved from disk."""
    if not CDS.exists():
        pytest.skip(f"the Curb Data Specification is not at {CDS}; set EDGED_TEST_DATA")

    def retrieve(uri: str) -> Resource[Any]:
        text = Path(uri.removeprefix("file://").replace("%20", " ")).read_text()
        return Resource(contents=yaml.safe_load(text), specification=DRAFT202012)

    api = yaml.safe_load((CDS / "APIs" / "Events API.yaml").read_text())
    schema = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = _absolute(schema, CDS / "APIs")
    return jsonschema.Draft202012Validator(
        schema,
        registry=Registry(retrieve=retrieve),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def _absolute(node: Any, base: Path) -> Any:
    if isinstance(node, dict):
        return {
            key: f"file://{(base / value).resolve()}".replace(" ", "%20")
            if key == "$ref"
            else _absolute(value, base)
            for key, value in node.items()
        }
    return [_absolute(item, base) for item in node] if isinstance(node, list) else node


def test_curb_events_are_valid_cds_and_hold_no_plate(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    street.clock.advance(60)
    pole.leave("1001")
    pole.arrive("1002", WRONG)
    answer = street.call("GET", "/cds/events/events", token=street.operator)
    validator("/events/events").validate(answer.json())
    events = answer.json()["data"]["events"]
    assert sorted(e["event_type"] for e in events) == ["park_end", "park_start", "park_start"]
    assert [e["event_time"] for e in events] == sorted((e["event_time"] for e in events), reverse=True)
    assert events[0]["event_location"]["type"] == "Point"
    assert len({e["event_id"] for e in events}) == 3
    again = street.call("GET", "/cds/events/events", token=street.operator).json()["data"]["events"]
    assert again == events
    assert RIGHT not in answer.text
    assert "plate" not in answer.text


def test_curb_events_of_an_hour(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    hour = street.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H")
    found = street.call("GET", f"/cds/events/events?event_time={hour}", token=street.operator).json()
    assert len(found["data"]["events"]) == 1
    none = street.call("GET", "/cds/events/events?event_time=2020-01-31T07", token=street.operator).json()
    assert none["data"]["events"] == []
    wrong = street.call("GET", "/cds/events/events?event_time=2026-02-30T07", token=street.operator)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "event_time")
    assert street.call("GET", "/cds/events/events", token=street.terminal).status_code == 403


def test_curb_status_is_valid_cds_and_shows_silent_poles(street: Street) -> None:
    pole = street.enrol()
    pole.sync()
    answer = street.call("GET", "/cds/events/status", token=street.operator).json()
    validator("/events/status").validate(answer)
    (status,) = next(iter(answer["data"].values()))
    assert status["sensor_status_is_online"] is True
    street.clock.advance(600)
    answer = street.call("GET", "/cds/events/status", token=street.operator).json()
    (status,) = next(iter(answer["data"].values()))
    assert status["sensor_status_is_online"] is False


def everything(street: Street) -> str:
    """Every value of every table, as text."""
    with reading(street.cloud.engine) as connection:
        return "\n".join(
            str(tuple(row))
            for table in metadata.sorted_tables
            for row in connection.execute(select(table)).all()
        )


def test_a_forgotten_plate_is_in_no_table_and_not_in_the_files(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    pole.arrive("1002", WRONG)
    street.order("1001", RIGHT)
    order_id, _ = street.order("1002", RIGHT, account="driver-2")
    street.view(order_id, wait=20)
    assert RIGHT in everything(street)
    gone = retention.forget(street.cloud.engine, SITE, street.clock(), plate=RIGHT)
    assert gone.orders == 2
    left = everything(street)
    assert RIGHT not in left
    assert WRONG in left
    with reading(street.cloud.engine) as connection:
        audit.verify(connection, SITE)
    if street.cloud.engine.dialect.name == "sqlite":
        database = Path(street.cloud.engine.url.database or "")
        for file in database.parent.glob(f"{database.name}*"):
            assert RIGHT.encode() not in file.read_bytes(), file


def test_a_forgotten_account_has_no_orders(street: Street) -> None:
    street.open("driver-7")
    street.open("driver-8")
    assert retention.forget(street.cloud.engine, SITE, street.clock(), account_id="driver-7").orders == 1
    left = everything(street)
    assert "driver-7" not in left
    assert "driver-8" in left


def test_each_class_of_data_goes_at_its_own_age(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    order_id, _ = street.order("1001", RIGHT)
    street.call("POST", f"/v1/orders/{order_id}/cancel")
    pole.leave("1001")
    keep = RetentionSettings(plates_days=90, orders_days=730, visits_days=730)

    def after(days: int) -> retention.Gone:
        return retention.run(street.cloud.engine, keep, street.clock() + days * 86_400_000)

    assert (after(89).plates, after(89).orders) == (0, 0)
    assert after(91).plates == 3
    assert RIGHT not in everything(street)
    with reading(street.cloud.engine) as connection:
        assert connection.execute(select(func.count()).select_from(orders)).scalar() == 1
    assert after(731).orders == 1
    with reading(street.cloud.engine) as connection:
        for table in (orders, visits, readings):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
        audit.verify(connection, SITE)


def test_an_open_order_keeps_its_plate(street: Street) -> None:
    street.order("1001", RIGHT)
    retention.run(street.cloud.engine, RetentionSettings(), street.clock() + 1000 * 86_400_000)
    assert RIGHT in everything(street)
