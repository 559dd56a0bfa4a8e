"""The application: routes, middleware, lifetime."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import edged
from cloud_endpoint.base import logs
from cloud_endpoint.base.clock import Clock, system_clock
from cloud_endpoint.base.settings import ENVIRONMENT_PREFIX, CloudSettings, load_settings
from cloud_endpoint.clockwork.loop import Clockwork
from cloud_endpoint.database.engine import open_engine
from cloud_endpoint.database.service import Service
from cloud_endpoint.ordering.messages import OrderWebhook
from cloud_endpoint.web import problems
from cloud_endpoint.web.bodies import BodyBounds
from cloud_endpoint.web.long_polls import LongPolls
from cloud_endpoint.web.metrics import FOLDER_VARIABLE
from cloud_endpoint.web.pages import driver, operator
from cloud_endpoint.web.pages.rendering import STATIC
from cloud_endpoint.web.routes import curb_data, operators, poles, terminals
from cloud_endpoint.web.watch import RouteNote, Watch

KEEP_ALIVE_S = 75  # longer than a proxy in front keeps an idle connection: only it may close one
GRACE_S = 10  # after SIGTERM, for requests under way; the clockwork has its own STOP_S after it
CONFIG_VARIABLE = f"{ENVIRONMENT_PREFIX}CONFIG"


def create_app(settings: CloudSettings, clock: Clock = system_clock) -> FastAPI:
    """Build the service; it starts with the app's lifespan."""
    engine = open_engine(settings.database.url, settings.database.pool_size)
    service = Service(engine=engine, settings=settings, clock=clock)
    clockwork = Clockwork(service)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        clockwork.start()
        try:
            yield
        finally:
            clockwork.stop()
            engine.dispose()

    app = FastAPI(
        title="edged cloud endpoint",
        version=edged.__version__,
        description="Receives poles, serves drivers' pre-payment orders, checks plates.",
        lifespan=lifespan,
    )
    app.state.service = service
    app.state.clockwork = clockwork
    app.state.turns = poles.Turns()
    app.state.long_polls = LongPolls(settings.limits)
    for layer in (RouteNote, BodyBounds, Watch):  # the last one is outermost
        app.add_middleware(layer)
    problems.install(app)
    for router in (
        poles.router,
        terminals.router,
        terminals.callbacks,
        operators.router,
        curb_data.router,
        driver.router,
        operator.router,
    ):
        app.include_router(router)
    app.webhooks.add_api_route("order", _order_webhook, methods=["POST"], status_code=204, tags=["orders"])
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _order_webhook(request: OrderWebhook) -> None:
    """Sent to the webhook URL of the order's terminal after each change of the order that it may know.

    Answer with any 2xx. Drop a webhook whose `number` is not above the highest that you have of this order.
    """


def app_from_environment() -> FastAPI:
    """What each worker process of `serve` builds."""
    logs.configure()
    path = os.environ.get(CONFIG_VARIABLE)
    return create_app(load_settings(Path(path) if path else None))


def serve(settings: CloudSettings, config: Path | None) -> None:
    """Run until SIGTERM or SIGINT."""
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config.resolve())
    logs.configure()
    server = settings.server
    with TemporaryDirectory(prefix="edged-cloud-metrics-") as folder:
        if server.workers > 1:  # their counters are added up through files
            os.environ[FOLDER_VARIABLE] = folder
        uvicorn.run(
            "cloud_endpoint.web.app:app_from_environment",
            factory=True,
            host=server.host,
            port=server.port,
            workers=server.workers,
            access_log=False,  # `Watch` writes those lines
            log_config=None,
            proxy_headers=bool(server.trusted_proxies),
            forwarded_allow_ips=",".join(server.trusted_proxies),
            server_header=False,
            timeout_worker_healthcheck=60,  # a busy host takes more than the default 5 s to start one
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
