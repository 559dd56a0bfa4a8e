"""A real browser for the tests: Debian's Chromium, spoken to over a pipe (no driver, no port)."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PATIENCE_S = 20.0
_MIDDLE = """(() => {
  for (const element of document.querySelectorAll(%s)) {
    if (!element.innerText.trim().startsWith(%s)) continue;
    element.scrollIntoView({block: "center", behavior: "instant"});
    const box = element.getBoundingClientRect();
    if (box.width && box.height) return [box.x + box.width / 2, box.y + box.height / 2];
  }
})()"""


def chromium() -> str | None:
    """Return where Chromium is, if it is."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class BrowserError(AssertionError):
    """The browser could not do what was asked."""


class Browser:
    """One Chromium process; commands and answers are JSON between zero bytes."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to = to_browser
        self._from = from_browser
        self._number = 0
        self._buffer = b""

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], max(0, deadline - time.monotonic()))[0]:
                raise BrowserError(f"no answer within {PATIENCE_S} s")
            more = os.read(self._from, 1 << 16)
            if not more:
                raise BrowserError("the browser ended")
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    @contextmanager
    def tab(self, screen: dict[str, Any] = PHONE, *, scripts: bool = True) -> Iterator["Tab"]:
        """A tab with cookies of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        tab.call("Page.enable")
        tab.call("Emulation.setDeviceMetricsOverride", **screen)
        tab.call("Emulation.setTouchEmulationEnabled", enabled=screen["mobile"])
        tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        try:
            yield tab
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)


class Tab:
    """A page as a person uses it: sees, taps, types."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def open(self, url: str) -> None:
        error = self.call("Page.navigate", url=url).get("errorText")
        assert error is None, f"{url}: {error}"
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str) -> Any:
        """Return the value of an expression in the page; works with the page's own scripts off, too."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression: str, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true, over page loads; return it."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if value := self.js(expression):
                    return value
            except BrowserError:
                pass  # the page is just being replaced
            if time.monotonic() > deadline:
                raise BrowserError(f"waited {timeout_s} s in vain: {expression}\n{self.text()}")
            time.sleep(0.05)

    def text(self) -> str:
        return str(self.js("document.body.innerText"))

    def shows(self, text: str) -> None:
        self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def tap(self, selector: str, text: str = "") -> None:
        """Touch the middle of the first visible element that has this text."""
        found = self.js(_MIDDLE % (json.dumps(selector), json.dumps(text)))
        if found is None:
            raise BrowserError(f"nothing to tap: {selector} {text!r}\n{self.text()}")
        x, y = found
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def go(self, selector: str, text: str = "") -> None:
        """Tap what leads to another page, and wait for that."""
        self.js("window.here = true")
        self.tap(selector, text)
        self.until("window.here === undefined && document.readyState === 'complete'")

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def names(self) -> list[tuple[str, str]]:
        """Return what a screen reader finds: role and name of everything that can be used."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        usable = {"button", "link", "textbox", "radio", "combobox"}
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored") and node.get("role", {}).get("value") in usable
        ]

    def picture(self, file: Path) -> None:
        """Keep a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Run Chromium with an empty profile; ends it afterwards."""
    program = chromium()
    assert program is not None
    (commands, to_browser), (from_browser, answers) = os.pipe(), os.pipe()
    # Above 4, so that putting one in its place never closes the other.
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers)]
    pid = os.posix_spawn(
        program,
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, high[0], 3),  # Chromium reads commands from 3
            (os.POSIX_SPAWN_DUP2, high[1], 4),  # and answers on 4
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )
    for end in (commands, answers, *high):
        os.close(end)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)  # it ends when nobody speaks to it any more
        _wait_for(pid)
        os.close(from_browser)


def _wait_for(pid: int) -> None:
    deadline = time.monotonic() + 10
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)
