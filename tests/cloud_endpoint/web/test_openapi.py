"""The OpenAPI is kept: schemathesis makes up requests from it, with a fixed seed, and checks each answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud_street import SITE, registry_of
from hypothesis import HealthCheck, Phase, given, settings

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.base.clock import system_clock
from cloud_endpoint.base.settings import CloudSettings
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.schema import migrate
from cloud_endpoint.street.registry import RegistryFile, load_registry
from cloud_endpoint.web.app import create_app

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: make setup-test")

TOKENS: dict[str, str] = {}


@pytest.fixture(scope="module")
def cloud_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The schema of an app with one street, its own database, and a terminal and an operator."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    database = {"url": f"sqlite:///{folder}/cloud.db"}
    app = create_app(CloudSettings.model_validate({"database": database}))
    engine = app.state.service.engine
    migrate(engine)
    with writing(engine) as connection:
        load_registry(connection, RegistryFile.model_validate(registry_of()), system_clock())
        TOKENS["/v1/orders"], _ = add_credential(connection, SITE, Role.TERMINAL, "app", system_clock())
        TOKENS[""], _ = add_credential(connection, SITE, Role.OPERATOR, "desk", system_clock())
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    engine.dispose()


@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def _answers_as_promised(case: Any) -> None:
    prefix = next(prefix for prefix in TOKENS if case.path.startswith(prefix))
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKENS[prefix]}"})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_answer_is_one_that_the_openapi_promises(cloud_schema: Any) -> None:
    operations = [result.ok() for result in cloud_schema.get_all_operations()]
    ours = [operation for operation in operations if operation.path.startswith(("/v1", "/cds", "/healthz"))]
    assert len(ours) > 10
    for operation in ours:
        given(case=operation.as_strategy())(_answers_as_promised)()
