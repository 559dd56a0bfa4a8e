"""Curb data that fits the standard's own schemas, holds no plate, and is another site's to nobody."""

import os
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml
from cloud_street import RIGHT, SITE, WRONG, Street
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from sqlalchemy import insert

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import events, visits
from cloud_endpoint.street import cds, registry

CDS = Path(os.environ.get("EDGED_TEST_DATA", Path(__file__).parents[4] / "shared")) / "cds"
MODELS = CDS / "Shared Data Models"


def validator(path: str) -> jsonschema.Draft202012Validator:
    """The answer schema of a path of the standard's Events API, with its references resolved from disk."""
    api = contents(CDS / "APIs" / "Events API.yaml")
    schema = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return of_schema(schema, CDS / "APIs")


def of_model(name: str) -> jsonschema.Draft202012Validator:
    """One of the standard's data models."""
    return of_schema(contents(MODELS / f"{name}.yaml"), MODELS)


def contents(file: Path) -> Any:
    if not CDS.exists():
        pytest.skip(f"the Curb Data Specification is not at {CDS}; set EDGED_TEST_DATA")
    return yaml.safe_load(file.read_text())


def of_schema(schema: Any, base: Path) -> jsonschema.Draft202012Validator:
    def retrieve(uri: str) -> Resource[Any]:
        text = Path(uri.removeprefix("file://").replace("%20", " ")).read_text()
        return Resource(contents=yaml.safe_load(text), specification=DRAFT202012)

    return jsonschema.Draft202012Validator(
        _absolute(schema, base),
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


def ask(street: Street, path: str, **query: str) -> requests.Response:
    return street.call("GET", f"/cds/{path}", token=street.operator, params=query)


def told(street: Street, path: str, **query: str) -> list[dict[str, Any]]:
    answer = ask(street, path, **query)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["data"].values()
    return list(found)


def test_curb_events_are_valid_cds_and_hold_no_plate(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    street.clock.advance(60)
    pole.leave("1001")
    pole.arrive("1002", WRONG)
    answer = ask(street, "events/events")
    validator("/events/events").validate(answer.json())
    assert answer.headers["Content-Type"] == "application/vnd.cds+json;version=1.1"
    found = answer.json()["data"]["events"]
    assert sorted(e["event_type"] for e in found) == ["park_end", "park_start", "park_start"]
    assert [e["event_time"] for e in found] == sorted((e["event_time"] for e in found), reverse=True)
    assert found[0]["event_location"]["type"] == "Point"
    assert len({e["event_id"] for e in found}) == 3
    assert told(street, "events/events") == found
    assert RIGHT not in answer.text
    assert "plate" not in answer.text


def test_a_late_event_is_told_with_the_time_it_happened_and_the_time_it_became_known(street: Street) -> None:
    pole = street.enrol()
    pole.drive_in("1001", RIGHT)
    street.clock.advance(600)
    pole.sync()
    (event,) = told(street, "events/events")
    assert event["event_publication_time"] - event["event_time"] >= 600_000
    pole.sync(events=[{**pole.queue("drive_in", "1001", "other-visit", cause="sensor")}])
    assert len(told(street, "events/events")) == 2


def test_curb_events_of_an_hour(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    hour = street.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H")
    assert len(told(street, "events/events", event_time=hour)) == 1
    assert told(street, "events/events", event_time="2020-01-31T07") == []
    for wrong in ("2026-02-30T07", "2026-03-01", "2026-03-01T24", "now"):
        refused = ask(street, "events/events", event_time=wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, "event_time")
    assert street.call("GET", "/cds/events/events", token=street.terminal).status_code == 403
    assert ask(street, "events/events", page="0").json()["field"] == "page"
    assert ask(street, "events/events", curb_zone_id="north").json()["field"] == "curb_zone_id"


def test_many_events_come_in_pages_and_each_once(street: Street) -> None:
    pole = street.enrol()
    pole.sync()
    now_ms = street.clock()
    count = cds.PAGE + 5
    with writing(street.cloud.engine) as connection:
        (berth,) = connection.execute(registry.berths.select().limit(1)).all()
        seen = [{"site_id": SITE, "visit_id": f"v{i}", "device_id": "pole-1"} for i in range(count)]
        connection.execute(
            insert(visits),
            [row | {"berth_id": berth.berth_id, "seen_ms": now_ms, "started_ms": now_ms} for row in seen],
        )
        connection.execute(
            insert(events),
            [
                row
                | {"event_id": row["visit_id"], "kind": "drive_in", "sequence": 1}
                | {"observed_ms": now_ms, "received_ms": now_ms}
                for row in seen
            ],
        )
    first = ask(street, "events/events").json()
    assert len(first["data"]["events"]) == cds.PAGE
    second = street.call("GET", first["links"]["next"].removeprefix(street.url), token=street.operator).json()
    assert second["links"]["next"] is None
    ids = {e["event_id"] for answer in (first, second) for e in answer["data"]["events"]}
    assert len(ids) == count


def test_events_can_be_asked_for_one_place(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    pole.arrive("1002", WRONG)
    event = told(street, "events/events")[0]
    space = event["curb_space_id"]
    assert [e["event_id"] for e in told(street, "events/events", curb_space_id=space)] == [event["event_id"]]
    assert len(told(street, "events/events", curb_zone_id=event["curb_zone_id"])) == 2
    assert told(street, "events/events", curb_zone_id=space) == []
    assert told(street, "events/events", curb_object_id=space) == []


def test_a_pole_and_a_sensor_that_were_silent_are_told_as_comms_lost_and_restored(street: Street) -> None:
    pole = street.enrol()
    pole.sync()
    street.clock.advance(301)
    (lost,) = told(street, "events/events")
    assert (lost["event_type"], lost["sensor_status_is_online"]) == ("comms_lost", False)
    assert lost["event_publication_time"] - lost["event_time"] == 300_000
    street.clock.advance(60)
    pole.sync()
    pole.sync()
    answer = ask(street, "events/events")
    validator("/events/events").validate(answer.json())
    restored, again = answer.json()["data"]["events"]
    assert again == lost
    assert restored["event_type"] == "comms_restored"
    assert restored["data_source_device_id"] == lost["data_source_device_id"]

    def report(state: str) -> None:
        pole.sync(berths=[{"berth_no": "1002", "state": state, "visit_id": None}])

    report("fault")
    assert told(street, "events/events")[0]["event_type"] == "comms_lost"
    online = [s["sensor_status_is_online"] for s in told(street, "status")]
    assert online.count(False) == 5  # the one at fault, and four that never spoke
    street.clock.advance(5)
    report("vacant")
    restored, lost = told(street, "events/events")[:2]
    assert (restored["event_type"], lost["event_type"]) == ("comms_restored", "comms_lost")
    assert restored["curb_space_id"] == lost["curb_space_id"]
    assert restored["event_time"] - lost["event_time"] >= 5000
    validator("/events/events").validate(ask(street, "events/events").json())


def test_curb_status_is_valid_cds_and_shows_silent_poles(street: Street) -> None:
    pole = street.enrol()
    pole.sync()
    for path in ("status", "events/status"):
        answer = ask(street, path).json()
        validator("/events/status").validate(answer)
    (status,) = (s for s in answer["data"]["status"] if s["data_source_type"] == "camera")
    assert status["sensor_status_is_online"] is True
    assert len(answer["data"]["status"]) == 6
    street.clock.advance(600)
    assert not any(s["sensor_status_is_online"] for s in told(street, "status"))


@pytest.mark.parametrize(
    ("path", "model"), [("areas", "curb_area"), ("zones", "curb_zone"), ("spaces", "curb_space")]
)
@pytest.mark.parametrize("berths", [1, 5])
def test_curbs_are_valid_cds_and_refer_to_each_other(
    street: Street, path: str, model: str, berths: int
) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    with writing(street.cloud.engine) as connection:
        connection.execute(registry.berths.delete().where(registry.berths.c.kerb_order >= berths))
    schema = of_model(model)
    answer = ask(street, f"curbs/{path}").json()
    validator("/events/status").validate(answer | {"data": {"status": []}})  # the envelope is the same
    for curb in told(street, f"curbs/{path}"):
        schema.validate(curb)
        positions = curb["geometry"]["coordinates"]
        assert all(121 < position[0] < 122 and 31 < position[1] < 32 for position in positions)
    (area,), (zone,) = told(street, "curbs/areas"), told(street, "curbs/zones")
    spaces = told(street, "curbs/spaces")
    assert area["curb_zone_ids"] == [zone["curb_zone_id"]]
    assert zone["curb_space_ids"] == [space["curb_space_id"] for space in spaces]
    assert [space["space_number"] for space in spaces] == list(range(1, berths + 1))
    (event,) = told(street, "events/events")
    assert event["curb_space_id"] == spaces[0]["curb_space_id"]
    assert spaces[0]["available"] is False
    assert told(street, "curbs/spaces", curb_space_id=event["curb_space_id"]) == spaces[:1]


def test_spaces_lie_along_the_kerb_and_not_over_each_other(street: Street) -> None:
    """The street of the tests runs north, with a berth every 6 m."""
    spaces = told(street, "curbs/spaces")
    extents = []
    for space in spaces:
        lons = [lon for lon, _ in space["geometry"]["coordinates"]]
        lats = [lat for _, lat in space["geometry"]["coordinates"]]
        assert space["geometry"]["coordinates"][0] == space["geometry"]["coordinates"][-1]
        extents.append((min(lats), max(lats)))
        assert round((max(lats) - min(lats)) * 111_320, 1) == 6.0
        assert round((max(lons) - min(lons)) * 111_320 * 0.8552, 1) == 2.5
    assert all(before[1] <= after[0] + 1e-6 for before, after in pairwise(extents))


def test_a_registry_without_positions_has_no_curbs_but_events(street: Street) -> None:
    pole = street.enrol("pole-9")
    pole.arrive("9001", RIGHT)
    with writing(street.cloud.engine) as connection:
        connection.execute(registry.berths.update().values(lat=None, lon=None))
    assert [told(street, f"curbs/{path}") for path in ("areas", "zones", "spaces")] == [[], [], []]
    (event,) = told(street, "events/events")
    assert "event_location" not in event
    assert "curb_zone_id" not in event


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/vnd.cds+json", 200),
        ("application/vnd.cds+json;version=1.1", 200),
        ("application/vnd.cds+json; version=1.1.0", 200),
        ("application/vnd.cds+json;version=1.0, application/json;q=0.5", 200),
        ("application/vnd.cds+json;version=2.0", 406),
        ("application/vnd.cds+json;version=1.0", 406),
        ("text/html", 406),
    ],
)
def test_another_version_of_the_standard_is_not_acceptable(street: Street, accept: str, status: int) -> None:
    answer = street.call("GET", "/cds/status", token=street.operator, headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert answer.json()["field"] == "Accept"


def test_curb_data_of_another_site_is_told_to_nobody_here(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    with writing(street.cloud.engine) as connection:
        other = registry.RegistryFile.model_validate(
            {"sites": [{"site_id": "other", "name": "Other street"}]}
        )
        registry.load_registry(connection, other, street.clock())
        token, _ = add_credential(connection, "other", Role.OPERATOR, "stranger", street.clock())
    for path in ("events/events", "status", "curbs/areas", "curbs/zones", "curbs/spaces"):
        answer = street.call("GET", f"/cds/{path}", token=token)
        assert (answer.status_code, next(iter(answer.json()["data"].values()))) == (200, [])
