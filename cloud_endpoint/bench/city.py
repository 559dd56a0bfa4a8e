"""Cities of any size, written straight into PostgreSQL."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, text

from cloud_endpoint.access.credentials import Role, add_credential
from cloud_endpoint.base.ids import fingerprint
from cloud_endpoint.bench.load import json_request
from cloud_endpoint.database.engine import writing
from cloud_endpoint.street.registry import RegistryFile, load_registry

BERTHS_PER_SITE = 10_000

# One site per 10,000 berths; berth n of a site is watched by pole n / 4. The earlier visits are history,
# the last one stands there now with an accepted reading.
_GIVEN = """
WITH given AS (SELECT CAST(:site AS text) AS site, CAST(:berths AS bigint) AS berths,
                      CAST(:visits AS bigint) AS visits, CAST(:now_ms AS bigint) AS now_ms)
"""
# Behind NAT: they are asked for pictures, and never answer.
_POLES = f"""
INSERT INTO devices (device_id, site_id, token_sha256, public_key, enrolled_ms)
{_GIVEN}
SELECT site || '-pole-' || n, site, repeat('0', 64), repeat('0', 64), 0
FROM given, generate_series(0, (berths - 1) / 4) n
"""
_BERTHS = f"""
INSERT INTO berths (site_id, berth_id, berth_no, device_id, zone_id, pole_code, kerb_order, in_service)
{_GIVEN}
SELECT site, 'b' || n, n::text, site || '-pole-' || n / 4, 'z' || n / 100, 'p' || n / 4, n, true
FROM given, generate_series(0, berths - 1) n
"""
_VISITS = f"""
INSERT INTO visits (site_id, visit_id, berth_id, device_id, seen_ms, started_ms, start_cause, ended_ms,
                    end_cause, plate, plate_kind, characters, accepted, captured_ms)
{_GIVEN}
SELECT site, 'visit-' || n || '-' || v, 'b' || n, site || '-pole-' || n / 4, t, t, 'sensor',
       CASE WHEN v < visits THEN t + 600000 END, CASE WHEN v < visits THEN 'sensor' END,
       '京A' || lpad(n::text, 5, '0'), 'small_car', '[0.999,0.999,0.999,0.999,0.999,0.999,0.999]', true,
       t + 3000
FROM given, generate_series(0, berths - 1) n, generate_series(1, visits) v,
     LATERAL (SELECT now_ms - 60000 - (visits - v) * 3600000 AS t) times
"""
_OFFERED = """
WITH given AS (SELECT CAST(:site AS text) AS site, CAST(:prefix AS text) AS prefix,
                      CAST(:credential AS text) AS credential, CAST(:token_sha256 AS text) AS token_sha256,
                      CAST(:orders AS bigint) AS orders, CAST(:now_ms AS bigint) AS now_ms,
                      CAST(:step AS bigint) AS step, CAST(:first AS bigint) AS first)
"""
_ORDERS = f"""
INSERT INTO orders (site_id, order_id, credential_id, account_id, place, state, created_ms, expires_ms,
                    changes, offers, submissions, modifications, captures, due_ms)
{_OFFERED}
SELECT site, prefix || n, credential, 'account-' || n,
       json_build_object('pole_code', 'p' || (first + n * step) / 4), 'offered',
       now_ms, now_ms + 3600000, 1, 1, 0, 0, 0, now_ms + 3600000
FROM given, generate_series(0, orders - 1) n
"""
_CANDIDATES = f"""
INSERT INTO order_candidates (site_id, order_id, token_sha256, berth_id, expires_ms)
{_OFFERED}
SELECT site, prefix || n, token_sha256, 'b' || first + n * step, now_ms + 3600000
FROM given, generate_series(0, orders - 1) n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """What a load generator must know of a city: its sites with a terminal's token each."""

    tokens: dict[str, str]
    berths_per_site: int


def build(engine: Engine, name: str, berths: int, visits: int, now_ms: int) -> City:
    """Fill the database with a city of `berths` berths and `visits` visits in all."""
    per_site = min(berths, BERTHS_PER_SITE)
    sites = [f"{name}-{number}" for number in range(berths // per_site)]
    tokens = {}
    with writing(engine) as connection:
        registry = {"sites": [{"site_id": site, "name": site} for site in sites]}
        load_registry(connection, RegistryFile.model_validate(registry), now_ms)
        for site in sites:
            tokens[site], _ = add_credential(connection, site, Role.TERMINAL, f"app-{site}", now_ms)
    for site in sites:
        with writing(engine) as connection:
            values = {"site": site, "berths": per_site, "visits": visits // berths, "now_ms": now_ms}
            connection.execute(text(_POLES), values)
            connection.execute(text(_BERTHS), values)
            connection.execute(text(_VISITS), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return City(tokens=tokens, berths_per_site=per_site)


def checks(
    engine: Engine, city: City, round_name: str, number: int, now_ms: int, *, first: int = 0
) -> Iterator[bytes]:
    """Prepare offered orders and return the requests that submit them: 9 of 10 right, 1 with a typing error.

    Spread evenly over all sites and their berths, from berth `first` of each on, so that a large city is
    met as a whole.
    """
    sites = list(city.tokens)
    per_site = -(-number // len(sites))
    step = city.berths_per_site // per_site
    assert first < step
    token = f"token-{round_name}"
    prefix = f"order-{round_name}-"
    for site in sites:
        with writing(engine) as connection:
            values = {
                "site": site,
                "prefix": prefix,
                "credential": f"app-{site}",
                "token_sha256": fingerprint(token),
                "orders": per_site,
                "now_ms": now_ms,
                "step": step,
                "first": first,
            }
            connection.execute(text(_ORDERS), values)
            connection.execute(text(_CANDIDATES), values)
            connection.execute(text("DELETE FROM holds WHERE site_id = :site"), values)
    with writing(engine) as connection:  # autovacuum would have done it a minute later
        connection.execute(text("ANALYZE orders, order_candidates, order_events, holds, captures"))
    for n in range(per_site):
        berth = first + n * step
        for site in sites:
            typed = f"京A{berth:05d}" if n % 10 else f"京B{berth:05d}"
            body = {"berth_token": token, "plate": typed, "minutes": 60}
            yield json_request("POST", f"/v1/orders/{prefix}{n}/submit", city.tokens[site], body)
