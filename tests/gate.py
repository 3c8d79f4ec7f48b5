"""A gate before a server: closed and opened again, while the server keeps its state."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Gate:
    """Passes connections on to a server; closed, it ends them and refuses new ones.

    For a server that keeps nothing over its own end, as a service of AWS would.
    """

    def __init__(self, url):
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._sockets = set()
        self._lock = threading.Lock()
        self._threads = []
        self._is_open = False
        self.port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self):
        """Pass connections on, at the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self.port = listener.getsockname()[1]
        self._is_open = True
        self._sockets.add(listener)
        self._run(self._accept, listener)

    def close(self):
        """Break every connection off, in the middle of what it carries."""
        with self._lock:
            self._is_open = False
            for each in self._sockets:
                with contextlib.suppress(OSError):  # it has ended by itself
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()
        for each in self._sockets:
            each.close()
        self._sockets.clear()

    def _run(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener):
        """Connect each connection with one to the server."""
        while True:
            try:
                here, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.add(here)
                if not self._is_open:
                    return
                there = socket.create_connection(self._target)
                self._sockets.add(there)
                self._run(self._copy, here, there)
                self._run(self._copy, there, here)

    def _copy(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
