"""Real workers on a real PostgreSQL: a worker is killed and the database crashes while drivers order."""

import pytest

from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.bench.city import build
from cloud_endpoint.bench.crash import crash, workers
from cloud_endpoint.bench.postgres import PostgresMissing, private_cluster
from cloud_endpoint.bench.serving import served
from cloud_endpoint.database.engine import open_engine
from cloud_endpoint.database.schema import migrate
from tests.waiting import until


@pytest.mark.timeout(300)
# The test's own connections die with the database; psycopg complains of those when they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_order_is_lost_or_answered_two_ways_when_a_worker_is_killed_and_the_database_crashes() -> None:
    try:
        with private_cluster("-c fsync=on -c synchronous_commit=on -c max_connections=150") as cluster:
            engine = open_engine(cluster.url)
            migrate(engine)
            city = build(engine, "crash", 120, 120, system_clock())
            with served(cluster) as (port, pid):
                first = set(workers(pid))
                told = crash(engine, cluster, city, port, pid, 120)
                until(lambda: len(workers(pid)) == len(first), "the killed worker is replaced", within_s=100)
                assert len(first - set(workers(pid))) == 1
            engine.dispose()
    except PostgresMissing as exc:
        pytest.skip(str(exc))
    assert (told.lost, told.two_answers, told.impolite_5xx) == (0, 0, 0), told
    # The database stays down until a driver has met it so: the accident was felt, whatever the hour.
    assert told.cut_off + told.polite_503 > 0, told
