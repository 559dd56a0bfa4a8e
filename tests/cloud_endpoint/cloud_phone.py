"""A driver's phone for the tests of the pages, without scripts; and what gives a street its page."""

import re

import requests
from cloud_street import POLE_CODE, SITE, Street
from sqlalchemy import insert

from cloud_endpoint.base.ids import fingerprint
from cloud_endpoint.database.engine import writing
from cloud_endpoint.database.tables import credentials

PAGE_TOKEN = "page.0123456789abcdef"


def add_page(street: Street, site_id: str = SITE, token: str = PAGE_TOKEN) -> None:
    """Make the terminal that the page orders as; its settings name the token."""
    with writing(street.cloud.engine) as connection:
        connection.execute(
            insert(credentials).values(
                credential_id=token.partition(".")[0],
                site_id=site_id,
                role="terminal",
                token_sha256=fingerprint(token),
                signing_secret="s",
                created_ms=0,
            )
        )


class Phone(requests.Session):
    """A browser without scripts: what it needs is in the page."""

    def __init__(self, street: Street) -> None:
        super().__init__()
        self.street = street
        self.page = ""
        self.order_id = ""

    def open(self, code: str = POLE_CODE, lang: str = "en") -> requests.Response:
        first = self.get(f"{self.street.url}/pay?code={code}&lang={lang}", timeout=10)
        return self.start(self.once_of(first.text), code, lang)

    def start(self, once: str, code: str = POLE_CODE, lang: str = "en") -> requests.Response:
        body = {"code": code, "lang": lang, "once": once}
        answer = self.post(f"{self.street.url}/pay", data=body, timeout=10)
        self._take(answer)
        return answer

    @staticmethod
    def once_of(page: str) -> str:
        found = re.search(r'name="once" value="([0-9a-f]{32})"', page)
        assert found is not None
        return found[1]

    def tokens(self) -> dict[str, str]:
        found = re.findall(
            r'name="berth_token" value="([^"]+)" required[^>]*><span>([^<]+)</span>', self.page
        )
        return {number: token for token, number in found}

    def choose(self, berth_no: str, plate: str) -> str:
        return self.submit(self.tokens()[berth_no], plate)

    def submit(self, token: str, plate: str) -> str:
        body = {"berth_token": token, "plate": plate, "minutes": "60", "lang": "en"}
        return self._take(self.post(f"{self.street.url}/pay/{self.order_id}/submit", data=body, timeout=10))

    def press(self, action: str, **more: str) -> str:
        url = f"{self.street.url}/pay/{self.order_id}/{action}"
        return self._take(self.post(url, data={"lang": "en", **more}, timeout=10))

    def reload(self) -> str:
        return self._take(self.get(f"{self.street.url}/pay/{self.order_id}?lang=en", timeout=10))

    def _take(self, answer: requests.Response) -> str:
        self.page = answer.text
        found = re.search(r"/pay/(ord_[0-9a-f]+)/", answer.text)
        self.order_id = found[1] if found else self.order_id
        return self.page
