"""Makes the golden runs: run `python tests/collector/golden/make_run.py` once a release.

`runs-1.0.zip` has the segments, `runs-1.0.json` what the reference decoder read in them on that
day: first each page by its slot, then the run as a whole.
"""

import io
import json
import zipfile
from pathlib import Path

from pprofplus.log import format as fmt
from pprofplus.log.page import PageBuilder

HERE = Path(__file__).parent
START_MS = 1_795_169_333_907
RUN = f"golden/4711-{START_MS}"
OLD = f"golden/4712-{START_MS}"
STEP_MS = 3_600_000
FIRST = (
    ("rss", "B", "gauge"),
    ("cpu_user", "us", "counter"),
    ("fds", "count", "gauge"),
    ("rare", "count", "gauge"),
    ("extreme", "count", "gauge"),
    ("wraps", "count", "counter"),
)
SECOND = (
    ("rss", "B", "gauge"),
    ("cpu_user", "us", "counter"),
    ("queue_depth", "jobs", "gauge"),
    ("requests", "requests", "counter"),
)
# by page: schema, interval in ms, first sample, samples
PAGES = (
    (FIRST, 1000, 0, 60),
    (FIRST, 1000, 60, 40),
    (FIRST, 250, 100, 50),
    (FIRST, 250, 150, 10),  # after the wall clock was set forward by an hour
    (FIRST, 250, 160, 170),
    (SECOND, 250, 400, 20),
    (SECOND, 250, 420, 13),
)
EVENTS = {
    0: ((0, fmt.START, 0, ""), (0, fmt.FORK, 4700, "")),
    1: ((70, fmt.MARK, 0, "deploy 1.4.2 \u2713 \x1b[31m[bold]"), (99, fmt.INTERVAL, 250_000, "")),
    2: ((120, fmt.PAUSE, 0, ""), (121, fmt.RESUME, 0, ""), (121, fmt.LOST, 7, "ENOSPC")),
    5: ((419, fmt.STOP, 0, ""),),
    6: ((420, fmt.START, 0, ""),),
}


def values(n, table):
    """Return the values of sample n."""
    levels = {
        "rss": 100_000_000 + 4096 * (n * n % 701),
        "cpu_user": 1500 * n + n % 7,
        "fds": 12,
        "rare": n // 64,
        "extreme": (-(1 << 63), (1 << 63) - 1, 0, -1)[n % 4] if n % 50 < 4 else n * 7919 % 97 - 48,
        "wraps": (1 << 62) * (n // 30 % 2) + n,
        "queue_depth": n % 5,
        "requests": 40 * n,
    }
    return [levels[name] for name, _, _ in table]


def times(n):
    """Return (monotonic, unix) milliseconds: sometimes late, once paused, once set forward."""
    late = 3 if n % 20 == 7 else 0
    mono_ms = 5000 + 1000 * min(n, 100) + 250 * max(0, n - 100) + late
    mono_ms += 90_000 if n > 120 else 0
    return mono_ms, START_MS + mono_ms - 5000 + (STEP_MS if n >= 150 else 0)


def header(table, interval_ms):
    """Return the header of a segment."""
    return fmt.RunHeader(
        service="golden",
        pid=4711,
        start_ms=START_MS,
        metrics=table,
        host="example",
        boot_id="0c8e1f4e-0000-4000-8000-000000000000",
        argv=("python", "app.py", "--name", "Gr\u00fc\u00dfe \x1b[0m"),
        python="CPython 3.11.7",
        collector="0.1.0",
        interval_ms=interval_ms,
    )


def versions():
    """Return for each page its versions, one a sample, the last one complete."""
    found, before, builder = [], None, None
    for number, (table, interval_ms, first, count) in enumerate(PAGES):
        head = header(table, interval_ms)
        if table is before:
            builder = builder.follow(number, interval_ms)
        else:
            builder = PageBuilder(head.schema, head.counters, number, interval_ms)
        before = table
        events = {}
        for n, kind, value, text in EVENTS.get(number, ()):
            events.setdefault(n, []).append(fmt.Event(kind, *times(n), value, text))
        some = []
        for n in range(first, first + count):
            assert builder.add(*times(n), values(n, table)), n
            for event in events.get(n, ()):
                assert builder.add_event(event)
            some.append(bytes(builder))
        found.append(some)
    return found


def laid_out(pages):
    """Return pages as they are stored in a file."""
    return b"".join([page.ljust(fmt.PAGE_SIZE, b"\0") for page in pages[:-1]] + [pages[-1]])


def files():
    """Return {path: bytes} of the golden runs."""
    pages = versions()
    last = [some[-1] for some in pages]
    first, fast = header(FIRST, 1000), header(FIRST, 250)
    second = header(SECOND, 250)
    short = [
        fmt.pack_page(fmt.HEADER, 0, fmt.HEADER_PART.pack(0, 1), fmt.header_text(first)),
        last[0],
    ]
    return {
        f"{RUN}/000001.pplog": laid_out([*fmt.pack_header(first, 1 << 20), *last[:3]]),
        # the last page has two versions, the older one second
        f"{RUN}/000002.pplog": laid_out(
            [*fmt.pack_header(fast, 1 << 20), *last[3:5], pages[4][-2]],
        ),
        # the last page's newest version is torn: the previous one counts
        f"{RUN}/000003.pplog": laid_out(
            [*fmt.pack_header(second, 1 << 20), last[5], pages[6][-2], last[6][:-2]]
        ),
        # before 1.0 was released, a header page did not contain the maximum size of the segment
        f"{OLD}/000001.pplog": laid_out(short),
    }


def decoded(some):
    """Return what the reference decoder reads in files, for JSON."""
    found = {}
    for path, data in some.items():
        rows, text = [], b""
        for slot, at in enumerate(range(0, len(data), fmt.PAGE_SIZE)):
            page = data[at : at + fmt.PAGE_SIZE]
            try:
                prefix = fmt.read_prefix(page)
                if prefix.type == fmt.HEADER:
                    text += fmt.header_part(prefix, page)[2]
                    continue
                rows.append(page_as_json(slot, fmt.read_data_page(page)))
            except fmt.LogFormatError as error:
                rows.append({"slot": slot, "damaged": str(error)})
        head = fmt.parse_header(text)
        header_values = {name: getattr(head, name) for name in fmt.RunHeader.__slots__}
        found[path] = {"header": header_values, "schema": head.schema, "pages": rows}
    return json.loads(json.dumps(found))


def page_as_json(slot, page):
    """Return a page's fields, samples and events."""
    head = page.head
    return {
        "slot": slot,
        "number": head.prefix.number,
        "schema": head.schema,
        "interval_ms": head.interval_ms,
        "first": head.first,
        "lo": head.lo,
        "hi": head.hi,
        "mono_ms": page.mono_ms,
        "unix_ms": page.unix_ms,
        "columns": page.columns,
        "events": [
            [fmt.EVENT_KINDS[event.kind], event.mono_ms, event.unix_ms, event.value, event.text]
            for event in page.events
        ],
    }


def main():
    """Write both files."""
    some = files()
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in some.items():
            archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    (HERE / "runs-1.0.zip").write_bytes(raw.getvalue())
    text = json.dumps(decoded(some), indent=1)
    (HERE / "runs-1.0.json").write_text(text.replace("\n     ", "") + "\n")


if __name__ == "__main__":
    main()
