"""Load of a service that does not leak: caches that turn over, parsed documents, requests.

Tests run it with a program that leaks, so that a leak must be found among many other objects.
"""

import collections
import json
import random
import threading
import time

CACHES = [{}, {}]
STATIC = [{"k": i, "v": [i, str(i)], "t": (i, [i])} for i in range(20_000)]
SETTINGS = {"cycles": True}
CACHE_SIZE = 9_000
DOCUMENT = json.dumps(
    {"items": [{"id": i, "tags": ["a", "b", str(i)], "p": [1.5, i]} for i in range(60)]}
)


class Header:
    __slots__ = ("name", "value")

    def __init__(self, name, value):
        self.name = name
        self.value = value


class RequestContext:
    def __init__(self, number):
        self.number = number
        self.headers = [Header(str(i), [i]) for i in range(10)]
        self.peer = self if SETTINGS["cycles"] else None

    def parse(self, text):
        self.body = json.loads(text)
        self.seen = {item["id"]: item for item in self.body["items"]}


def cached(key):
    return {"row": [key, key], "who": ("u", key), "blob": "z" * random.randrange(20, 200)}


def work(cache):
    recent = collections.deque(maxlen=80)
    number = 0
    while True:
        number += 1
        recent.append(json.loads(DOCUMENT))
        for _ in range(20):
            cache[random.randrange(40_000)] = cached(number)
        while len(cache) > CACHE_SIZE:
            del cache[random.choice(list(cache)[:50])]
        RequestContext(number).parse(DOCUMENT)
        if number % 10 == 0:
            time.sleep(0.001)


def start_load():
    for cache in CACHES:
        cache.update((key, cached(key)) for key in range(CACHE_SIZE))
        threading.Thread(target=work, args=(cache,), daemon=True).start()
