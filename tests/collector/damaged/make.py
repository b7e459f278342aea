"""Makes the corpus of damaged logs: `python tests/collector/damaged/make.py`; see README.md."""

import io
import json
import random
import tarfile
from pathlib import Path
from struct import Struct
from zlib import crc32

from pprofplus.log import format as fmt
from pprofplus.log.page import PageBuilder

HERE = Path(__file__).parent
METRICS = (("rss", "B", "gauge"), ("cpu_user", "us", "counter"), ("n", "count", "gauge"))
OTHER = (("rss", "B", "gauge"), ("a", "B", "gauge"), ("n", "count", "gauge"))
START_MS = 1_795_000_000_000
RUN = f"api/7-{START_MS}"
PAGES, SAMPLES = 6, 4
EXTREMES = {
    "least": fmt.INT64_MIN,
    "negative": -1,
    "zero": 0,
    "mono edge": (1 << 53) - 1,
    "mono beyond": 1 << 53,
    "unix edge": fmt.MAX_UNIX_MS - 1,
    "unix beyond": fmt.MAX_UNIX_MS,
    "largest": fmt.INT64_MAX,
}
VICTIM = 1  # the page that is modified, second of the first segment


def values(n):
    """Return the values of sample n; the third is its number."""
    return [4096 * (n * n % 17), 5000 * n, n]


def header(metrics=METRICS, **kwargs):
    """Return the header of every segment."""
    given = {"service": "api", "pid": 7, "start_ms": START_MS, "host": "example", **kwargs}
    return fmt.RunHeader(metrics=metrics, **given)


def pages(metrics=METRICS):
    """Return the data pages of the run, four samples each."""
    head = header(metrics)
    builder = PageBuilder(head.schema, head.counters, 0, 1000)
    made = []
    for n in range(PAGES * SAMPLES):
        if n and n % SAMPLES == 0:
            made.append(bytes(builder))
            builder = builder.follow(builder.number + 1, 1000)
        builder.add(1000 * n, START_MS + 1000 * n, values(n)[: len(metrics)])
        if n == 5:
            builder.add_event(fmt.Event(fmt.MARK, 5000, START_MS + 5000, 0, "deploy"))
    return [*made, bytes(builder)]


def laid_out(some, size=fmt.PAGE_SIZE):
    """Return pages as they are stored in a file."""
    return b"".join([page.ljust(size, b"\0") for page in some[:-1]] + [some[-1]])


def segments(some=None, heads=None):
    """Return the run's two segments, of three data pages each."""
    some = pages() if some is None else some
    heads = heads or [fmt.pack_header(header())] * 2
    return {
        1: laid_out([*heads[0], *some[: PAGES // 2]]),
        2: laid_out([*heads[1], *some[PAGES // 2 :]]),
    }


def sealed(page):
    """Return a modified page, with valid CRCs."""
    page = bytearray(page)
    length, head = (int.from_bytes(page[at : at + 4], "little") for at in (8, 12))
    page[20:24] = crc32(page[head:length]).to_bytes(4, "little")
    page[24:28] = crc32(page[28:head], crc32(page[:24])).to_bytes(4, "little")
    return bytes(page)


def with_field(page, at, code, value):
    """Return `page` with another value there, and valid CRCs."""
    page = bytearray(page)
    Struct(f"<{code}").pack_into(page, at, value)
    return sealed(page)


def with_body(page, streams, events=b"", samples=None):
    """Return a page with these streams and events."""
    head = bytearray(page[: int.from_bytes(page[12:16], "little")])
    lengths = Struct(f"<{len(streams)}H")
    lengths.pack_into(head, len(head) - lengths.size, *map(len, streams))
    head[38:40] = len(events).to_bytes(2, "little")
    if samples is not None:
        head[32:36] = samples.to_bytes(4, "little")
    body = b"".join((*streams, events))
    head[8:12] = (len(head) + len(body)).to_bytes(4, "little")
    return sealed(bytes(head) + body)


def resized(page, log2):
    """Return a page of another page size."""
    return with_field(page, 6, "B", log2)


def header_pages(text, log2=fmt.PAGE_SIZE_LOG2, room=None, parts=None):
    """Return header pages that contain any bytes."""
    room = room or (1 << log2) - 36
    pieces = [text[at : at + room] for at in range(0, max(1, len(text)), room)]
    parts = len(pieces) if parts is None else parts
    return [
        resized(fmt.pack_page(fmt.HEADER, i, fmt.HEADER_HEAD.pack(i, parts, 0), piece), log2)
        for i, piece in enumerate(pieces)
    ]


def header_json(**changes):
    """Return the JSON of the header with other values in it, as text."""
    pages_ = fmt.pack_header(header())
    text = b"".join(fmt.header_part(fmt.read_prefix(page), page)[2] for page in pages_)
    return json.dumps({**json.loads(text), **changes}).encode()


def lying_heads():
    """Yield (name, page) of pages with a wrong head and valid CRCs."""
    page = pages()[VICTIM]
    fields = {
        "type": (5, "B", (0, 1, 3, 255)),
        "page size": (6, "B", (0, 9, 12, 20, 255)),
        "length": (8, "I", (0, 27, 8193, 0xFFFFFFFF)),
        "head length": (12, "I", (0, 27, 28, 71, 72, 8193, 1 << 16, 0xFFFFFFFF)),
        "samples": (32, "I", (0, 1, 3, 5, 4096, 4097, 0xFFFFFFFF)),
        "columns": (36, "H", (0, 2, 4, 256, 257, 0xFFFF)),
        "events bytes": (38, "H", (0, 1, 26, 34, 0xFFFF)),
        "interval": (64, "I", (0, 1, 0xFFFFFFFF)),
        "times' length": (144, "H", (1, 0xFFFF)),
    }
    for name, (at, code, some) in fields.items():
        for value in some:
            yield f"{name} {value}", with_field(page, at, code, value)
    for name, value in EXTREMES.items():
        for field, at in (("first mono", 40), ("first unix", 48), ("last mono", 56)):
            yield f"{field} {name}", with_field(page, at, "q", value)
        both = with_field(page, 40, "q", value)
        yield f"monos {name}", with_field(both, 56, "q", value)
        only = with_field(with_field(page, 32, "I", 0), 40, "q", value)
        yield f"monos {name} of events alone", with_field(only, 56, "q", value)
    for value in (fmt.INT64_MIN, fmt.INT64_MAX):
        for i in range(9):
            yield f"cell {i} {value}", with_field(page, 72 + 8 * i, "q", value)


def lying_bodies():
    """Yield (name, page) of pages with wrong streams or events and valid CRCs."""
    page = pages()[VICTIM]
    huge = b"\xff" * 9 + b"\x01"
    streams = {
        "overlong number": b"\xff" * 10 + b"\x01",
        "65 bit number": b"\xff" * 9 + b"\x03",
        "number cut short": b"\x02\x80",
        "run of 2**63": b"\0" + b"\xff" * 8 + b"\x7f",
        "run cut short": b"\0",
        "run too long": b"\0\x04",
        "runs of nothing": b"\0\0" * 300,
        "too many numbers": b"\2" * 500,
        "largest steps": huge * 3,
    }
    for name, stream in streams.items():
        yield f"times {name}", with_body(page, [stream, b"", b"", b""])
        yield f"column {name}", with_body(page, [b"", stream, b"", b""])
    yield "a bomb of 4096 samples", with_body(page, [b"", b"", b"", b""], samples=4096)
    event = fmt.pack_event(fmt.Event(3, 5000, START_MS + 5000, 0, "x" * 50))
    events = {
        "cut short": event[:20],
        "text cut short": event[:40],
        "good, then cut short": event + event[:30],
        "text no UTF-8": event[:-50] + b"\xff\xed\xa0\x80" * 12 + b"\xc3\xc3",
        "escapes": fmt.pack_event(fmt.Event(3, 5000, 0, 0, "\x1b[31m[bold]\r\n\x9b2J\u202e")),
        "unknown kinds": b"".join(fmt.EVENT.pack(kind, 5000, 0, 0, 0) for kind in range(256)),
    }
    for name, value in EXTREMES.items():
        events[f"at {name}"] = fmt.EVENT.pack(3, value, value, value, 0)
    for name, packed in events.items():
        yield f"events {name}", with_body(page, [b"", b"", b"", b"\2\2\2\2"[:3]], packed)


def header_texts():
    """Yield (name, bytes) of invalid headers."""
    good = header_json()
    rows = [[f"g{i}", "B", "gauge"] for i in range(257)]
    yield "empty", b""
    yield "null", b"null"
    yield "list", b"[]"
    yield "number", b"1e999"
    yield "binary", bytes(range(256))
    yield "cut short", good[:-1]
    yield "something behind", good + b"{}"
    yield "UTF-16", good.decode().encode("utf-16")
    yield "UTF-32", good.decode().encode("utf-32-le")
    yield "byte order mark", b"\xef\xbb\xbf" + good
    yield "Latin-1", header_json(host="caf").replace(b"caf", b"caf\xe9")
    yield "deep list", b"[" * 100_000
    yield "deep object", b'{"a":' * 40_000
    yield "deep table", good.replace(b'"metrics": ', b'"metrics": ' + b"[" * 20_000)
    yield "huge number", good.replace(b'"pid": 7', b'"pid": ' + b"9" * 200_000)
    yield "huge exponent", good.replace(b'"pid": 7', b'"pid": 1e308')
    yield "number beyond 64 bits", header_json(pid=1 << 64)
    yield "negative number", header_json(start_ms=-1)
    yield "boolean number", header_json(pid=True)
    yield "not a number", good.replace(b'"pid": 7', b'"pid": NaN')
    yield "infinity", good.replace(b'"pid": 7', b'"pid": Infinity')
    yield "too large", header_json(host="x" * (1 << 18))
    yield (
        "a list of a million",
        header_json(argv=[]).replace(b'"argv": []', b'"argv": [' + b"0," * 1_000_000 + b"0]"),
    )
    yield "too many metrics", header_json(metrics=rows)
    yield "no table", header_json(metrics=None)
    yield "a metric twice", header_json(metrics=[rows[0], rows[0]])
    yield "short row", header_json(metrics=[["a", "B"]])
    yield "row of numbers", header_json(metrics=[[1, 2, 3]])
    yield "argv a text", header_json(argv="python app.py")
    yield "interval a text", header_json(interval_ms="1000")


def odd_header_texts():
    """Yield (name, bytes) of unusual but valid headers."""
    good = header_json()
    yield "a key twice", good[:-1] + b', "host": "again", "host": "last"}'
    yield "keys of later versions", header_json(later={"a": [1, None, 1.5]}, more=float("nan"))
    yield "lone surrogates", header_json(argv=["\udc80", "\ud800"], host="\udfff")
    yield "escapes", header_json(host="\x1b]0;x\x07[bold]", argv=["\r\n\x9b", "[/]", "\u202e"])
    yield "huge texts", header_json(argv=["x" * 100_000], python="[bold]" * 10_000)
    yield "60,000 words", header_json(argv=[""] * 60_000)
    yield "largest interval", header_json(interval_ms=fmt.INT64_MAX)
    yield "another service", header_json(service="../../etc", pid=0)


EVERY = list(range(PAGES * SAMPLES))
REST = [n for n in EVERY if n // SAMPLES != VICTIM]
SECOND = EVERY[len(EVERY) // 2 :]


def with_victim(page):
    """Return the run's segments with another page in place of the victim."""
    some = pages()
    return segments([*some[:VICTIM], page, *some[VICTIM + 1 :]])


def forged():
    """Yield logs with one wrong page."""
    for where, lies in (("head", lying_heads()), ("body", lying_bodies())):
        for name, page in lies:
            # at the same time as the previous page: it is undecidable which one is right
            kept = [n for n in REST if n // SAMPLES or not name.startswith("monos zero")]
            yield f"{where}/{name}", with_victim(page), kept
    none, other = (pages(table)[VICTIM] for table in ((), OTHER))
    yield "schema/a page of another", with_victim(other), REST
    yield "schema/a page of no columns", with_victim(none), REST
    yield (
        "schema/a run of no metrics",
        {1: laid_out([*fmt.pack_header(header(())), *pages(())])},
        [],
    )
    heads = fmt.pack_header(header(OTHER))
    yield "schema/two tables", {**segments(), 2: laid_out([*heads, *pages(OTHER)[3:]])}, EVERY


def misnumbered():
    """Yield logs whose pages are not in the order of their numbers and times."""
    some = pages()
    for name, number in (("repeats", 0), ("jumps", 1 << 20), ("wraps", 0xFFFFFFFF)):
        # two pages with one number are versions of one page: it is undecidable which one is right
        kept = [n for n in REST if n // SAMPLES or name != "repeats"]
        yield f"number/{name}", with_victim(with_field(some[VICTIM], 16, "I", number)), kept
    still = [b"\xcf\x0f" * 3, b"", b"", b""]  # all samples at the same time
    ahead = with_field(with_field(some[VICTIM], 40, "q", 1 << 50), 56, "q", 1 << 50)
    behind = with_field(with_field(some[4], 40, "q", 0), 56, "q", 0)
    both = [some[0], with_body(ahead, still), *some[2:4], with_body(behind, still), some[5]]
    kept = [n for n in REST if n // SAMPLES != 4]
    yield "number/one page ahead and one behind", segments(both), kept


def versions_and_sizes():
    """Yield logs of later versions and of other page sizes, some damaged."""
    some, whole, heads = pages(), segments(), fmt.pack_header(header())
    yield "version/a page of version 2", with_victim(with_field(some[VICTIM], 4, "B", 2)), REST
    future = [with_field(page, 4, "B", 255) for page in (*heads, *some[:3])]
    yield "version/a file of version 255", {**whole, 1: laid_out(future)}, SECOND
    for log2 in (9, 12, 16, 20):
        made = [resized(page, log2) for page in (*heads, *some)]
        yield f"page size/2**{log2}", {1: laid_out(made, 1 << log2)}, EVERY
        made[0] = bytes([*made[0][:100], made[0][100] ^ 1, *made[0][101:]])
        rest = laid_out([resized(page, log2) for page in (*heads, *some[3:])], 1 << log2)
        spoilt = {1: laid_out(made[:4], 1 << log2), 2: rest}
        yield f"page size/2**{log2} and the first page spoilt", spoilt, EVERY
    small = laid_out([resized(page, 12) for page in some[1:3]], 4096)
    mixed = laid_out([*heads, some[0]]).ljust(2 * fmt.PAGE_SIZE, b"\0") + small
    yield "page size/changes", {**whole, 1: mixed}, EVERY[:SAMPLES] + SECOND


def headers():
    """Yield logs whose first header is damaged or unusual; the other segment has the schema."""
    whole, heads, text = segments(), fmt.pack_header(header()), header_json()
    for at in (0, 4, 5, 6, 8, 12, 16, 20, 24, 28, 40, 200):
        raw = bytearray(whole[1])
        raw[at] ^= 1
        yield f"first page/byte {at}", {**whole, 1: bytes(raw)}, EVERY
    rest = whole[1][fmt.PAGE_SIZE :]
    yield "first page/zeros", {**whole, 1: bytes(fmt.PAGE_SIZE) + rest}, EVERY
    yield "first page/missing", {**whole, 1: rest}, EVERY
    for name, header_text in (*header_texts(), *odd_header_texts()):
        yield f"header/{name}", segments(heads=[header_pages(header_text), heads]), EVERY
    for parts in (0, 2, 512, 513, 65535):
        lied = segments(heads=[header_pages(text, parts=parts), heads])
        yield f"header/one part of {parts}", lied, EVERY
    many = header_pages(text, room=1)[:200]
    yield "header/a byte a page", segments(heads=[many, heads]), EVERY
    twice = header_pages(text, room=100)
    yield "header/a part twice", segments(heads=[[twice[0], *twice], heads]), EVERY


def strangers():
    """Yield logs with a third segment that is invalid, or too much."""
    whole, heads = segments(), fmt.pack_header(header())
    event = fmt.pack_event(fmt.Event(3, 30_000, START_MS + 30_000, 0, ""))
    crowd = []
    for number in range(34):
        page = with_field(pages()[5], 16, "I", 100 + number)
        for at, time_ms in ((40, 30_000), (48, START_MS + 30_000), (56, 30_000)):
            page = with_field(page, at, "q", time_ms)
        crowd.append(with_body(page, [b""] * 4, event * 295, samples=0))
    yield "events/10,000", {**whole, 3: laid_out([*heads, *crowd])}, EVERY
    rng = random.Random(1)  # noqa: S311 - the same bytes each time
    foreign = {
        "empty": b"",
        "one byte": b"P",
        "magic alone": b"PPLG",
        "zeros": bytes(100_000),
        "noise": rng.randbytes(30_000),
        "text": b"Lorem ipsum\n" * 1000,
        "magic again and again": b"PPLG" * 5000,
        "a page of 0xff": b"\xff" * fmt.PAGE_SIZE,
    }
    for name, data in foreign.items():
        yield f"foreign/{name}", {**whole, 3: data}, EVERY


def cases():
    """Yield (name, {segment: bytes}, numbers of the samples that must be read) of each log."""
    yield "whole", segments(), EVERY
    for some in (forged, misnumbered, versions_and_sizes, headers, strangers):
        yield from some()


def archive():
    """Return the corpus: a .tar.xz with a directory a case, and what must be read in each."""
    raw = io.BytesIO()
    wanted = {}
    with tarfile.open(fileobj=raw, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9) as tar:
        for i, (name, files, must) in enumerate(cases()):
            wanted[name] = {"directory": f"{i:03d}", "must": must}
            for number, data in files.items():
                entry = tarfile.TarInfo(f"{i:03d}/{RUN}/{number:06d}.pplog")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return raw.getvalue(), wanted


if __name__ == "__main__":
    data, wanted = archive()
    (HERE / "corpus.tar.xz").write_bytes(data)
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in wanted.items()]
    (HERE / "corpus.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
