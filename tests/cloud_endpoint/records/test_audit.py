"""What people did, append-only; and what is written nowhere."""

import json

import pytest
from cloud_pole import Fault
from cloud_street import RIGHT, SITE, WRONG, Street, decide, reviewed
from sqlalchemy import select, update

from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import audit as audit_table
from cloud_endpoint.records import audit
from tests.waiting import until


def test_the_audit_chain_holds_and_shows_where_it_was_changed(street: Street) -> None:
    _, _, review = reviewed(street)
    decide(street, review["review_id"], decision="approve", operator_plate=RIGHT, reason="a clear 5")
    with reading(street.cloud.engine) as connection:
        verified = audit.verify(connection, SITE)
        lines = connection.execute(select(audit_table).order_by(audit_table.c.number)).mappings().all()
    assert verified.lines == len(lines) >= 4
    assert not [line for line in lines if RIGHT in json.dumps(dict(line), ensure_ascii=False)]
    number = lines[1]["number"]
    with writing(street.cloud.engine) as connection:
        connection.execute(
            update(audit_table).where(audit_table.c.number == number).values(actor="somebody else")
        )
    with (
        reading(street.cloud.engine) as connection,
        pytest.raises(audit.AuditBroken, match=f"line {number} was changed"),
    ):
        audit.verify(connection, SITE)


@pytest.mark.parametrize(("removed", "message"), [(2, "line 2 is missing"), (-1, "the chain ends at line")])
def test_a_line_that_is_missing_from_the_audit_is_noticed(street: Street, removed: int, message: str) -> None:
    for number in range(4):
        with writing(street.cloud.engine) as connection:
            audit.append(
                connection, SITE, actor="a", action="test", subject=str(number), now_ms=street.clock()
            )
    with writing(street.cloud.engine) as connection:
        numbers = (
            connection.execute(select(audit_table.c.number).order_by(audit_table.c.number)).scalars().all()
        )
        number = numbers[removed] if removed < 0 else removed
        connection.execute(audit_table.delete().where(audit_table.c.number == number))
    with reading(street.cloud.engine) as connection, pytest.raises(audit.AuditBroken, match=message):
        audit.verify(connection, SITE)


def test_old_audit_lines_can_be_forgotten_and_the_rest_still_holds(street: Street) -> None:
    with writing(street.cloud.engine) as connection:
        for at_ms in (1000, 2000, 3000):
            audit.append(connection, "old-site", actor="a", action="test", subject="s", now_ms=at_ms)
        assert audit.prune(connection, "old-site", 2500) == 2
        assert audit.verify(connection, "old-site").lines == 1


def test_plates_and_tokens_are_in_no_log(street: Street, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        pole, order_id, review = reviewed(street)
        pole.fault = Fault.HTTP_500
        other, _ = street.order("1003", "京A12347", account="driver-2")
        until(lambda: "pull failed" in caplog.text, "the failed pull is logged")
        decide(street, review["review_id"], decision="refuse", reason="no")
        street.view(other)
        street.view(order_id)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("cloud_endpoint", "uvicorn"))]
    assert ours
    for secret in (RIGHT, WRONG, "京A12347", street.terminal, street.operator, pole.token, street.secret):
        assert not [line for line in ours if secret in line]
