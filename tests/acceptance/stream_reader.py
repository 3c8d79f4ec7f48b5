"""Readers of streams, each in a thread of its own, for tests."""

import json
import threading
import time

import httpx2

WAIT = 10.0


class Reader:
    """Follows a path from the start of the block to its end."""

    def __init__(self, url, path, headers=None, after=""):
        self.events = []  # (name, data, id when it came)
        self.seen = threading.Condition()
        self.status, self.body, self.ended = 0, b"", False
        self.position = ""
        self._headers = {**(headers or {})}
        if after:
            self._headers["last-event-id"] = after
        self._url = url + path
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._client = httpx2.Client(timeout=httpx2.Timeout(30, read=60))

    def __enter__(self):
        self._thread.start()
        self.until(lambda: self.status)
        if self.status == 200:
            self.until(lambda: "ready" in self.names)
            with self.seen:
                self.events = [each for each in self.events if each[0] != "ready"]
        return self

    def __exit__(self, *error):
        self._client.close()
        self._thread.join(5)

    @property
    def names(self):
        """The names of the events that came."""
        return [name for name, _, _ in self.events]

    def data(self, name="row"):
        """Return what came with events of a name."""
        return [data for each, data, _ in self.events if each == name]

    def until(self, true, seconds=WAIT):
        """Wait until something holds, or the stream is over."""
        deadline = time.monotonic() + seconds
        with self.seen:
            while not true():
                left = deadline - time.monotonic()
                assert left > 0, (self.status, self.body, self.events)
                if self.ended:
                    assert true(), (self.status, self.body, self.events)
                self.seen.wait(min(left, 0.5))
        return self

    def _read(self):
        try:
            with self._client.stream("GET", self._url, headers=self._headers) as answer:
                if answer.status_code != 200:
                    self.body = answer.read()
                    self._note(status=answer.status_code)
                    return
                self._note(status=200)
                self._events(answer.iter_lines())
        except (httpx2.HTTPError, httpx2.StreamError, RuntimeError, OSError):
            pass  # the test left, or the server ended it
        finally:
            self._note(ended=True)

    def _events(self, lines):
        name, data = "", ""
        for line in lines:
            word, _, value = line.partition(": ")
            if word == "event":
                name = value
            elif word == "data":
                data = value
            elif word == "id":
                self.position = value
            elif not line and name:
                with self.seen:
                    self.events.append((name, json.loads(data), self.position))
                    self.seen.notify_all()
                name, data = "", ""

    def _note(self, **values):
        with self.seen:
            for name, value in values.items():
                setattr(self, name, value)
            self.seen.notify_all()
