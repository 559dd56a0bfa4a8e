"""Berths that nobody loaded, that are renumbered, moved or closed: their visits stay their own."""

import pytest
from cloud_street import RIGHT, SITE, WRONG, Street, rows, slug, verdicts
from sqlalchemy import update

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.base.errors import ConfigError
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import berths, visits
from cloud_endpoint.street import berth_changes, registry


def test_a_berth_that_nobody_loaded_is_registered_without_a_place(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("7777", RIGHT)
    (berth,) = [b for b in rows(street, berths) if b["berth_no"] == "7777"]
    assert (berth["device_id"], berth["zone_id"]) == ("pole-1", None)
    assert len(rows(street, visits)) == 1


def test_a_renumbered_berth_keeps_its_visits_and_late_events_find_it(street: Street) -> None:
    pole = street.enrol()
    visit_id = pole.drive_in("1001", RIGHT)
    pole.sync()
    pole.read("1001")
    street.clock.advance(10)
    with writing(street.cloud.engine) as connection:
        berth_changes.renumber(connection, SITE, "1001", "2001", street.clock())
        assert berth_changes.adopt(connection, SITE, "pole-1", ["2001"], street.clock()) == []
    pole.sync()
    pole.standing["2001"] = pole.standing.pop("1001")
    _, answer = street.order("2001", RIGHT)
    assert answer["instruction"] == "order_confirmation"
    (visit,) = rows(street, visits)
    assert visit["visit_id"] == visit_id
    # The old number may be painted elsewhere; what was before stays where it was.
    with writing(street.cloud.engine) as connection:
        new = registry.RegistryFile.model_validate(
            {"berths": [{"site_id": SITE, "berth_no": "1001", "device_id": "pole-1", "zone_id": "north"}]}
        )
        registry.load_registry(connection, new, street.clock())
    street.clock.advance(10)
    pole.arrive("1001", WRONG)
    assert len({v["berth_id"] for v in rows(street, visits)}) == 2


def test_a_berth_moved_to_another_pole_keeps_its_visits_and_ignores_the_old_pole_from_then(
    street: Street,
) -> None:
    old, new = street.enrol(), street.enrol("pole-2")
    old.arrive("1001", WRONG)
    old.drive_out("1001")
    street.clock.advance(10)
    with writing(street.cloud.engine) as connection:
        berth_changes.move(connection, SITE, "1001", "pole-2", street.clock())
    assert verdicts(old.sync()) == ["accepted"]
    street.clock.advance(10)
    old.drive_in("1001", WRONG)
    assert verdicts(old.sync()) == ["rejected"]
    new.arrive("1001", RIGHT)
    _, answer = street.order("1001", RIGHT)
    assert answer["instruction"] == "order_confirmation"
    assert len({v["berth_id"] for v in rows(street, visits)}) == 1


def test_a_pole_of_another_site_watches_no_berth_of_this_one(street: Street) -> None:
    """Its pictures are another operator's: neither asked for nor shown here."""
    pole = street.enrol()
    pole.arrive("1001", RIGHT)
    other = {"sites": [{"site_id": "other", "name": "Other"}]}
    own = {"site_id": "other", "berth_no": "1001"}
    theirs = registry.RegistryFile.model_validate(other | {"berths": [own | {"device_id": "pole-1"}]})
    with writing(street.cloud.engine) as connection:
        registry.load_registry(
            connection, registry.RegistryFile.model_validate(other | {"berths": [own]}), street.clock()
        )
        with pytest.raises(ConfigError, match="'pole-1' is enrolled for site 'demo', not for 'other'"):
            registry.load_registry(connection, theirs, street.clock())
        with pytest.raises(ConfigError, match="enrolled for site 'demo'"):
            berth_changes.move(connection, "other", "1001", "pole-1", street.clock())
        # Loaded before the pole was enrolled elsewhere, it may stand there all the same.
        connection.execute(update(berths).where(berths.c.site_id == "other").values(device_id="pole-1"))
        stranger, _ = add_credential(connection, "other", Role.OPERATOR, "stranger", street.clock())
    refused = street.call("GET", "/v1/berths/1001/snapshot", token=stranger)
    assert (refused.status_code, slug(refused)) == (409, "pole-unreachable")
    assert pole.pulled == []


def test_a_berth_out_of_service_is_not_offered(street: Street) -> None:
    with writing(street.cloud.engine) as connection:
        berth_changes.set_service(connection, SITE, "1003", in_service=False, now_ms=street.clock())
    assert sorted(street.offer(street.open())) == ["1001", "1002", "1004", "1005"]
