"""One plate in two open visits decides nothing before fresh looks at both."""

from edged.domain.same_plate import Claim, OpenPlate, SamePlates

PLATE = "京A12345"


def shown(visit_id: str, berth_no: str, *, accepted: bool = True, plate: str = PLATE) -> OpenPlate:
    return OpenPlate(visit_id=visit_id, berth_no=berth_no, plate=plate, accepted=accepted)


def test_a_plate_in_one_visit_is_accepted() -> None:
    others = [shown("b", "1002", plate="沪B12345"), shown("a", "1001")]

    assert SamePlates().claim("a", PLATE, others) == Claim(accepted=True)


def test_a_plate_in_another_open_visit_takes_the_acceptance_of_both() -> None:
    other = shown("b", "1002")

    claim = SamePlates().claim("a", PLATE, [other])

    assert claim == Claim(accepted=False, withdraw=(other,), look_again=True)


def test_a_faint_reading_elsewhere_is_no_second_claim() -> None:
    assert SamePlates().claim("a", PLATE, [shown("b", "1002", accepted=False)]).accepted


def test_a_person_is_asked_once_fresh_looks_at_both_show_the_plate() -> None:
    plates = SamePlates()
    plates.claim("a", PLATE, [shown("b", "1002")])

    one = plates.claim("a", PLATE, [shown("b", "1002", accepted=False)])
    other = plates.claim("b", PLATE, [shown("a", "1001", accepted=False)])

    assert one.still_shown_in == ()
    assert other.still_shown_in == ("1001",)
    assert not other.accepted


def test_the_plate_counts_again_when_the_other_vehicle_has_left() -> None:
    plates = SamePlates()
    plates.claim("a", PLATE, [shown("b", "1002")])
    assert plates.concerns("b")

    assert plates.claim("a", PLATE, []).accepted
    assert not plates.concerns("b")


def test_a_visit_that_shows_the_plate_no_more_in_two_looks_keeps_no_other_from_it() -> None:
    plates = SamePlates()
    faint = shown("b", "1002", accepted=False)
    plates.claim("a", PLATE, [shown("b", "1002")])

    plates.looked("b", "")
    plates.looked("b", PLATE)
    plates.looked("b", "")
    assert not plates.claim("a", PLATE, [faint]).accepted

    plates.looked("b", "沪B12345")
    assert plates.claim("a", PLATE, [faint]).accepted
