"""The pages in a real browser, on a phone's screen: what a driver and an operator see, tap and hear.

With EDGED_SCREENSHOTS=folder the pages are kept there as pictures.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import DESKTOP, Browser, Tab, browser, chromium
from cloud_street import POLE_CODE, RIGHT, WRONG, Street

from cloud_endpoint.database.engine import open_engine
from cloud_endpoint.database.schema import migrate
from cloud_endpoint.web.calls import operators

SCREENSHOTS = os.environ.get("EDGED_SCREENSHOTS")


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests; each has tabs with cookies of their own."""
    if chromium() is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SQLite only: without a browser, the pages are tested on both."""
    url = f"sqlite:///{tmp_path_factory.mktemp('cloud')}/cloud.db"
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    return url


def keep(tab: Tab, name: str) -> None:
    """Nothing scrolls sideways, and nothing comes from elsewhere."""
    assert tab.js("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
    sources = tab.js("performance.getEntriesByType('resource').map(entry => new URL(entry.name).origin)")
    assert set(sources) <= {tab.js("location.origin")}
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        tab.picture(Path(SCREENSHOTS) / f"{name}.png")


def begin(tab: Tab, town: Street, lang: str) -> None:
    tab.open(f"{town.url}/pay?code={POLE_CODE}&lang={lang}")
    keep(tab, f"start-{lang}")
    tab.go("button.go")


def enter(tab: Tab, plate: str) -> None:
    """Tap a plate on the page's own keyboard."""
    for letter in plate:
        tab.tap("#keys button", letter)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_driver_orders_on_a_phone_corrects_the_plate_and_is_confirmed(
    town: Street, chrome: Browser, lang: str
) -> None:
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    words = {
        "zh": ("正在核对车牌", "请修改车牌号码", "订单已确认"),
        "en": ("Checking", "correct the plate", "confirmed"),
    }[lang]
    with chrome.tab() as phone:
        begin(phone, town, lang)
        assert phone.js("document.documentElement.lang").startswith(lang)
        phone.tap(".kerb label", "1003")
        enter(phone, WRONG)
        keep(phone, f"order-{lang}")
        phone.go("#order button.go")
        phone.until("document.getElementById('told').dataset.state === 'plate_modification'")
        phone.shows(words[1])
        assert phone.js("document.querySelector('.kerb input:checked + span').innerText") == "1003"
        assert RIGHT not in str(phone.js("document.documentElement.outerHTML"))
        keep(phone, f"modification-{lang}")
        phone.tap("#keys button", "⌫")
        phone.tap("#keys button", RIGHT[-1])
        phone.go("#order button.go")
        phone.shows(words[2])
        keep(phone, f"confirmed-{lang}")


def test_a_pending_order_is_told_as_soon_as_the_pole_has_read(town: Street, chrome: Browser) -> None:
    pole = town.enrol(reachable=False)
    with chrome.tab() as phone:
        begin(phone, town, "zh")
        phone.tap(".kerb label", "1002")
        enter(phone, RIGHT)
        phone.go("#order button.go")
        phone.shows("正在核对车牌")
        keep(phone, "pending-zh")
        pole.arrive("1002", RIGHT)
        phone.shows("订单已确认")


def test_the_plate_keyboard_knows_provinces_letters_and_green_plates(town: Street, chrome: Browser) -> None:
    with chrome.tab() as phone:
        begin(phone, town, "zh")
        shown = "[...document.querySelectorAll('#keys button')].map(b => b.innerText).join('')"
        assert phone.js(shown).startswith("京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新")
        keep(phone, "provinces-zh")
        enter(phone, "沪")
        assert "1" not in phone.js(shown)
        enter(phone, "A")
        assert "O" not in phone.js(shown)
        assert "I" not in phone.js(shown)
        enter(phone, "D12345")
        assert phone.js("document.querySelector('.plate-frame').classList.contains('green')")
        assert phone.js("document.getElementById('plate').value") == "沪AD12345"
        enter(phone, "6")  # there is no ninth
        assert phone.js("document.getElementById('plate').value") == "沪AD12345"
        keep(phone, "green-zh")
        for _ in range(8):
            phone.tap("#keys button", "⌫")
        phone.tap("#keys button", "军警使")
        enter(phone, "使")
        assert phone.js("document.getElementById('plate').value") == "使"
        phone.js("document.getElementById('plate').focus()")
        phone.type("1·23456")  # a real keyboard, or one pasted
        assert phone.js("document.getElementById('plate').value") == "使123456"


def test_everything_on_the_page_can_be_heard(town: Street, chrome: Browser) -> None:
    with chrome.tab() as phone:
        begin(phone, town, "en")
        names = phone.names()
        assert ("radio", "1001") in names
        assert ("radio", "1 hour") in names
        assert ("textbox", "2. Plate") in names
        assert ("button", "delete one character") in names
        assert ("button", "Send the order") in names
        assert all(name for _, name in names)
        assert phone.js(
            "[...document.querySelectorAll('button, .kerb label, a')].every(e => e.offsetHeight >= 24)"
        )


def test_back_reload_and_two_taps_do_no_harm(town: Street, chrome: Browser) -> None:
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    with chrome.tab() as phone:
        phone.open(f"{town.url}/pay?code={POLE_CODE}&lang=en")
        phone.js("const f = document.forms[0]; f.requestSubmit(); f.requestSubmit()")
        phone.until("!!document.querySelector('.kerb')")
        address = phone.js("location.href")
        phone.open(address)  # loaded again: the same berths, and no offer spent
        phone.tap(".kerb label", "1003")
        enter(phone, RIGHT)
        phone.js("const g = document.getElementById('order'); g.requestSubmit(); g.requestSubmit()")
        phone.until("!!document.getElementById('told')")
        phone.shows("Order confirmed")
        phone.js("history.back()")
        phone.until("document.readyState === 'complete'")
        phone.open(address)
        phone.shows("Order confirmed")
        assert len(operators.desk(town.cloud, town.operator).orders) == 1


def test_without_scripts_the_whole_way_works(town: Street, chrome: Browser) -> None:
    pole = town.enrol()
    pole.arrive("1003", RIGHT)
    with chrome.tab(scripts=False) as phone:
        phone.open(f"{town.url}/pay?code={POLE_CODE}&lang=zh")
        phone.go("button.go")
        phone.tap(".kerb label", "1003")
        phone.tap("#plate")
        phone.type(WRONG)
        keep(phone, "order-without-scripts")
        phone.go("#order button.go")
        phone.shows("请修改车牌号码")  # it looked again by itself
        phone.js("document.getElementById('plate').value = ''")
        phone.tap("#plate")
        phone.type(RIGHT)
        phone.go("#order button.go")
        phone.shows("订单已确认")


def test_a_wrong_plate_and_a_wrong_code_are_told_where_they_are(town: Street, chrome: Browser) -> None:
    with chrome.tab() as phone:
        phone.open(f"{town.url}/pay?code=nowhere&lang=zh")
        phone.go("button.go")
        phone.shows("没有找到这个灯杆编号")
        keep(phone, "unknown-code-zh")
        phone.js(f"document.getElementById('code').value = '{POLE_CODE.lower()}'")
        phone.go("button.go")
        phone.tap(".kerb label", "1001")
        enter(phone, "沪A123")
        phone.go("#order button.go")
        phone.shows("没有这样的车牌")
        assert phone.js("document.querySelector('.slots').innerText").replace("\n", "").startswith("沪A123")
        keep(phone, "impossible-zh")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_an_operator_decides_a_review_with_the_picture_in_sight(
    town: Street, chrome: Browser, lang: str
) -> None:
    pole = town.enrol(reachable=False)
    picture = cv2.imencode(".jpg", np.full((90, 160, 3), 128, np.uint8))[1].tobytes()
    pole.picture_sha256 = sha256(picture).hexdigest()
    pole.arrive("1001", "沪C99999")
    pole.arrive("1003", WRONG, characters=(0.999,) * 6 + (0.98,))
    town.order("1001", "沪C99999", account="driver-2")
    order_id, _ = town.order("1003", RIGHT)
    for _ in range(3):  # three pictures are taken before a human is asked
        pole.answer_carried(pole.sync())
    assert town.view(order_id, wait=5)["instruction"] == "review"
    assert pole.put_picture(picture).status_code == 204
    with chrome.tab(DESKTOP) as desk:
        desk.open(f"{town.url}/desk?lang={lang}")
        keep(desk, f"sign-in-{lang}")
        desk.tap("#token")
        desk.type(town.operator)
        desk.go("button.go")
        keep(desk, f"desk-{lang}")
        assert desk.until("document.querySelector('.review img').naturalWidth") == 160
        assert desk.js("[...document.querySelectorAll('.plates td')].map(d => d.innerText)") == [
            WRONG,
            RIGHT,
            "–",
        ]
        assert desk.js("document.querySelectorAll('.berths li.occupied').length") == 2
        assert all(name for _, name in desk.names())
        desk.tap(".review input[name=operator_plate]")
        desk.type(RIGHT)
        desk.tap(".review input[name=reason]")
        desk.type("clear in the picture")
        desk.go("button[value=approve]")
        assert desk.js("document.querySelectorAll('.review').length") == 0
        pole.arrive("1005", "京B22222")
        desk.until("document.querySelectorAll('.berths li.occupied').length === 3")  # by itself
        keep(desk, f"desk-decided-{lang}")
    assert town.view(order_id)["instruction"] == "order_confirmation"
    with chrome.tab() as phone:
        phone.open(f"{town.url}/desk?lang={lang}")
        phone.tap("#token")
        phone.type(town.operator)
        phone.go("button.go")
        keep(phone, f"desk-phone-{lang}")
