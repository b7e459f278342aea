"""Clients of a small web service, in a process of their own.

    python load_generator.py PORT CONNECTIONS THINK_S [new]

Each connection sends a request, waits for the whole response, thinks for THINK_S on average, and
repeats; with *new*, each request has a new connection. When standard input is closed, the program
prints [[second of CLOCK_MONOTONIC, latency in seconds], …] as JSON.
"""

import json
import random
import socket
import sys
import threading
import time

_REQUEST = b"GET /page/%d HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"


def _receive(connection):
    """Read one response with a Content-Length; return False if the service has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return False
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    words = head.lower().split(b"content-length:")
    left = int(words[1].split(b"\r\n")[0]) - len(body)
    while left > 0:
        more = connection.recv(65536)
        if not more:
            return False
        left -= len(more)
    return True


def _client(port, think_s, new, seed, stopping, found):
    draw = random.Random(seed)
    connection = None
    count = 0
    while not stopping.is_set():
        began = time.monotonic()
        try:
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(_REQUEST % count)
            served = _receive(connection)
        except OSError:
            return
        if served:
            found.append((began, time.monotonic() - began))
        if new or not served:
            connection.close()
            connection = None
        count += 1
        stopping.wait(draw.expovariate(1 / think_s))


def main(port, connections, think_s, new):
    """Send requests until standard input is closed; return all latencies."""
    stopping, found = threading.Event(), []
    clients = [
        threading.Thread(target=_client, args=(port, think_s, new, seed, stopping, found))
        for seed in range(connections)
    ]
    for client in clients:
        client.start()
    sys.stdin.read()
    stopping.set()
    for client in clients:
        client.join()
    return sorted(found)


if __name__ == "__main__":
    numbers = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    json.dump(main(*numbers, "new" in sys.argv), sys.stdout)
