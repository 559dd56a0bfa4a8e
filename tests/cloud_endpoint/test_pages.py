"""The driver's page and the operator's desk, as a phone's browser uses them: forms, cookies, redirects."""

import re
from collections.abc import Callable

import pytest
import requests
from cloud_street import POLE_CODE, RIGHT, SITE, WRONG, Street, wait_until
from sqlalchemy import insert

from cloud_endpoint.database import writing
from cloud_endpoint.ids import fingerprint
from cloud_endpoint.tables import credentials

TOKEN = "page.0123456789abcdef"


@pytest.fixture
def town(street_with: Callable[..., Street]) -> Street:
    """A street whose service shows the driver's page."""
    street = street_with(pages={"terminal_token": TOKEN})
    with writing(street.cloud.engine) as connection:
        connection.execute(
            insert(credentials).values(
                credential_id="page",
                site_id=SITE,
                role="terminal",
                token_sha256=fingerprint(TOKEN),
                signing_secret="s",
                created_ms=0,
            )
        )
    return street


class Phone(requests.Session):
    """A browser without scripts: what it needs is in the page."""

    def __init__(self, street: Street) -> None:
        super().__init__()
        self.street = street
        self.page = ""
        self.order_id = ""

    def open(self, code: str = POLE_CODE, lang: str = "en") -> requests.Response:
        answer = self.post(f"{self.street.url}/pay", data={"code": code, "lang": lang}, timeout=10)
        self._take(answer)
        return answer

    def choose(self, berth_no: str, plate: str) -> str:
        tokens = dict(re.findall(r'value="([^"]+)" required><span>([^<]+)</span>', self.page))
        token = {number: token for token, number in tokens.items()}[berth_no]
        body = {"berth_token": token, "plate": plate, "minutes": "60", "lang": "en"}
        return self._take(self.post(f"{self.street.url}/pay/{self.order_id}/submit", data=body, timeout=10))

    def press(self, action: str) -> str:
        url = f"{self.street.url}/pay/{self.order_id}/{action}"
        return self._take(self.post(url, data={"lang": "en"}, timeout=10))

    def reload(self) -> str:
        return self._take(self.get(f"{self.street.url}/pay/{self.order_id}?lang=en", timeout=10))

    def _take(self, answer: requests.Response) -> str:
        self.page = answer.text
        found = re.search(r"/pay/(ord_[0-9a-f]+)/", answer.text)
        self.order_id = found[1] if found else self.order_id
        return self.page


def test_a_driver_pays_from_a_phone_and_corrects_a_typing_error(town: Street) -> None:
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    phone = Phone(town)
    assert POLE_CODE in phone.get(f"{town.url}/pay?code={POLE_CODE}", timeout=10).text
    assert phone.open().status_code == 200
    page = phone.choose("1003", WRONG)
    assert "Checking the plate" in page
    assert 'http-equiv="refresh"' in page
    page = wait_until(lambda: "Checking" not in phone.reload() and phone.page, "the check ends")
    assert "Please correct the plate" in page
    assert RIGHT not in page
    phone.press("candidates")
    assert "Order confirmed" in phone.choose("1003", "京A·12345")
    assert "Order cancelled" in phone.press("cancel")


def test_an_impossible_plate_is_shown_again_with_what_is_wrong(town: Street) -> None:
    phone = Phone(town)
    phone.open()
    page = phone.choose("1001", "<b>1234")
    assert "first character must be a province" in page
    assert "<b>1234" not in page
    assert "&lt;b&gt;1234" in page


def test_the_page_speaks_chinese_unless_asked_for_english(town: Street) -> None:
    phone = Phone(town)
    assert 'lang="zh"' in phone.get(f"{town.url}/pay", timeout=10).text
    assert "选择您的泊位" in phone.open(lang="zh").text
    wrong = phone.open(code="nowhere")
    assert wrong.status_code == 404
    assert 'role="alert"' in wrong.text


def test_an_order_page_is_for_the_phone_that_opened_it(town: Street) -> None:
    phone, other = Phone(town), Phone(town)
    phone.open()
    other.open()
    answer = other.get(f"{town.url}/pay/{phone.order_id}", timeout=10)
    assert answer.status_code == 404
    assert requests.get(f"{town.url}/pay/{phone.order_id}", timeout=10).status_code == 404


def test_dropping_the_cookie_does_not_lift_the_limit(street_with: Callable[..., Street]) -> None:
    street = street_with(pages={"terminal_token": TOKEN}, limits={"orders_per_address_per_hour": 2})
    with writing(street.cloud.engine) as connection:
        connection.execute(
            insert(credentials).values(
                credential_id="page",
                site_id=SITE,
                role="terminal",
                token_sha256=fingerprint(TOKEN),
                signing_secret="s",
                created_ms=0,
            )
        )
    assert [Phone(street).open().status_code for _ in range(3)] == [200, 200, 429]


def test_pages_are_closed_to_scripts_and_frames_of_others(town: Street) -> None:
    answer = requests.get(f"{town.url}/pay", timeout=10)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    phone = Phone(town)
    cookie = phone.open().headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert requests.get(f"{town.url}/static/page.css", timeout=10).status_code == 200


def test_without_a_terminal_of_its_own_there_is_no_page(street: Street) -> None:
    assert requests.get(f"{street.url}/pay", timeout=10).status_code == 404


def test_the_desk_shows_berths_orders_and_reviews_and_decides(town: Street) -> None:
    pole = town.enrol()
    pole.arrive("1003", WRONG, characters=(0.999,) * 6 + (0.98,))
    order_id, _ = town.order("1003", RIGHT)
    assert town.view(order_id, wait=20)["instruction"] == "review"
    desk = requests.Session()
    assert 'type="password"' in desk.get(f"{town.url}/desk", timeout=10).text
    refused = desk.post(f"{town.url}/desk/session", data={"token": town.terminal}, timeout=10)
    assert (refused.status_code, "password" in refused.text) == (403, True)
    data = {"token": town.operator, "lang": "en"}
    page = desk.post(f"{town.url}/desk/session", data=data, timeout=10).text
    review_id = re.search(r"/desk/reviews/(rev_[0-9a-f]+)", page)
    assert review_id is not None
    assert RIGHT in page  # the review's columns: the operator must see them
    assert "京A·**346" in page  # the list of berths is masked
    body = {"decision": "approve", "operator_plate": WRONG, "reason": "seen", "lang": "en"}
    page = desk.post(f"{town.url}/desk/reviews/{review_id[1]}", data=body, timeout=10).text
    assert "is not the one ordered" in page
    page = desk.post(
        f"{town.url}/desk/reviews/{review_id[1]}", data=body | {"operator_plate": RIGHT}, timeout=10
    ).text
    assert "Nothing waits for review" in page
    assert town.view(order_id)["instruction"] == "order_confirmation"
    desk.post(f"{town.url}/desk/session/end", timeout=10)
    assert 'type="password"' in desk.get(f"{town.url}/desk", timeout=10).text
