"""Programs of known shares with which the samplers are developed; see `known_shares`.

`held_out_programs` has others of the same kinds, with which no sampler may be tuned.
"""

import asyncio
import hashlib
import os
import random
import re
import select
import socket
import tempfile
import threading
import time
import zlib

from known_shares import Program, acquire, in_threads, listed, turns_of


def _spin(turns):
    total = 0
    for i in range(turns):
        total += i & 7
    return total


_A_MS = 0.0  # turns of _spin in a millisecond, set when a program starts


def _work(ms):
    _spin(max(1, int(_A_MS * ms)))


def _begin():
    global _A_MS  # noqa: PLW0603  # the speed of this machine
    _A_MS = turns_of(0.001, _spin)


# -- tight loops


@listed
def spin_short():
    _work(20)


@listed
def spin_middle():
    _work(50)


@listed
def spin_long():
    _work(80)


def _loops(turns):
    _begin()

    def loop(turns):
        while turns.more():
            spin_short()
            spin_middle()
            spin_long()

    in_threads([loop], turns)


# -- many small calls: tasks of 0.3 to 1 ms


class _Record:
    def __init__(self, number):
        self.number = number
        self.name = f"record {number}"

    def key(self):
        return self.number & 15

    def shown(self):
        return self.name.upper()


@listed
def parse_records():
    return [_Record(number) for number in range(2_000)]


@listed
def index_records(records):
    found = {}
    for record in records:
        found.setdefault(record.key(), []).append(record)
    return found


@listed
def show_records(found):
    for records in found.values():
        for record in records:
            record.shown()
            record.key()


def _small_calls(turns):
    def loop(turns):
        while turns.more():
            show_records(index_records(parse_records()))

    in_threads([loop], turns)


# -- small tasks between calls that release the GIL


@listed
def format_lines():
    _work(0.6)


@listed
def encode_lines():
    _work(0.3)


@listed
def checksum_lines(data):
    hashlib.sha256(data).digest()


@listed
def write_lines(descriptor):
    os.write(descriptor, b"line\n")


def _small_releases(turns):
    _begin()
    data = bytes(64 << 10)

    def loop(turns):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        while turns.more():
            format_lines()
            write_lines(descriptor)
            encode_lines()
            checksum_lines(data)
        os.close(descriptor)

    in_threads([loop], turns)


# -- C calls


@listed
def match_pattern(text):
    re.findall(r"(\w+)@(\w+)\.org", text)


@listed
def sort_numbers(numbers):
    sorted(numbers)


@listed
def sum_numbers():
    sum(range(2_000_000))


@listed
def spin_between():
    _work(20)


def _holding_calls(turns):
    _begin()
    draw = random.Random(1)
    numbers = [draw.random() for _ in range(80_000)]
    text = "one two three@four.org five six " * 20_000

    def loop(turns):
        while turns.more():
            match_pattern(text)
            sort_numbers(numbers)
            sum_numbers()
            spin_between()

    in_threads([loop], turns)


@listed
def hash_buffer(data):
    hashlib.sha256(data).digest()


@listed
def compress_buffer(data):
    zlib.compress(data, 6)


@listed
def spin_after():
    _work(15)


def _releasing_calls(turns):
    _begin()
    big = os.urandom(1 << 16) * 256
    text = b"some text that repeats, some that does not " * 120_000

    def loop(turns):
        while turns.more():
            hash_buffer(big)
            compress_buffer(text)
            spin_after()

    in_threads([loop], turns)


# -- sleep and I/O


@listed
def sleep_a_while():
    time.sleep(0.012)


@listed
def work_awake():
    _work(3)


@listed
def read_pipe(descriptor):
    os.read(descriptor, 100)


@listed
def use_pipe_data():
    _work(2)


@listed
def select_sockets(sockets):
    select.select(sockets, [], [], 0.03)


@listed
def receive_message(connection):
    connection.recv(100)


@listed
def sync_file(descriptor):
    os.write(descriptor, bytes(4096))
    os.fsync(descriptor)


def _waits(turns):  # noqa: C901  # one short function for each thread
    _begin()
    reading, writing = os.pipe()
    left, right = socket.socketpair()
    silent, other = socket.socketpair()

    def sleeper(turns):
        while turns.more():
            sleep_a_while()
            work_awake()
        os.write(writing, b"end")
        right.send(b"end")

    def feeder(turns):
        while turns.more():
            time.sleep(0.02)
            os.write(writing, b"data")
            right.send(b"message")

    def reader(turns):
        while turns.more():
            read_pipe(reading)
            use_pipe_data()

    def selector(turns):
        while turns.more():
            select_sockets([silent])

    def receiver(turns):
        while turns.more():
            receive_message(left)

    def syncer(turns):
        with tempfile.TemporaryFile() as file:
            while turns.more():
                sync_file(file.fileno())
                os.lseek(file.fileno(), 0, os.SEEK_SET)
                _pause(0.01)

    in_threads([sleeper, feeder, reader, selector, receiver, syncer], turns)
    for one in (left, right, silent, other):
        one.close()
    os.close(reading)
    os.close(writing)


def _pause(seconds):
    time.sleep(seconds)


# -- locks


@listed
def wait_for_counter(lock):
    acquire(lock)


@listed
def hold_counter():
    _work(5)


@listed
def store_counter():
    time.sleep(0.003)


@listed
def wait_for_file(lock):
    acquire(lock)


@listed
def hold_file():
    time.sleep(0.004)


@listed
def rest_between():
    time.sleep(0.006)


def _locks(turns):
    _begin()
    counter, file = threading.Lock(), threading.Lock()

    def count(turns):
        while turns.more():
            wait_for_counter(counter)
            hold_counter()
            store_counter()
            counter.release()
            rest_between()

    def write(turns):
        while turns.more():
            wait_for_file(file)
            hold_file()
            file.release()
            rest_between()

    in_threads([count] * 3 + [write] * 4, turns)


# -- asyncio


@listed
def decode_event():
    _work(0.5)


@listed
def update_state():
    _work(1.5)


@listed
def emit_event():
    _work(0.25)


async def _events(turns, seed):
    draw = random.Random(seed)
    while turns.more():
        await asyncio.sleep(draw.uniform(0.05, 0.25))
        decode_event()
        await asyncio.sleep(0)
        update_state()
        await asyncio.sleep(0.01)
        emit_event()


@listed
def run_events(turns):
    async def main():
        await asyncio.gather(*(_events(turns, seed) for seed in range(40)))

    asyncio.run(main())


def _asyncio(turns):
    _begin()
    run_events(turns)


# -- threads


@listed
def crunch_orders():
    _work(4)


@listed
def crunch_prices():
    _work(12)


@listed
def crunch_stock():
    _work(1)


@listed
def crunch_totals():
    _work(30)


def _four_threads(turns):
    _begin()
    pairs = [
        (crunch_orders, crunch_prices),
        (crunch_stock, crunch_orders),
        (crunch_totals, crunch_stock),
        (crunch_prices, crunch_totals),
    ]

    def loop_of(first, second):
        def loop(turns):
            while turns.more():
                first()
                second()

        return loop

    in_threads([loop_of(*pair) for pair in pairs], turns)


@listed
def await_turn(draw):
    time.sleep(draw.uniform(0.06, 0.24))


@listed
def serve_small():
    _work(0.4)


@listed
def serve_large():
    _work(1.6)


@listed
def digest_result(data):
    hashlib.sha256(data).digest()


def _forty_threads(turns):
    _begin()
    data = bytes(1 << 19)

    def loop_of(seed):
        draw = random.Random(seed)

        def loop(turns):
            while turns.more():
                await_turn(draw)
                serve_small()
                serve_large()
                digest_result(data)

        return loop

    in_threads([loop_of(seed) for seed in range(40)], turns)


# -- gevent


@listed
def decode_packet():
    _work(0.8)


@listed
def route_packet():
    _work(2.0)


@listed
def encode_packet():
    _work(0.4)


@listed
def run_hub(turns):
    import gevent

    def serve(seed):
        draw = random.Random(seed)
        while turns.more():
            gevent.sleep(draw.uniform(0.05, 0.25))
            decode_packet()
            gevent.sleep(0)
            route_packet()
            gevent.sleep(0.01)
            encode_packet()

    gevent.joinall([gevent.spawn(serve, seed) for seed in range(30)])


def _gevent(turns):
    _begin()
    run_hub(turns)


# -- a web service


@listed
def receive_request(connection):
    return connection.recv(4096)


@listed
def parse_request():
    _work(0.4)


@listed
def query_database():
    time.sleep(0.003)


@listed
def render_page():
    _work(2)


@listed
def digest_page(page):
    return hashlib.sha256(page).hexdigest()


@listed
def write_access_log(lock, descriptor):
    acquire(lock)
    os.write(descriptor, b"GET /page 200\n")
    lock.release()


@listed
def send_response(connection, tag):
    body = tag.encode() * 60
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def _web(turns):
    _begin()
    page = bytes(1 << 19)
    lock = threading.Lock()
    descriptor = os.open(os.devnull, os.O_WRONLY)

    def serve(connection):
        with connection:
            while receive_request(connection):
                parse_request()
                query_database()
                render_page()
                write_access_log(lock, descriptor)
                send_response(connection, digest_page(page))

    listener = socket.create_server(("127.0.0.1", 0))
    turns.port = listener.getsockname()[1]
    listener.settimeout(0.2)
    threads = []
    while turns.more():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threads.append(threading.Thread(target=serve, args=(connection,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    listener.close()
    os.close(descriptor)


PROGRAMS = (
    Program(
        "tight loops",
        "coarse",
        _loops,
        ("spin_short", "spin_middle", "spin_long"),
        one_thread=True,
    ),
    Program(
        "small calls",
        "fine",
        _small_calls,
        ("parse_records", "index_records", "show_records"),
        one_thread=True,
    ),
    Program(
        "small tasks, GIL released",
        "fine",
        _small_releases,
        ("format_lines", "encode_lines", "checksum_lines", "write_lines"),
        one_thread=True,
    ),
    Program(
        "C calls that hold the GIL",
        "coarse",
        _holding_calls,
        ("match_pattern", "sort_numbers", "sum_numbers", "spin_between"),
        holds_gil=True,
        one_thread=True,
    ),
    Program(
        "C calls that release it",
        "coarse",
        _releasing_calls,
        ("hash_buffer", "compress_buffer", "spin_after"),
        one_thread=True,
    ),
    Program(
        "sleep and I/O",
        "coarse",
        _waits,
        (
            *("sleep_a_while", "work_awake", "read_pipe", "use_pipe_data"),
            *("select_sockets", "receive_message", "sync_file"),
        ),
        other_waits=(
            *("sleep_a_while", "read_pipe", "select_sockets", "receive_message", "sync_file"),
        ),
        busy=0,
    ),
    Program(
        "locks",
        "locks",
        _locks,
        (
            *("wait_for_counter", "hold_counter", "store_counter"),
            *("wait_for_file", "hold_file", "rest_between"),
        ),
        other_waits=("store_counter", "hold_file", "rest_between"),
    ),
    Program(
        "asyncio, 40 tasks",
        "fine",
        _asyncio,
        ("decode_event", "update_state", "emit_event", "run_events"),
        other_waits=("run_events",),
        rest="run_events",
        one_thread=True,
    ),
    Program(
        "4 threads",
        "coarse",
        _four_threads,
        ("crunch_orders", "crunch_prices", "crunch_stock", "crunch_totals"),
        busy=4,
    ),
    Program(
        "40 threads",
        "fine",
        _forty_threads,
        ("await_turn", "serve_small", "serve_large", "digest_result"),
        other_waits=("await_turn",),
        idle=("await_turn",),
        busy=4,
    ),
    Program(
        "gevent, 30 greenlets",
        "fine",
        _gevent,
        ("decode_packet", "route_packet", "encode_packet", "run_hub"),
        other_waits=("run_hub",),
        rest="run_hub",
        one_thread=True,
        needs="gevent",
    ),
    Program(
        "web service",
        "web",
        _web,
        (
            *("receive_request", "parse_request", "query_database", "render_page"),
            *("digest_page", "write_access_log", "send_response"),
        ),
        other_waits=("receive_request", "query_database", "send_response"),
        idle=("receive_request",),
        busy=2,
        load=(8, 0.04),
    ),
)
