"""Five leaks that the search for holders was not tuned on; `python held_out_leaks.py NAME FILE`.

They are other kinds of leaks, in a program with another load, than those of the tests. Run with
tests/kit/programs in PYTHONPATH.
"""

import collections
import dataclasses
import functools
import logging
import random
import sys
import threading
import time

import leaks


@dataclasses.dataclass
class Quote:
    symbol: str
    price: float
    history: list


class LastSeen(collections.OrderedDict):
    def put(self, key, value):
        self[key] = value
        while len(self) > 5_000:
            self.popitem(last=False)


class Market:
    def __init__(self):
        self.last = LastSeen()
        self.inbox = collections.deque(maxlen=3_000)

    def tick(self):
        for _ in range(50):
            quote = Quote(f"s{random.randrange(9_000)}", random.random(), [random.random()] * 3)
            self.last.put(quote.symbol, quote)
            self.inbox.append((quote.symbol, {"bid": quote.price, "ask": [quote.price]}))
        return sorted(one[1]["bid"] for one in self.inbox)


MARKETS = [Market(), Market()]


def run(market):
    while True:
        market.tick()
        time.sleep(0.002)


def start_market_load():
    for market in MARKETS:
        for _ in range(200):
            market.tick()
        threading.Thread(target=run, args=(market,), daemon=True).start()


class Order:
    __slots__ = ("legs", "number", "text")

    def __init__(self, number):
        self.number = number
        self.legs = [{"n": number}, {"n": number + 1}]
        self.text = f"o{number}" * 20


class Book(dict):
    pass


class Engine:
    __slots__ = ("book",)

    def __init__(self):
        self.book = Book()


ENGINE = Engine()


def dict_subclass_in_slot(count):
    for _ in range(count):
        number = len(ENGINE.book)
        ENGINE.book["order", number] = Order(number)


LOGGERS = [0]


def loggers(count):
    for _ in range(count):
        LOGGERS[0] += 1
        logging.getLogger(f"connection.{LOGGERS[0]}")


PENDING = collections.deque()


def read_lines(number):
    lines = [f"line {number} {i}" for i in range(5)]
    yield from lines


def generators(count):
    for i in range(count):
        lines = read_lines(i)
        next(lines)
        PENDING.append(lines)


class ValidationError(Exception):
    pass


ERRORS = []


def validate(number):
    message = f"bad {number} " * 20
    raise ValidationError(message)


def exceptions(count):
    for i in range(count):
        try:
            validate(i)
        except ValidationError as error:
            ERRORS.append(error)


class Dispatcher:
    def __init__(self):
        self.receivers = collections.defaultdict(set)

    def connect(self, event, receiver):
        self.receivers[event].add(receiver)


DISPATCHER = Dispatcher()


def partials(count):
    for i in range(count):
        DISPATCHER.connect("saved", functools.partial(print, f"saved {i} " * 10, [i]))


HELD_OUT = {
    leak.__name__: leak
    for leak in (dict_subclass_in_slot, loggers, generators, exceptions, partials)
}

if __name__ == "__main__":
    leaks.start_load = start_market_load
    leaks.write_growth(HELD_OUT[sys.argv[1]], sys.argv[2])
