"""Programs of known shares that no sampler may be tuned with; see `known_shares`.

They are of the same kinds as those of `profile_programs`, with other structures and durations. A
change that is based on their figures makes these figures worthless.
"""

import asyncio
import bz2
import hashlib
import http.server
import itertools
import json
import os
import queue
import random
import select
import socket
import sqlite3
import string
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

from known_shares import Program, acquire, in_threads, listed

# -- recursion, comprehensions, dictionaries


def _visit(depth):
    return 1 if depth == 0 else _visit(depth - 1) + _visit(depth - 1)


@listed
def walk_tree(depth):
    return _visit(depth)


@listed
def build_matrix(size):
    return [[row * column % 7 for column in range(size)] for row in range(size)]


@listed
def count_words(words):
    found = {}
    for word in words:
        found[word] = found.get(word, 0) + len(word)
    return found


def _recursion(turns):
    words = [f"word {number % 997}" for number in range(200_000)]

    def loop(turns):
        while turns.more():
            walk_tree(20)
            build_matrix(900)
            count_words(words)
            walk_tree(12)

    in_threads([loop], turns)


# -- generators, properties and methods: tasks of 0.4 to 0.9 ms


class _Point:
    __slots__ = ("_x", "_y")

    def __init__(self, x, y):
        self._x, self._y = x, y

    @property
    def norm(self):
        return self._x * self._x + self._y * self._y

    def moved(self, by):
        return _Point(self._x + by, self._y - by)


def _evens(numbers):
    for number in numbers:
        if number % 2 == 0:
            yield number


def _squares(numbers):
    for number in numbers:
        yield number * number


@listed
def drain_pipeline():
    return sum(_squares(_evens(range(7_000))))


@listed
def move_points(points):
    return [point.moved(3) for point in points]


@listed
def compare_points(points):
    return max(points, key=lambda point: point.norm)


def _generators(turns):
    points = [_Point(number % 31, number % 17) for number in range(3_000)]

    def loop(turns):
        for step in itertools.count():
            if not turns.more():
                break
            drain_pipeline()
            moved = move_points(points)
            if step % 3 == 0:
                compare_points(moved)

    in_threads([loop], turns)


# -- small C calls and files


@listed
def dump_rows(rows):
    return json.dumps(rows)


@listed
def store_rows(file, text):
    file.write(text)
    file.flush()


@listed
def split_rows(text):
    return [part.strip().partition(":") for part in text.split(",")]


@listed
def give_way():
    time.sleep(0)


def _rows_and_files(turns):
    rows = [{"id": number, "name": f"row {number}", "ok": True} for number in range(450)]

    def loop(turns):
        with tempfile.TemporaryFile("w") as file:
            while turns.more():
                text = dump_rows(rows)
                store_rows(file, text)
                file.seek(0)
                split_rows(text)
                give_way()

    in_threads([loop], turns)


# -- long C calls


@listed
def raise_power(base):
    return pow(base, 5_001)


@listed
def sort_pairs(pairs):
    return sorted(pairs, reverse=True)


@listed
def load_document(text):
    return json.loads(text)


@listed
def fill_between(size):
    found = []
    for number in range(size):
        found.append(number ^ 5)  # noqa: PERF401  # a loop in Python is what is measured
    return found


def _long_c_calls(turns):
    draw = random.Random(7)
    pairs = [(draw.randrange(1000), draw.random()) for _ in range(60_000)]
    text = json.dumps([{"key": number, "list": [number] * 6} for number in range(36_000)])
    base = 10**70 + 7

    def loop(turns):
        while turns.more():
            raise_power(base)
            sort_pairs(pairs)
            load_document(text)
            fill_between(500_000)

    in_threads([loop], turns)


@listed
def pack_bz2(data):
    return bz2.compress(data)


@listed
def unpack_zlib(data):
    return zlib.decompress(data)


@listed
def digest_blake(data):
    return hashlib.blake2b(data).digest()


@listed
def collect_sums(size):
    return {number: number * 3 for number in range(size)}


def _compressors(turns):
    draw = random.Random(3)
    text = bytes(draw.choice(b"abcdefgh \n") for _ in range(300_000))
    packed, big = zlib.compress(text * 40), bytes(1 << 24)

    def loop(turns):
        while turns.more():
            pack_bz2(text)
            unpack_zlib(packed)
            digest_blake(big)
            collect_sums(120_000)

    in_threads([loop], turns)


# -- polls, pipes and processes


@listed
def poll_socket(poller):
    poller.poll(17)


@listed
def send_ping(connection):
    connection.sendall(b"ping")


@listed
def await_pong(connection):
    connection.recv(16)


@listed
def answer_pings(connection):
    return connection.recv(16)


@listed
def await_process():
    subprocess.run([sys.executable, "-S", "-E", "-c", "pass"], check=True)


@listed
def nap_shortly():
    time.sleep(0.002)


@listed
def tally_naps():
    return sum(number & 3 for number in range(9_000))


def _polls(turns):  # noqa: C901  # one short function for each thread
    left, right = socket.socketpair()
    silent, other = socket.socketpair()

    def poll(turns):
        poller = select.poll()
        poller.register(silent, select.POLLIN)
        while turns.more():
            poll_socket(poller)

    def ping(turns):
        while turns.more():
            send_ping(left)
            await_pong(left)
        left.shutdown(socket.SHUT_WR)

    def pong(turns):
        while answer_pings(right):
            time.sleep(0.009)
            right.sendall(b"pong")

    def start(turns):
        while turns.more():
            await_process()
            time.sleep(0.05)

    def nap(turns):
        while turns.more():
            nap_shortly()
            tally_naps()

    in_threads([poll, ping, pong, start, nap], turns)
    for one in (left, right, silent, other):
        one.close()


# -- queues, recursive locks, semaphores


@listed
def get_job(jobs):
    return jobs.get()


@listed
def enter_ledger(lock):
    acquire(lock)


@listed
def book_job(count):
    return [number * 2 for number in range(count)]


@listed
def take_slot(slots):
    acquire(slots)


@listed
def use_slot():
    time.sleep(0.011)


@listed
def make_job(jobs, number):
    jobs.put(number)


@listed
def pace_jobs():
    time.sleep(0.007)


def _queues(turns):
    jobs, ledger, slots = queue.Queue(), threading.RLock(), threading.Semaphore(2)

    def produce(turns):
        number = 0
        while turns.more():
            pace_jobs()
            make_job(jobs, number)
            number += 1
        for _ in range(3):
            jobs.put(None)

    def consume(turns):
        while get_job(jobs) is not None:
            enter_ledger(ledger)
            book_job(30_000)
            ledger.release()

    def audit(turns):
        while turns.more():
            enter_ledger(ledger)
            book_job(60_000)
            pace_jobs()
            ledger.release()

    def use(turns):
        while turns.more():
            take_slot(slots)
            use_slot()
            slots.release()

    in_threads([produce, *[consume] * 3, audit, *[use] * 4], turns)


# -- asyncio with queues and an executor


@listed
def check_message():
    return [number for number in range(12_000) if number % 3]


@listed
def pack_message():
    return ",".join(map(str, range(6_000)))


@listed
def hash_in_executor(data):
    return hashlib.sha256(data).digest()


@listed
def run_pipeline(turns):
    async def source(messages, seed):
        draw = random.Random(seed)
        while turns.more():
            await asyncio.sleep(draw.expovariate(1 / 0.4))
            await messages.put(seed)

    async def worker(messages, data):
        loop = asyncio.get_running_loop()
        while True:
            if await messages.get() is None:
                break
            check_message()
            await loop.run_in_executor(None, hash_in_executor, data)
            pack_message()

    async def main():
        messages, data = asyncio.Queue(), bytes(1 << 21)
        workers = [asyncio.ensure_future(worker(messages, data)) for _ in range(20)]
        await asyncio.gather(*(source(messages, seed) for seed in range(150)))
        for _ in workers:
            await messages.put(None)
        await asyncio.gather(*workers)

    asyncio.run(main())


# -- threads


@listed
def mix_bits():
    value = 1
    for number in range(70_000):
        value = (value * 31 + number) & 0xFFFF
    return value


@listed
def list_primes():
    return [n for n in range(2, 1_800) if all(n % d for d in range(2, int(n**0.5) + 1))]


@listed
def digest_volume(data):
    return hashlib.sha512(data).digest()


@listed
def rewrite_file(descriptor, data):
    os.pwrite(descriptor, data, 0)


def _mixed_threads(turns):
    data = bytes(3 << 20)

    def mix(turns):
        while turns.more():
            mix_bits()

    def primes(turns):
        while turns.more():
            list_primes()
            mix_bits()

    def digest(turns):
        while turns.more():
            digest_volume(data)
            list_primes()

    def rewrite(turns):
        with tempfile.TemporaryFile() as file:
            while turns.more():
                rewrite_file(file.fileno(), data)
                list_primes()

    in_threads([mix, primes, digest, rewrite], turns)


@listed
def fetch_item(draw):
    time.sleep(draw.expovariate(1 / 0.06))


@listed
def score_item():
    return sorted(str(number) for number in range(2_500))


@listed
def merge_item(shared, lock):
    acquire(lock)
    for number in range(4_000):
        shared[number & 63] = number
    lock.release()


def _pool(turns):
    shared, lock = {}, threading.Lock()
    rooms = threading.Semaphore(60)

    def job(seed):
        fetch_item(random.Random(seed))
        score_item()
        merge_item(shared, lock)
        rooms.release()

    with ThreadPoolExecutor(40) as pool:
        for seed in itertools.count():
            if not turns.more():
                break
            rooms.acquire()
            pool.submit(job, seed)


# -- gevent


@listed
def build_reply():
    return "".join(chr(97 + number % 26) for number in range(9_000))


@listed
def check_reply(text):
    return sum(map(ord, text))


@listed
def run_greenlets(turns):
    import gevent
    from gevent.pool import Pool

    def answer(seed):
        gevent.sleep(random.Random(seed).expovariate(1 / 0.1))
        text = build_reply()
        gevent.sleep(0.002)
        check_reply(text)
        check_reply(text)

    pool = Pool(25)
    for seed in itertools.count():
        if not turns.more():
            break
        pool.spawn(answer, seed)
    pool.join()


# -- a web service with a thread for each request


@listed
def load_rows(database):
    return database.execute("select sum(a * b), count(distinct a) from t").fetchall()


@listed
def fill_template(template, rows):
    lines = [template.substitute(name=number, value=rows) for number in range(160)]
    return "\n".join(lines).encode()


@listed
def pack_answer(body):
    return zlib.compress(body * 5, 6)


@listed
def await_backend():
    time.sleep(0.008)


@listed
def answer_request(handler):
    rows = load_rows(handler.server.database)
    await_backend()
    body = pack_answer(fill_template(handler.server.template, rows))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer_request(self)

    def log_message(self, *words):
        pass


def _web(turns):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.template = string.Template("<p class='row'>$name: $value</p>")
    server.database = sqlite3.connect(":memory:", check_same_thread=False)
    server.database.execute("create table t (a, b)")
    rows = [(number % 100, number) for number in range(6_000)]
    server.database.executemany("insert into t values (?, ?)", rows)
    turns.port = server.server_address[1]
    server.timeout = 0.2
    while turns.more():
        server.handle_request()
    server.server_close()


PROGRAMS = (
    Program(
        "recursion and comprehensions",
        "coarse",
        _recursion,
        ("walk_tree", "build_matrix", "count_words"),
        one_thread=True,
    ),
    Program(
        "generators and methods",
        "fine",
        _generators,
        ("drain_pipeline", "move_points", "compare_points"),
        one_thread=True,
    ),
    Program(
        "small C calls and files",
        "fine",
        _rows_and_files,
        ("dump_rows", "store_rows", "split_rows", "give_way"),
        one_thread=True,
    ),
    Program(
        "long C calls",
        "coarse",
        _long_c_calls,
        ("raise_power", "sort_pairs", "load_document", "fill_between"),
        holds_gil=True,
        one_thread=True,
    ),
    Program(
        "compressors",
        "coarse",
        _compressors,
        ("pack_bz2", "unpack_zlib", "digest_blake", "collect_sums"),
        one_thread=True,
    ),
    Program(
        "polls, pipes, processes",
        "coarse",
        _polls,
        (
            *("poll_socket", "send_ping", "await_pong", "answer_pings"),
            *("await_process", "nap_shortly", "tally_naps"),
        ),
        other_waits=(
            *("poll_socket", "send_ping", "await_pong", "answer_pings"),
            *("await_process", "nap_shortly"),
        ),
        busy=0,
    ),
    Program(
        "queues and semaphores",
        "locks",
        _queues,
        (
            *("get_job", "enter_ledger", "book_job", "take_slot", "use_slot"),
            *("make_job", "pace_jobs"),
        ),
        other_waits=("use_slot", "pace_jobs"),
    ),
    Program(
        "asyncio with an executor",
        "fine",
        run_pipeline,
        ("check_message", "pack_message", "hash_in_executor", "run_pipeline"),
        other_waits=("run_pipeline",),
    ),
    Program(
        "4 threads, CPU and C calls",
        "coarse",
        _mixed_threads,
        ("mix_bits", "list_primes", "digest_volume", "rewrite_file"),
        busy=4,
    ),
    Program(
        "40 threads, a pool",
        "fine",
        _pool,
        ("fetch_item", "score_item", "merge_item"),
        other_waits=("fetch_item",),
        idle=("fetch_item",),
        busy=4,
    ),
    Program(
        "gevent, a pool",
        "fine",
        run_greenlets,
        ("build_reply", "check_reply", "run_greenlets"),
        other_waits=("run_greenlets",),
        rest="run_greenlets",
        one_thread=True,
        needs="gevent",
    ),
    Program(
        "web service, a thread a request",
        "web",
        _web,
        ("load_rows", "fill_template", "pack_answer", "await_backend", "answer_request"),
        other_waits=("await_backend",),
        busy=2,
        load=(6, 0.02, "new"),
    ),
)
