"""A street for the tests: the real service over real HTTP, on SQLite and on PostgreSQL, with fake poles."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import hypothesis
import pytest
import uvicorn
from cloud_phone import PAGE_TOKEN, add_page
from cloud_pole import ShiftedClock
from cloud_street import SITE, Street, registry_of
from fastapi import FastAPI
from sqlalchemy import delete

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.base.failures import FAILURES
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.bench.postgres import PostgresMissing, private_cluster
from cloud_endpoint.clockwork.duties import DUTIES
from cloud_endpoint.database.engine import open_engine, writing
from cloud_endpoint.database.schema import migrate
from cloud_endpoint.database.tables import metadata
from cloud_endpoint.street.registry import RegistryFile, load_registry
from cloud_endpoint.web.app import create_app
from tests.waiting import until

# A shared machine may stall for seconds; what is tested here is not speed.
hypothesis.settings.register_profile(
    "cloud", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("cloud")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A private PostgreSQL cluster on a loopback socket, thrown away afterwards."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(private_cluster("-c fsync=off -c max_connections=120"))
        except PostgresMissing as exc:
            pytest.skip(str(exc))
        yield cluster.url


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of each kind: the whole contract holds on both."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('cloud')}/cloud.db"
    else:
        url = str(request.getfixturevalue("postgres_url"))
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    return url


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Run the app on a loopback port; yields its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the server starts")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def failures(duty: str | None = None) -> float:
    """Return how many pieces of work ended in an unexpected error so far, of one duty or of all."""
    samples = [sample for metric in FAILURES.collect() for sample in metric.samples]
    return sum(s.value for s in samples if s.name.endswith("_total") and duty in (None, s.labels["duty"]))


@pytest.fixture
def failures_of() -> Callable[[str], float]:
    """Let a test provoke unexpected errors, and count those of a duty since its beginning."""
    before = {duty.name: failures(duty.name) for duty in DUTIES}
    return lambda duty: failures(duty) - before[duty]


@pytest.fixture(autouse=True)
def _no_work_fails(request: pytest.FixtureRequest) -> Iterator[None]:
    before = failures()
    yield
    assert "failures_of" in request.fixturenames or failures() == before


@pytest.fixture(scope="session")
def running(database_url: str) -> Iterator[tuple[str, FastAPI]]:
    """The service with its default settings, one for all tests: they are told apart by an empty database."""
    settings = CloudSettings.model_validate({"database": {"url": database_url}})
    app = create_app(settings, ShiftedClock())
    with served(app) as url:
        yield url, app


@pytest.fixture
def street(running: tuple[str, FastAPI]) -> Iterator[Street]:
    """An empty city with one street: five berths of one pole, one terminal, one operator."""
    url, app = running
    yield from _street(url, app)


@pytest.fixture
def street_with(database_url: str) -> Iterator[Callable[..., Street]]:
    """The same with other settings: `street_with(limits={"orders_per_account_per_day": 2})`."""
    with ExitStack() as stack:

        def make(**sections: dict[str, object]) -> Street:
            settings = CloudSettings.model_validate({"database": {"url": database_url}, **sections})
            app = create_app(settings, ShiftedClock())
            url = stack.enter_context(served(app))
            return stack.enter_context(contextmanager(_street)(url, app))

        yield make


@pytest.fixture
def town_with(street_with: Callable[..., Street]) -> Callable[..., Street]:
    """The same with the driver's page, and with other settings."""

    def make(**sections: dict[str, object]) -> Street:
        street = street_with(pages={"terminal_tokens": [PAGE_TOKEN]}, **sections)
        add_page(street)
        return street

    return make


@pytest.fixture
def town(town_with: Callable[..., Street]) -> Street:
    """A street whose service shows the driver's page."""
    return town_with()


def _street(url: str, app: FastAPI) -> Iterator[Street]:
    cloud = app.state.service
    clock = cloud.clock
    clock.shift_s = 0.0
    with writing(cloud.engine) as connection:
        for table in metadata.sorted_tables:
            connection.execute(delete(table))
        load_registry(connection, RegistryFile.model_validate(registry_of()), clock())
        terminal, secret = add_credential(connection, SITE, Role.TERMINAL, "app", clock())
        operator, _ = add_credential(connection, SITE, Role.OPERATOR, "desk", clock())
    street = Street(
        url=url, cloud=cloud, clock=clock, terminal=terminal, secret=secret, operator=operator, app=app
    )
    try:
        yield street
    finally:
        clock.shift_s = 0.0  # this service goes on, on the database of the next test
        street.close()
