"""A TCP proxy that forwards all data after a delay; it simulates a distant machine on loopback."""

import queue
import socket
import threading
import time
from contextlib import suppress


class DelayedProxy:
    """Listens on a free loopback port and forwards to another port, after `delay_s` each way."""

    def __init__(self, port, delay_s):
        self._target = port
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = []
        self._closed = False
        self.passed = [0, 0]  # bytes to the target, bytes from the target
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for way, (source, target) in enumerate(((near, far), (far, near))):
                waiting = queue.SimpleQueue()
                for work, end in ((self._receive, source), (self._send, target)):
                    args = (end, waiting, way)
                    self._threads.append(threading.Thread(target=work, args=args, daemon=True))
                    self._threads[-1].start()

    def _receive(self, source, waiting, way):
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            self.passed[way] += len(data)
            waiting.put((time.monotonic() + self._delay_s, data))
            if not data:
                return

    def _send(self, target, waiting, _way):
        while True:
            due, data = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return

    def close(self):
        """Close every connection. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        # close() does not end a waiting accept, shutdown() does
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._sockets):
            _shut_down(connection)
        for thread in list(self._threads):
            thread.join(10)
        for connection in self._sockets:
            connection.close()


def _shut_down(connection):
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
