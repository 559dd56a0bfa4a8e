"""What a pole shows when it is asked: believed from its key, for this nonce, and now."""

from collections.abc import Callable

import pytest
from cloud_pole import Fault, Pole, ShiftedClock
from cloud_street import RIGHT, WRONG, Street, slug, verdicts
from sqlalchemy import select, update

from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import captures as captures_table
from cloud_endpoint.database.tables import devices
from cloud_endpoint.poles import captures
from tests.exchange.hostile_peer import CHUNKED, LONG_BODY, Act, HostilePeer, sends, whole
from tests.waiting import until


def test_an_operator_pulls_a_verified_snapshot(street: Street) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    answer = street.call("GET", "/v1/berths/1003/snapshot", token=street.operator)
    assert answer.status_code == 200
    assert answer.json()["reading"]["plate"] == RIGHT
    assert pole.pulled == ["GET /v1/berths/1003/snapshot"]
    for fault in (Fault.OTHER_KEY, Fault.HTTP_500):
        pole.fault = fault
        refused = street.call("GET", "/v1/berths/1003/snapshot", token=street.operator)
        assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (502, "snapshot-failed")


def pull_error(street: Street) -> str | None:
    """Return why the last pull of the clockwork failed."""
    with reading(street.cloud.engine) as connection:
        return connection.execute(select(captures_table.c.error)).scalar()


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(sends(LONG_BODY + b"{"), id="cut off"),
        pytest.param(sends(whole(b"no gzip", "Content-Encoding: gzip")), id="bad gzip"),
        pytest.param(sends(CHUNKED + b"no length\r\n"), id="bad chunk"),
    ],
)
def test_a_broken_answer_is_a_problem_for_the_operator_and_the_clockwork_goes_on(
    street: Street, act: Act
) -> None:
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    with HostilePeer(act) as peer:
        with writing(street.cloud.engine) as connection:
            connection.execute(update(devices).values(snapshot_url=peer.url))
        refused = street.call("GET", "/v1/berths/1003/snapshot", token=street.operator)
        assert (refused.status_code, slug(refused)) == (502, "snapshot-failed")
        street.order("1003", WRONG)
        until(lambda: pull_error(street), "the clockwork's pull fails")
    assert street.call("GET", "/readyz").status_code == 200


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault.OTHER_NONCE, "replay"),
        (Fault.OTHER_KEY, "signature"),
        (Fault.OTHER_BERTH, "berth 9999"),
        (Fault.OLD_PICTURE, "picture of 600 s before"),
        (Fault.WRONG_CLOCK, "time sync"),
        (Fault.NO_TIME, "does not say when"),
        (None, None),
    ],
)
def test_a_snapshot_is_believed_only_from_its_pole_for_this_nonce_and_now(
    fault: Fault | None, why: str | None
) -> None:
    clock = ShiftedClock()
    pole = Pole(device_id="pole-1", clock=clock, cloud_url="")
    pole.drive_in("1003", RIGHT)
    pole.fault = fault
    trust = captures.Trust(
        device_id="pole-1",
        public_key=pole.key.public_key().public_bytes_raw().hex(),
        berth_no="1003",
        nonce="nonce-0001",
        max_clock_skew_ms=120_000,
        picture_max_age_ms=30_000,
    )
    refusal = captures.refusal(pole.snapshot("1003", "nonce-0001"), trust, clock())
    assert (refusal is None) if why is None else (refusal is not None and why in refusal)


def test_a_replayed_snapshot_of_the_sync_decides_nothing(street: Street) -> None:
    pole = street.enrol(reachable=False)
    pole.arrive("1003", RIGHT)
    order_id, _ = street.order("1003", WRONG)
    asked = pole.sync()["capture_requests"][0]
    replay = pole.snapshot("1003", "another-nonce")
    pole.queue(
        "snapshot",
        "1003",
        replay.visit_id,
        request_id=asked["request_id"],
        snapshot=replay.model_dump(mode="json"),
    )
    assert verdicts(pole.sync()) == ["accepted"]
    assert street.view(order_id)["instruction"] == "pending"


def test_a_pole_that_cannot_be_pulled_gets_the_request_with_its_next_sync(
    street_with: Callable[..., Street],
) -> None:
    street = street_with(poles={"pull_timeout_s": 0.3})
    pole = street.enrol()
    pole.arrive("1003", RIGHT)
    pole.fault = Fault.SILENT
    order_id, _ = street.order("1003", WRONG)
    street.view(order_id, wait=1)
    assert pole.pulled
    pole.release.set()
    pole.fault = None
    pole.answer_carried(pole.sync())
    assert street.view(order_id, wait=20)["instruction"] == "plate_modification"
