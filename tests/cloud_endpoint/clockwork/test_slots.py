"""Slots: a bound in all, and a bound for each peer."""

from cloud_endpoint.clockwork.slots import Slots


def test_a_peer_gets_its_share_and_the_others_get_the_rest() -> None:
    slots = Slots(4, 2)
    assert [slots.take("bad") for _ in range(3)] == [True, True, False]
    assert [slots.take(peer) for peer in ("a", "b", "c")] == [True, True, False]
    assert slots.free == 0
    slots.give_back("bad")
    assert [slots.take("bad"), slots.take("c")] == [True, False]


def test_draining_ends_when_the_work_does_or_when_the_time_is_over() -> None:
    slots = Slots(4, 2)
    assert slots.drain(0) == 0
    slots.take("pole-1")
    assert slots.drain(0.01) == 1
    slots.give_back("pole-1")
    assert slots.drain(10) == 0
