"""A real browser for tests: Chromium without a window, over its DevTools protocol."""

import json
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import connect

from tests import machine
from tests.acceptance.operations import eventually

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may be root, or in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
)
WAIT = 20.0


class Page:
    """The one page of a browser."""

    def __init__(self, socket):
        self.events = []  # of the protocol, as they came
        self._socket = socket
        self._number = 0
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **values):
        """Call a method of the protocol. Return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        self._socket.send(json.dumps(message))
        while True:
            came = json.loads(self._socket.recv(WAIT))
            if came.get("id") == self._number:
                assert "error" not in came, came
                return came["result"]
            self.events.append(came)

    def run(self, script):
        """Evaluate JavaScript in the page. Return its value."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, url):
        """Go to an address, and wait until the page is loaded."""
        self.call("Page.navigate", url=url)
        ready = f"document.readyState === 'complete' && location.href === '{url}'"
        eventually(lambda: self.run(ready), WAIT)

    def requests(self, part):
        """Return the headers of the requests to addresses that have a part."""
        self.run("0")  # events that wait come before its answer
        asked = [
            each["params"]["request"]
            for each in self.events
            if each["method"] == "Network.requestWillBeSent"
        ]
        return [each["headers"] for each in asked if part in each["url"]]


@contextmanager
def browser(folder):
    """Start a browser until the block ends; without one the test is absent."""
    program = next((found for each in NAMES if (found := shutil.which(each))), None)
    if program is None:
        machine.absent("chromium")
    profile = Path(folder, "profile")
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_page(process, profile), max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(20)


def _page(process, profile):
    """Return the address of the page's socket, once there is one."""
    port = profile / "DevToolsActivePort"
    found = []

    def true():
        assert process.poll() is None, "the browser has ended"
        if port.exists() and (lines := port.read_text().split()):
            url = f"http://127.0.0.1:{lines[0]}/json/list"
            with urllib.request.urlopen(url, timeout=WAIT) as answer:
                found.extend(
                    each["webSocketDebuggerUrl"]
                    for each in json.load(answer)
                    if each["type"] == "page"
                )
        return found

    eventually(true, 60)
    return found[0]
