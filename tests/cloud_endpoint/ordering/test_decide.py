"""The plate check as a pure function: no wrong plate is ever confirmed, no doubt is ever a modification."""

from hypothesis import given
from hypothesis import strategies as st

from cloud_endpoint.base.check_rules import Rules
from cloud_endpoint.ordering.decide import Claim, Decision, decide
from cloud_endpoint.ordering.states import OrderEvent
from cloud_endpoint.poles.visits import Sight
from edged.domain.plate import GRAMMAR

NOW = 10_000_000
RULES = Rules()
PLATES = st.one_of(*(st.from_regex(pattern, fullmatch=True) for pattern in GRAMMAR.values()))
NEAR_PLATES = st.builds(
    lambda plate, at, letter: plate[: at % len(plate)] + letter + plate[at % len(plate) + 1 :],
    PLATES,
    st.integers(0, 7),
    st.sampled_from("ABDEFMN0123456789"),
)
CONFIDENCES = st.lists(st.floats(0, 1), min_size=0, max_size=8).map(tuple)


@st.composite
def checks(draw: st.DrawFn) -> tuple[Claim, Sight | None]:
    ordered = draw(PLATES)
    claim = Claim(
        plate=ordered,
        captures=draw(st.integers(0, 5)),
        capture_on_its_way=draw(st.booleans()),
        modifications=draw(st.integers(0, 5)),
    )
    if draw(st.integers(0, 9)) == 0:
        return claim, None
    captured_ms = draw(st.one_of(st.none(), st.integers(NOW - 2 * RULES.reading_max_age_ms, NOW)))
    sight = Sight(
        visit_id="v",
        seen_ms=draw(st.integers(0, NOW)),
        plate=draw(st.one_of(st.none(), st.just(ordered), PLATES, NEAR_PLATES)),
        characters=draw(CONFIDENCES),
        accepted=draw(st.booleans()),
        captured_ms=captured_ms,
        fresh=draw(st.booleans()),
    )
    return claim, sight


def decided(claim: Claim, sight: Sight | None) -> Decision:
    return decide(claim, sight, now_ms=NOW, rules=RULES)


@given(checks())
def test_only_equal_plates_of_an_accepted_recent_reading_are_confirmed(
    check: tuple[Claim, Sight | None],
) -> None:
    claim, sight = check
    confirmed = decided(claim, sight).event is OrderEvent.MATCH
    assert confirmed == (
        sight is not None
        and sight.plate == claim.plate
        and sight.accepted
        and sight.captured_ms is not None
        and NOW - sight.captured_ms <= RULES.reading_max_age_ms
    )


@given(checks())
def test_a_modification_needs_a_fresh_accepted_reading_that_differs(
    check: tuple[Claim, Sight | None],
) -> None:
    claim, sight = check
    if decided(claim, sight).event is OrderEvent.MISMATCH:
        assert sight is not None
        assert sight.fresh
        assert sight.accepted
        assert sight.plate not in (None, claim.plate)
        assert claim.modifications < RULES.max_modifications


@given(checks())
def test_one_picture_is_asked_for_at_a_time(check: tuple[Claim, Sight | None]) -> None:
    claim, sight = check
    decision = decided(claim, sight)
    if decision.recapture:
        assert decision.event is OrderEvent.WAIT
        assert not claim.capture_on_its_way


def sight(plate: str | None, **changes: object) -> Sight:
    values: dict[str, object] = {
        "visit_id": "v",
        "seen_ms": 0,
        "plate": plate,
        "characters": (0.999,) * len(plate or ""),
        "accepted": True,
        "captured_ms": NOW,
        "fresh": True,
    }
    return Sight(**(values | changes))  # type: ignore[arg-type]


def test_one_differing_character_that_the_model_doubts_is_a_humans_to_judge() -> None:
    doubted = (0.999, 0.999, 0.999, 0.999, 0.999, 0.999, 0.9)
    claim = Claim(plate="京A12345", captures=RULES.max_captures)
    assert decided(claim, sight("京A12346", characters=doubted)).event is OrderEvent.DOUBT
    assert decided(claim, sight("京A12346", characters=doubted[::-1])).event is OrderEvent.MISMATCH
    assert decided(claim, sight("京A12367", characters=doubted)).event is OrderEvent.MISMATCH


def test_a_doubt_is_looked_at_again_before_a_human_is_asked() -> None:
    doubted = sight("京A12346", characters=(0.999,) * 6 + (0.9,))
    for captures in range(1, RULES.max_captures):
        again = decided(Claim(plate="京A12345", captures=captures), doubted)
        assert (again.event, again.recapture) == (OrderEvent.WAIT, True)


def test_a_green_plate_that_lost_a_doubted_character_is_a_humans_to_judge() -> None:
    claim = Claim(plate="京AD12345", captures=RULES.max_captures)
    assert decided(claim, sight("京AD1234", characters=(0.9,) * 7)).event is OrderEvent.DOUBT
    assert decided(claim, sight("京AD1234")).event is OrderEvent.MISMATCH


def test_a_vehicle_that_just_arrived_is_being_read_already() -> None:
    claim = Claim(plate="京A12345")
    arriving = sight(None, captured_ms=None, seen_ms=NOW - 1000)
    waiting = sight(None, captured_ms=None, seen_ms=NOW - 10_000)
    assert not decided(claim, arriving).recapture
    assert decided(claim, waiting).recapture


def test_without_a_vehicle_the_pole_looks_once_and_then_waits() -> None:
    assert decided(Claim(plate="京A12345"), None).recapture
    decision = decided(Claim(plate="京A12345", captures=1), None)
    assert (decision.event, decision.recapture) == (OrderEvent.WAIT, False)


def test_what_stays_unreadable_is_reviewed_after_the_last_picture() -> None:
    unread = sight("京A12346", accepted=False)
    assert decided(Claim(plate="京A12345", captures=2), unread).recapture
    assert decided(Claim(plate="京A12345", captures=3), unread).event is OrderEvent.GIVE_UP
