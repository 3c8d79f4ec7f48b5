"""Readers of streams, each in a thread of its own, for tests."""

import contextlib
import http.client
import json
import socket
import threading
import time
from urllib.parse import urlsplit

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
        at = urlsplit(url)
        self._path = path
        self._http = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._http.connect()
        self._socket = self._http.sock
        self._thread.start()
        self.until(lambda: self.status)
        if self.status == 200:
            self.until(lambda: "ready" in self.names)
            with self.seen:
                self.events = [each for each in self.events if each[0] != "ready"]
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):  # the server has ended it
            self._socket.shutdown(socket.SHUT_RDWR)  # ends a read that waits
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
            self._http.request("GET", self._path, headers=self._headers)
            answer = self._http.getresponse()
            if answer.status != 200:
                self.body = answer.read()
            self._note(status=answer.status)
            self._events(line.decode().rstrip("\n") for line in answer)
        except (OSError, http.client.HTTPException):
            pass  # the test left, or the server ended it
        finally:
            self._note(ended=True)
            self._http.close()

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
