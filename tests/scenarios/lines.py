"""A line to a server that can be cut, go silent, or be slow."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Line:
    """A line to a server at a socket file or a port of this machine; it listens at a port of its own.

    ``silent`` holds everything back, ``away`` refuses who comes, ``wait_s`` delays each message.
    """

    def __init__(self, target: str | int) -> None:
        self.target, self.silent, self.away = target, threading.Event(), threading.Event()
        self.wait_s = 0.0
        self.ends: list[socket.socket] = []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.door.accept()
                if self.away.is_set():
                    near.close()
                    continue
                if isinstance(self.target, int):
                    far = socket.create_connection(("127.0.0.1", self.target))
                else:
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(self.target)
                self.ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                time.sleep(self.wait_s)
                while self.silent.is_set():
                    time.sleep(0.01)
                other.sendall(data)

    def cut(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.ends.clear()

    def well(self) -> None:
        """Let everything through again; what was on its way is lost."""
        broken = self.silent.is_set() or self.away.is_set()
        self.silent.clear()
        self.away.clear()
        self.wait_s = 0.0
        if broken:
            self.cut()

    def close(self) -> None:
        self.well()
        self.cut()
        self.door.close()
