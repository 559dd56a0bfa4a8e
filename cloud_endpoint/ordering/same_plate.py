"""One plate in two berths of a site: neither reading decides an order before a fresh look at both."""

from sqlalchemy import bindparam, select

from cloud_endpoint.database.service import Work
from cloud_endpoint.database.tables import berths, visits
from cloud_endpoint.ordering.decide import Decision
from cloud_endpoint.ordering.order import Order
from cloud_endpoint.ordering.states import OrderEvent, OrderState
from cloud_endpoint.poles import captures
from cloud_endpoint.poles.berth_sight import SCENE_COLUMNS, Scene, latest_visit, scene_in

REASON = "plate_in_two_berths"


# Built once: composing a statement costs more than running it.
_ELSEWHERE = (
    select(*SCENE_COLUMNS.values())
    .select_from(visits)
    .join(berths, (berths.c.site_id == visits.c.site_id) & (berths.c.berth_id == visits.c.berth_id))
    .where(
        visits.c.site_id == bindparam("of_site"),
        visits.c.plate == bindparam("of_plate"),
        visits.c.ended_ms.is_(None),
        visits.c.accepted,
        visits.c.berth_id != bindparam("not_in"),
        visits.c.visit_id == latest_visit(),  # an older visit of a berth ended unheard
    )
)


def elsewhere(work: Work, site_id: str, scene: Scene) -> list[Scene]:
    """Return the other berths of the site in which the scene's plate stands as well."""
    if scene.sight is None or scene.sight.plate is None:
        return []
    of = {"of_site": site_id, "of_plate": scene.sight.plate, "not_in": scene.berth.berth_id}
    rows = work.connection.execute(_ELSEWHERE, of)
    found = [
        scene_in({name: row[column] for name, column in SCENE_COLUMNS.items()}) for row in rows.mappings()
    ]
    return [other for other in found if other.sight is not None]


def doubted(work: Work, order: Order, scene: Scene, decision: Decision, *, on_its_way: bool) -> Decision:
    """Return what becomes of a decision by a plate that another berth shows as well.

    Both berths are looked at for this submission. A berth found empty does not count any more; if both
    still show the plate, a human decides.
    """
    others = elsewhere(work, order.site_id, scene)
    if not others:
        return decision
    stale = [one for one in (scene, *others) if not _is_fresh(order, one)]
    if not stale:
        return Decision(event=OrderEvent.GIVE_UP, reason=REASON)
    if not on_its_way and not _look_again(work, order, stale):
        return Decision(event=OrderEvent.GIVE_UP, reason=REASON)
    return Decision(event=OrderEvent.WAIT, reason=REASON)


def _look_again(work: Work, order: Order, stale: list[Scene]) -> bool:
    """Ask for pictures of these berths; returns False when no more are to come, so that a human decides.

    A picture that did not come counts too: the other berth may have a pole that is out of order.
    """
    closed = captures.most_closed(work.connection, order, (one.berth.berth_id for one in stale))
    if closed >= work.settings.check.max_captures:
        return False
    asked = [captures.request_capture(work, order, one.berth) for one in stale]
    return any(asked) or order.state is OrderState.SUBMITTED  # a submission is never decided at once here


def _is_fresh(order: Order, scene: Scene) -> bool:
    """Tell whether the picture was taken after the submission, which is never decided at once here."""
    if order.state is OrderState.SUBMITTED or scene.sight is None or scene.sight.captured_ms is None:
        return False
    return order.submitted_ms is not None and scene.sight.captured_ms >= order.submitted_ms
