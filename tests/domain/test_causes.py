"""A cause is shown first; what follows from it stands under it."""

from hypothesis import given
from hypothesis import strategies as st

from edged.domain.causes import arrange, consistent
from edged.domain.health import Finding, HealthStatus

NEEDS = {
    "sensor loop": ["bus kerb"],
    "berth 1": ["sensor loop"],
    "store": ["disk"],
    "readings": ["store", "model"],
}


def degraded(where: str) -> Finding:
    return Finding(where=where, status=HealthStatus.DEGRADED, cause="is late", remedy="mend it")


def failed(where: str) -> Finding:
    return Finding(where=where, status=HealthStatus.FAILED, cause="is gone", remedy="mend it")


def test_a_berth_follows_from_its_sensors_port_although_nothing_is_known_of_the_sensor() -> None:
    (cause,) = arrange([degraded("berth 1"), failed("bus kerb")], NEEDS)
    assert cause.finding == failed("bus kerb")
    assert cause.consequences == (degraded("berth 1"),)


def test_a_chain_has_one_cause() -> None:
    (cause,) = arrange([failed("berth 1"), failed("sensor loop"), failed("bus kerb")], NEEDS)
    assert cause.finding.where == "bus kerb"
    assert [finding.where for finding in cause.consequences] == ["berth 1", "sensor loop"]


def test_what_has_two_causes_follows_from_the_more_severe_one() -> None:
    first, second = arrange([degraded("disk"), failed("model"), degraded("readings")], NEEDS)
    assert (first.finding.where, [f.where for f in first.consequences]) == ("model", ["readings"])
    assert (second.finding.where, second.consequences) == ("disk", ())


def test_troubles_without_relation_are_ordered_by_severity_then_by_what_they_cause() -> None:
    findings = [degraded("clock"), degraded("disk"), degraded("store"), failed("model")]
    assert [cause.finding.where for cause in arrange(findings, NEEDS)] == ["model", "disk", "clock"]


def test_a_severe_consequence_makes_its_mild_cause_urgent() -> None:
    first, _ = arrange([degraded("clock"), degraded("disk"), failed("store")], NEEDS)
    assert (first.finding.where, first.status) == ("disk", HealthStatus.FAILED)


def test_two_troubles_of_one_part_stand_together() -> None:
    other = Finding(where="store", status=HealthStatus.DEGRADED, cause="pictures were dropped", remedy="")
    (cause,) = arrange([other, failed("store")], NEEDS)
    assert (cause.finding, cause.consequences) == (failed("store"), (other,))


def test_a_consequence_names_its_cause_and_only_the_cause_a_remedy() -> None:
    (cause,) = arrange([failed("bus kerb"), degraded("berth 1")], NEEDS)
    assert list(cause.lines()) == ["bus kerb: is gone; mend it", "berth 1: is late; follows from bus kerb"]


def test_a_part_in_trouble_is_not_called_sound_and_nothing_is_said_twice() -> None:
    findings = [Finding.sound("model", "works"), Finding.sound("disk", "900 MiB free"), failed("model")]
    assert consistent([*findings, failed("model")]) == findings[1:]


PARTS = "abcdef"
TROUBLES = [make(part) for part in PARTS for make in (degraded, failed)]
# A part needs earlier ones only: no circles.
NETS = st.fixed_dictionaries({PARTS[n]: st.lists(st.sampled_from(PARTS[:n])) for n in range(1, 6)})


@given(needs=NETS, findings=st.lists(st.sampled_from(TROUBLES), unique=True))
def test_every_trouble_is_shown_exactly_once_whatever_needs_what(
    needs: dict[str, list[str]], findings: list[Finding]
) -> None:
    causes = arrange(findings, needs)
    shown = [finding for cause in causes for finding in cause.findings]
    assert sorted(shown, key=findings.index) == findings
