"""The driver's page and the operator's desk without scripts: forms, cookies, redirects."""

import json
import re
from collections.abc import Callable

import pytest
import requests
from cloud_phone import PAGE_TOKEN, Phone, add_page
from cloud_street import POLE_CODE, RIGHT, SITE, WRONG, Street, registry_of
from sqlalchemy import select

from cloud_endpoint.access.signatures import sign
from cloud_endpoint.database.engine import reading, writing
from cloud_endpoint.database.tables import orders
from cloud_endpoint.ordering.states import OrderState
from cloud_endpoint.street.registry import RegistryFile, load_registry
from cloud_endpoint.web.calls.driver_page import network_of
from cloud_endpoint.web.pages.words import CHINESE, ENGLISH
from tests.waiting import until


def test_a_driver_pays_from_a_phone_and_corrects_a_typing_error(town: Street) -> None:
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    phone = Phone(town)
    assert POLE_CODE in phone.get(f"{town.url}/pay?code={POLE_CODE}", timeout=10).text
    assert phone.open().status_code == 200
    page = phone.choose("1003", WRONG)
    assert "Checking the plate" in page
    assert 'http-equiv="refresh"' in page
    page = until(lambda: "Checking" not in phone.reload() and phone.page, "the check ends")
    assert "Please correct the plate" in page
    assert RIGHT not in page
    assert f'value="{WRONG}"' in page  # what the driver entered, to be corrected
    assert "Order confirmed" in phone.choose("1003", "京A·12345")
    assert "Order cancelled" in phone.press("cancel")


def test_an_impossible_plate_is_shown_again_with_what_is_wrong(town: Street) -> None:
    phone = Phone(town)
    phone.open()
    page = phone.choose("1001", "<b>1234")
    assert "first character must be a province" in page
    assert page.count(" checked") == 2  # the berth and the duration are still chosen
    assert "<b>1234" not in page
    assert "&lt;b&gt;1234" in page


def test_the_page_speaks_chinese_unless_asked_for_english(town: Street) -> None:
    phone = Phone(town)
    assert 'lang="zh-CN"' in phone.get(f"{town.url}/pay", timeout=10).text
    assert "选择您的泊位" in phone.open(lang="zh").text
    english = phone.get(f"{town.url}/pay", headers={"Accept-Language": "en-GB,en"}, timeout=10)
    assert 'lang="en"' in english.text
    wrong = phone.open(code="nowhere", lang="zh")
    assert "没有找到这个灯杆编号" in wrong.text
    assert wrong.status_code == 404
    assert 'role="alert"' in wrong.text


def test_an_order_page_is_for_the_phone_that_opened_it(town: Street) -> None:
    phone, other = Phone(town), Phone(town)
    phone.open()
    other.open()
    answer = other.get(f"{town.url}/pay/{phone.order_id}", timeout=10)
    assert answer.status_code == 404
    assert requests.get(f"{town.url}/pay/{phone.order_id}", timeout=10).status_code == 404


def test_dropping_the_cookie_does_not_lift_the_limit(town_with: Callable[..., Street]) -> None:
    town = town_with(limits={"orders_per_address_per_hour": 2})
    assert [Phone(town).open().status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("not an address", "unknown"),
    ],
)
def test_an_address_is_counted_as_its_network(address: str, counted_as: str) -> None:
    assert network_of(address) == counted_as


def test_pages_are_closed_to_scripts_and_frames_of_others(town: Street) -> None:
    answer = requests.get(f"{town.url}/pay", timeout=10)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie  # the phone's camera is another site, and leads here
    assert requests.get(f"{town.url}/static/page.css", timeout=10).status_code == 200


def test_a_form_of_another_site_is_refused(town: Street) -> None:
    phone = Phone(town)
    phone.open()
    token = phone.tokens()["1001"]
    body = {"berth_token": token, "plate": RIGHT, "minutes": "60"}
    for path in (
        "",
        f"/{phone.order_id}/submit",
        f"/{phone.order_id}/cancel",
        f"/{phone.order_id}/candidates",
    ):
        refused = phone.post(
            f"{town.url}/pay{path}", data=body, headers={"Sec-Fetch-Site": "cross-site"}, timeout=10
        )
        assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[1]) == (403, "cross-site")
    phone.reload()
    assert phone.tokens()["1001"] == token


def test_a_form_sent_twice_opens_one_order_and_a_reload_spends_nothing(town: Street) -> None:
    phone = Phone(town)
    once = phone.once_of(phone.get(f"{town.url}/pay?code={POLE_CODE}", timeout=10).text)
    phone.start(once)
    first, tokens = phone.order_id, phone.tokens()
    phone.start(once)
    assert (phone.order_id, phone.tokens()) == (first, tokens)
    for _ in range(6):
        phone.reload()
        assert phone.tokens() == tokens
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    assert "Order confirmed" in phone.submit(tokens["1003"], RIGHT)
    assert "Order confirmed" in phone.submit(tokens["1003"], RIGHT)
    assert "Order confirmed" in phone.submit(tokens["1001"], WRONG)  # an old page from the history
    assert "Order cancelled" in phone.press("cancel")
    assert "Order cancelled" in phone.press("cancel")


def test_an_empty_form_is_told_what_is_missing(town: Street) -> None:
    phone = Phone(town)
    phone.open()
    assert "Choose your berth first" in phone.submit("", RIGHT)
    assert 'role="alert"' in phone.submit(phone.tokens()["1001"], "")
    assert "Please choose yours again" in phone.submit("x" * 43, RIGHT)
    assert phone.tokens()


def test_other_berths_are_shown_on_request_within_the_orders_bound(town: Street) -> None:
    phone = Phone(town)
    phone.open()
    pages = [phone.press("candidates") for _ in range(4)]
    assert "You have seen all berths" in pages[-1]
    assert "You have seen all berths" not in pages[-2]
    assert len(phone.tokens()) == 5


def test_an_objection_goes_to_the_desk(town: Street) -> None:
    phone = Phone(town)
    phone.open()
    phone.choose("1003", RIGHT)
    phone.press("cancel")
    assert "looks at the picture again" in phone.press("appeal", reason="it is my car")
    desk = requests.Session()
    data = {"token": town.operator, "lang": "en"}
    page = desk.post(f"{town.url}/desk/session", data=data, timeout=10).text
    assert "it is my car" in page
    assert "objection" in page


def test_each_street_has_its_page_and_keeps_its_orders(street_with: Callable[..., Street]) -> None:
    street = street_with(pages={"terminal_tokens": f"{PAGE_TOKEN} other.0123456789abcdef"})
    with writing(street.cloud.engine) as connection:
        other = RegistryFile.model_validate(
            registry_of() | {"sites": [{"site_id": "other", "name": "Other"}]}
        )
        berths = [
            berth.model_copy(update={"site_id": "other", "pole_code": "X9"}) for berth in other.berths[:3]
        ]
        load_registry(connection, other.model_copy(update={"berths": tuple(berths)}), street.clock())
    add_page(street)
    add_page(street, "other", "other.0123456789abcdef")
    phone = Phone(street)
    phone.open("x9")
    assert len(phone.tokens()) == 3
    phone.choose("1002", RIGHT)
    assert "Checking the plate" in phone.reload()
    phone.open()
    assert len(phone.tokens()) == 5
    with reading(street.cloud.engine) as connection:
        sites = connection.execute(select(orders.c.site_id).order_by(orders.c.created_ms)).scalars().all()
    assert sites == ["other", SITE]


def test_both_languages_say_everything() -> None:
    for key, value in CHINESE.items():
        if isinstance(value, dict) and key != "problems":
            assert value.keys() == ENGLISH[key].keys(), key
    assert CHINESE.keys() == ENGLISH.keys()
    assert ENGLISH["problems"].keys() <= CHINESE["problems"].keys()
    assert CHINESE["states"].keys() == {str(state) for state in OrderState}


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
    body = {"decision": "approve", "operator_plate": WRONG, "reason": "", "lang": "en"}
    page = desk.post(f"{town.url}/desk/reviews/{review_id[1]}", data=body, timeout=10).text
    assert "Write a reason" in page
    body["reason"] = "seen"
    page = desk.post(f"{town.url}/desk/reviews/{review_id[1]}", data=body, timeout=10).text
    assert "is not the one ordered" in page
    page = desk.post(
        f"{town.url}/desk/reviews/{review_id[1]}", data=body | {"operator_plate": RIGHT}, timeout=10
    ).text
    assert "Nothing waits for review" in page
    assert town.view(order_id)["instruction"] == "order_confirmation"
    desk.post(f"{town.url}/desk/session/end", timeout=10)
    assert 'type="password"' in desk.get(f"{town.url}/desk", timeout=10).text


def test_whoever_orders_again_for_a_paid_stay_is_led_to_the_order_to_be_paid_longer(town: Street) -> None:
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    phone = Phone(town)
    phone.open()
    assert "Order confirmed" in phone.choose("1003", RIGHT)
    paid = phone.order_id
    body = {"payment_id": "payment-1", "order_id": paid, "amount_fen": 500}
    text = json.dumps(body | {"paid_at": town.clock.now().isoformat()}).encode()
    header = {"Edged-Signature": sign(text, "s", town.clock() // 1000)}
    url = f"{town.url}/v1/callbacks/page/payments"
    assert requests.post(url, data=text, headers=header, timeout=10).json()["outcome"] == "applied"
    assert "Paid until" in phone.reload()
    assert "pay for this order again" in phone.page
    phone.open()
    page = phone.choose("1003", RIGHT)
    assert "is paid already" in page
    assert f'href="/pay/{paid}?' in page
    stranger = Phone(town)
    stranger.open()
    page = stranger.choose("1003", RIGHT)
    assert "is paid already" in page
    assert paid not in page
