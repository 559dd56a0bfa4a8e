"""25 kills in the suite; `make crash` does 500."""

from pathlib import Path
from random import Random

import pytest

from tests.reliability.crash.sides import both_sides, deliver_the_rest, failures, kill_again_and_again

KILLS = 25


@pytest.mark.timeout(400)
def test_killed_at_random_on_either_side_each_visit_is_at_the_cloud_once(tmp_path: Path) -> None:
    with both_sides(tmp_path) as sides:
        counts = kill_again_and_again(sides, KILLS, Random(3))
        assert min(counts.values()) > 0
        deliver_the_rest(sides)
        assert failures(sides) == []
        assert len(sides.named["arrived"]) > KILLS
