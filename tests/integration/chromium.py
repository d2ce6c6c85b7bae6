"""A Chromium without a window, spoken to in the DevTools protocol over pipes: nothing to install besides it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 60.0  # that an answer may take
Event = dict[str, Any]


def find() -> str | None:
    """The browser's program: SBPGMON_CHROMIUM, or what is on PATH; None where there is none."""
    if given := os.environ.get("SBPGMON_CHROMIUM"):
        return given
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Page:
    """One tab. `events` holds all that it said of its console, its errors and its network."""

    reader: int
    writer: int
    session: str = ""
    events: list[Event] = field(default_factory=list)
    _number: int = 0
    _buffer: bytes = b""

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; raises RuntimeError where the browser refuses, TimeoutError where it is silent."""
        self._number += 1
        told = {"id": self._number, "method": method, "params": params}
        if self.session:
            told["sessionId"] = self.session
        os.write(self.writer, json.dumps(told).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            message = self._next(deadline)
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def _next(self, deadline: float) -> Event:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            read = os.read(self.reader, 1 << 20)
            if not read:
                raise RuntimeError("the browser has ended")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: Event = json.loads(message)
        return found

    def run(self, expression: str) -> Any:
        """What a JavaScript expression gives, a promise's value as well."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def open(self, url: str, width: int, height: int, *, scheme: str = "light") -> None:
        """Opens a page as a screen of that size shows it, and waits until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.send("Page.navigate", url=url)
        deadline = time.monotonic() + SECONDS
        while self.run("document.readyState") != "complete" or not self.run("location.href !== 'about:blank'"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} is not loaded")
            time.sleep(0.05)

    def screenshot(self, path: Path, *, is_whole: bool = True) -> Path:
        """A picture of the page, all of it or what is in view."""
        answer = self.send(
            "Page.captureScreenshot", format="png", captureBeyondViewport=is_whole, **_clip(self, is_whole)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        answer = self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions that nobody caught."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    details = params["exceptionDetails"]
                    found.append(str(details.get("exception", {}).get("description") or details["text"]))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    found.append(str(params["entry"]["text"]))
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                    found.append(" ".join(str(each.get("value", "")) for each in params["args"]))
        return found

    def requests(self) -> list[str]:
        """What the page asked for besides itself."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent" and event["params"].get("type") != "Document"
        ]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]


def _clip(page: Page, is_whole: bool) -> dict[str, Any]:
    if not is_whole:
        return {}
    size = page.send("Page.getLayoutMetrics")["cssContentSize"]
    return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}


@contextlib.contextmanager
def browse(program: str, folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own below `folder`, and one tab of it."""
    to_browser, writer = os.pipe()
    reader, from_browser = os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4.
    shell = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
    command = ["bash", "-c", shell, str(to_browser), str(from_browser), program, "--headless=new", "--no-sandbox",
               "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
               "--no-first-run", "--disable-component-update", "--disable-background-networking", "--disable-sync",
               f"--user-data-dir={folder / 'profile'}", "about:blank"]  # fmt: skip
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    os.close(to_browser)
    os.close(from_browser)
    try:
        page = Page(reader, writer)
        targets = page.send("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        page.session = page.send("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        yield page
    finally:
        with contextlib.suppress(Exception):
            page.session = ""
            page.send("Browser.close")
        os.close(writer)
        os.close(reader)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        if process.poll() is None:
            process.kill()
            process.wait()
