"""Candidate berths tell where one may pay, and nothing about who stands where."""

import random
from collections.abc import Callable

from cloud_street import POLE_CODE, SITE, Street
from hypothesis import given
from hypothesis import strategies as st

from cloud_endpoint.database.engine import writing
from cloud_endpoint.ordering.candidates import Kerbside, choose
from cloud_endpoint.street import registry
from cloud_endpoint.street.distance import distance_m


def kerb_of(number: int) -> list[Kerbside]:
    return [
        Kerbside(berth_id=f"b{i}", berth_no=str(1000 + i), zone_id="z", kerb_order=i) for i in range(number)
    ]


@given(st.integers(2, 40), st.integers(0), st.randoms(use_true_random=False))
def test_two_to_five_berths_are_told_in_the_order_of_the_kerb(
    number: int, first: int, rng: random.Random
) -> None:
    near = kerb_of(number)
    rng.shuffle(near)
    chosen = choose(near, first=first, shown=(), further=False)
    assert len(chosen) == min(5, number)
    assert [b.kerb_order for b in chosen] == sorted(b.kerb_order for b in chosen)


@given(st.integers(2, 40), st.integers(0))
def test_whoever_looks_further_sees_every_berth_of_the_place(number: int, first: int) -> None:
    near = kerb_of(number)
    seen: set[str] = set()
    shown: set[str] = set()
    for _ in range(-(-number // 5)):
        shown = {b.berth_id for b in choose(near, first=first, shown=shown, further=bool(shown))}
        assert choose(near, first=first, shown=shown, further=False) == choose(
            near, first=99, shown=shown, further=False
        )
        seen |= shown
    assert seen == {b.berth_id for b in near}


def test_the_nearest_five_come_first() -> None:
    assert choose(kerb_of(12), first=0, shown=(), further=False) == kerb_of(12)[:5]


def test_a_hundredth_of_a_degree_north_is_1113_metres() -> None:
    assert round(distance_m(31.0, 121.0, 31.01, 121.0)) == 1113
    assert round(distance_m(60.0, 20.0, 60.0, 20.01)) == 557


# -- the attacker -------------------------------------------------------------------------------------------


def long_street(street: Street, berths: int = 12) -> None:
    """Seven more berths at the same pole, along the same kerb."""
    rows = [
        {
            "site_id": SITE,
            "berth_no": str(1001 + i),
            "device_id": "pole-1",
            "pole_code": POLE_CODE,
            "zone_id": "north",
            "lat": 31.2304 + i * 6 / 111_320,
            "lon": 121.4737,
            "kerb_order": i,
        }
        for i in range(berths)
    ]
    with writing(street.cloud.engine) as connection:
        wanted = registry.RegistryFile.model_validate({"berths": rows})
        registry.load_registry(connection, wanted, street.clock())


def offers_of(street: Street, place: dict[str, object], account: str) -> list[list[str]]:
    """All that one order is offered."""
    order_id = street.open(account, place)
    return [list(street.offer(order_id)) for _ in range(4)]


def test_what_stands_in_the_berths_changes_nothing_in_what_is_offered(street: Street) -> None:
    """Occupied berths offered first would show, over many orders, where cars stand."""
    long_street(street)
    pole = street.enrol()
    for place in ({"pole_code": POLE_CODE}, {"position": {"lat": 31.23041, "lon": 121.4737}}):
        empty = offers_of(street, place, "thief")
        assert {berth for offer in empty for berth in offer} == {str(1001 + i) for i in range(12)}
        for berth_no in ("1002", "1009", "1011"):
            if berth_no in pole.standing:
                pole.leave(berth_no)
            else:
                pole.arrive(berth_no, "京A12345")
            assert offers_of(street, place, "thief") == empty
        street.order(empty[0][1], "京A12345", account="driver-1")  # a hold changes nothing either
        assert offers_of(street, place, "thief") == empty


def test_orders_of_a_zone_begin_anywhere_whatever_stands_there(street: Street) -> None:
    long_street(street, 40)
    pole = street.enrol()
    pole.arrive("1033", "京A12345")
    begun = {tuple(street.offer(street.open(f"driver-{i}", {"zone": "north"}))) for i in range(12)}
    assert len(begun) > 1
    assert all(len(offer) == 5 for offer in begun)


def test_a_driver_who_corrects_the_plate_sees_the_berths_of_before(
    street_with: Callable[..., Street],
) -> None:
    street = street_with()
    long_street(street)
    pole = street.enrol()
    pole.arrive("1008", "京A12345")
    order_id = street.open()
    assert "1008" not in street.offer(order_id)
    second = street.offer(order_id)
    street.submit(order_id, second["1008"], "京A12346")
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
    third = street.offer(order_id)
    assert list(third) == list(second)
    assert third["1008"] != second["1008"]
    assert street.submit(order_id, third["1008"], "京A12345").json()["state"] == "confirmed"


def test_a_position_only_shows_berths_near_it(street: Street) -> None:
    near = {"lat": 31.2304, "lon": 121.4737}
    assert "1001" in street.offer(street.open(place={"position": near}))
    for far in ({"lat": 31.2304, "lon": 121.4752}, {"lat": 31.2322, "lon": 121.4737}):
        refused = street.call("POST", "/v1/orders", {"place": {"position": far}, "account_id": "driver-1"})
        assert (refused.status_code, refused.json()["field"]) == (404, "place")
