"""Cars drive in, drivers order: the demo's story, with what must come out of each step."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from edged.demo.cars import DemoCar, one_character_wrong
from edged.demo.driver import Answered, Order
from edged.demo.processes import DemoFailure
from edged.demo.street import Street
from edged.demo.timeline import from_here
from edged.picture import decode_jpeg

_READ_WITHIN_S = 30.0
_UNSURE_AFTER_S = 5.0  # a photograph does not change: what is doubtful twice stays so
_MAX_EVIDENCE_BYTES = 150 * 1024
_TOO_FEW = "no photograph is left for this step; at least four are needed that show one readable plate each"


@dataclass(slots=True)
class Scenario:
    """Tells the story on one street. `cars` come in turn; an unlabelled photograph expects no plate."""

    street: Street
    cars: Iterator[DemoCar]
    photographs: bool

    def play(self) -> None:
        """Play (a) to (e); what does not come out as expected is noted in the timeline."""
        first, second, third, neighbour = (berth.berth_no for berth in self.street.hardware.files.berths)
        say = self.street.timeline.heading
        say(f"A neighbour stands in berth {neighbour}, so that the berth's outline matters")
        self._arrive(neighbour)
        say(f"(a) A driver orders berth {first} with the right plate")
        self.right_plate(first)
        say(f"(b) A driver mistypes one character of the plate in berth {second}, then corrects it")
        self.mistyped_plate(second)
        say(f"(c) A driver orders berth {third} before the car was read there")
        self.ordered_before_read(third)
        say("(d) The cloud pulls a berth plate snapshot from the pole")
        self.pulled_snapshot(first)
        say(f"(e) The car leaves berth {first}")
        self.drive_out(first)
        self.all_delivered()

    def right_plate(self, berth_no: str) -> None:
        car, plate, _ = self._arrive(berth_no)
        order, token = self._order(berth_no)
        self._confirmed(order, self._submit(order, token, car, plate))

    def mistyped_plate(self, berth_no: str) -> None:
        car, plate, reading = self._arrive(berth_no)
        order, token = self._order(berth_no)
        wrong = one_character_wrong(plate, reading["characters"])
        answer = self._settled(order, self._submit(order, token, car, wrong))
        self._check(
            "cloud", "plate_modification, which does not tell the read plate", answer, "plate_modification"
        )
        told = str({key: value for key, value in answer.body.items() if key != "order_id"})
        self.street.timeline.check(
            "cloud", "the read plate is not in the answer", expected=False, got=plate in told
        )
        self._confirmed(order, self._submit(order, token, car, plate))

    def ordered_before_read(self, berth_no: str) -> None:
        for shown in self.cars:
            car = shown if shown.plate is not None else self._met_before(berth_no, shown)
            if car is None or car.plate is None:
                continue
            order, token = self._order(berth_no)
            answer = self._submit(order, token, car, car.plate)
            self._check("cloud", "pending: nothing reliable is read there yet", answer, "pending")
            self.street.hardware.drive_in(berth_no, car)
            began_s = time.monotonic()
            self.street.timeline.step("bus", f"a car drives into berth {berth_no}")
            if self._reading_of(berth_no, car) is not None:
                answer = order.wait()
                took_s = time.monotonic() - began_s
                self._check("cloud", "order_confirmation, once read", answer, "order_confirmation", took_s)
                return
            order.cancel()
            self._send_away(berth_no)
        raise DemoFailure(_TOO_FEW)

    def _met_before(self, berth_no: str, car: DemoCar) -> DemoCar | None:
        """Let an unlabelled car come and go once, so that its plate is known; None if it is not read."""
        self.street.timeline.note(f"{car} has no label: it comes once before, to learn its driver's plate")
        self.street.hardware.drive_in(berth_no, car)
        self.street.wait_for_state(berth_no, "occupied")
        reading = self._reading_of(berth_no, car)
        self._send_away(berth_no)
        return replace(car, plate=reading["plate"]) if reading else None

    def pulled_snapshot(self, berth_no: str) -> None:
        local = self.street.snapshot_at_pole(berth_no)
        pulled = self.street.snapshot_by_cloud(berth_no)
        line = self.street.timeline
        what = "snapshot with a fresh nonce, signature and time verified"
        line.check("cloud", what, expected=local["reading"], got=pulled["reading"], took_s=pulled.took_s)
        fresh = self.street.fresh_look(berth_no)
        same = fresh["reading"]["plate"] == local["reading"]["plate"]
        line.check("edged", "a new picture shows the same car", expected=True, got=same, took_s=fresh.took_s)
        for berth in self.street.hardware.files.berths:
            self._save_evidence(berth.berth_no)

    def drive_out(self, berth_no: str) -> None:
        visit_id = self.street.berths()[berth_no]["visit_id"]
        self.street.hardware.drive_out(berth_no)
        took_s = self.street.wait_for_state(berth_no, "vacant", within_s=15)
        line = self.street.timeline
        line.step("edged", f"drive_out of berth {berth_no}, after the settle time", took_s=took_s)
        visit = next(visit for visit in self.street.visits() if visit["visit_id"] == visit_id)
        line.check("edged", "the visit is closed", expected=True, got=visit["left"] is not None)
        pulled = self.street.snapshot_by_cloud(berth_no)
        got = (pulled["state"], pulled["visit_id"])
        line.check("cloud", "the berth is vacant", expected=("vacant", None), got=got, took_s=pulled.took_s)

    def all_delivered(self) -> None:
        took_s = self.street.processes.wait_until(
            lambda: self.street.outbox()["waiting"] == 0,
            within_s=15,
            what="every event delivered",
            process="edged",
        )
        refused = self.street.outbox()["rejected"]
        what = "every event delivered, none refused"
        self.street.timeline.check("edged", what, expected=0, got=refused, took_s=took_s)

    def _arrive(self, berth_no: str) -> tuple[DemoCar, str, dict[str, Any]]:
        """Let cars drive in until one is read reliably; return it, its plate and the reading."""
        for car in self.cars:
            self.street.hardware.drive_in(berth_no, car)
            self.street.timeline.step("bus", f"a car drives into berth {berth_no} ({car})")
            took_s = self.street.wait_for_state(berth_no, "occupied")
            self.street.timeline.step("edged", "drive_in, after the settle time", took_s=took_s)
            reading = self._reading_of(berth_no, car)
            if reading is not None:
                plate = car.plate or reading["plate"]
                return replace(car, plate=plate), plate, reading
            self._send_away(berth_no)
        raise DemoFailure(_TOO_FEW)

    def _reading_of(self, berth_no: str, car: DemoCar) -> dict[str, Any] | None:
        """Return the accepted reading; None when there is none, or another than expected."""
        began_s = time.monotonic()
        reading = self._settled_reading(berth_no)
        took_s = time.monotonic() - began_s
        line = self.street.timeline
        if reading is not None and reading["accepted"]:
            shown = f"reading: {car.shown(reading['plate'])}, weakest character {reading['confidence']:.3f}"
            right = car.plate in (None, reading["plate"])
            line.check("edged", shown, expected=True, got=right, took_s=took_s)
            return reading if right else None
        shown = f"reading: {car.shown(reading['plate'] if reading else None)}, not certain"
        if not self.photographs:
            line.check("edged", shown, expected="certain", got="not certain", took_s=took_s)
            raise DemoFailure(f"the car in berth {berth_no} was not read", "edged")
        line.step("edged", shown + ": a driver would be told `pending`", took_s=took_s)
        return None

    def _settled_reading(self, berth_no: str) -> dict[str, Any] | None:
        """Wait for an accepted reading; give up on one that stays doubtful."""
        began_s = time.monotonic()
        reading = None
        while time.monotonic() - began_s < (_UNSURE_AFTER_S if reading else _READ_WITHIN_S):
            reading = self.street.reading(berth_no)
            if reading is not None and reading["accepted"]:
                break
            self.street.processes.check_alive()
            time.sleep(0.05)
        return reading

    def _send_away(self, berth_no: str) -> None:
        self.street.hardware.drive_out(berth_no)
        self.street.wait_for_state(berth_no, "vacant", within_s=15)

    def _order(self, berth_no: str) -> tuple[Order, str]:
        order = self.street.new_order()
        line = self.street.timeline
        line.step("driver", "berth_number_acquisition with the pole's code", took_s=order.acquired.took_s)
        offered, took_s = order.candidates()
        what = f"candidate_berths {', '.join(offered)}"
        several = 2 <= len(offered) <= 5 and berth_no in offered
        line.check("cloud", what, expected=True, got=several, took_s=took_s)
        return order, offered[berth_no]

    def _submit(self, order: Order, token: str, car: DemoCar, plate: str) -> Answered:
        mistyped = ", one character mistyped" if car.plate not in (None, plate) else ""
        self.street.timeline.step("driver", f"pre_payment_order with {car.shown(plate)}{mistyped}")
        return order.submit(token, plate)

    def _settled(self, order: Order, answer: Answered) -> Answered:
        """Follow `pending` to what comes after it."""
        if answer["instruction"] != "pending":
            return answer
        what = "pending: the pole is asked for a fresh look first"
        self.street.timeline.step("cloud", what, took_s=answer.took_s)
        return order.wait()

    def _confirmed(self, order: Order, answer: Answered) -> None:
        self._check("cloud", "order_confirmation", self._settled(order, answer), "order_confirmation")

    def _check(
        self, actor: str, what: str, answer: Answered, expected: str, took_s: float | None = None
    ) -> None:
        took_s = answer.took_s if took_s is None else took_s
        self.street.timeline.check(actor, what, expected=expected, got=answer["instruction"], took_s=took_s)

    def _save_evidence(self, berth_no: str) -> None:
        sha256 = self.street.snapshot_at_pole(berth_no)["evidence_sha256"]
        line = self.street.timeline
        if sha256 is None:
            line.check("edged", f"evidence of berth {berth_no}", expected="a picture", got=None)
            return
        jpeg = self.street.pole.picture(f"/v1/evidence/{sha256}.jpg")
        decode_jpeg(jpeg)
        path = self.street.hardware.files.folder.parent / f"evidence-{berth_no}.jpg"
        path.write_bytes(jpeg)
        what = f"evidence picture, {len(jpeg) // 1024} KB: {from_here(path)}"
        line.check("edged", what, expected=True, got=len(jpeg) <= _MAX_EVIDENCE_BYTES)
