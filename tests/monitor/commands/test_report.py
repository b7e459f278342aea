"""`report`: one self-contained page, in which everything from a log is plain text."""

import json
import re
import shutil
import stat
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

BEGIN_MS = 1_800_000_000_000
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onload='alert(1)",
    "</style></svg></title><b>",
    "]]><!-- &lt;b&gt; &amp;",
    "\x1b]0;owned\x07\x9b31m",
    "a\u202eb\u2066c\u200bd",
    "\x00\x08\x7f\r\nx",
    "javascript:alert(1)",
    "[bold red]x[/]",
    "x" * 5000,
)
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "footer"),
    *("h1", "h2", "h3", "p", "div", "dl", "dt", "dd", "span", "b", "a"),
    *("table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "svg", "path", "text"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "colspan", "href"),
    *("viewbox", "role", "aria-label", "aria-hidden", "d", "x", "y", "text-anchor"),
}
VOID = {"meta"}


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)


def leaking(i):
    """Return a sample of a service that keeps Python objects."""
    used = 40 * (1 << 20) + i * 262_144
    return {
        "rss": used + (30 << 20),
        "uss": used + (20 << 20),
        "vms": used + (300 << 20),
        "heap_sys": used + (2 << 20),
        "heap_used": used,
        "heap_idle": 1 << 20,
        "malloc_sys": 12 << 20,
        "malloc_used": 9 << 20,
        "malloc_free": 3 << 20,
        "gc_pause_max": 900,
        "gc_runs_0": 2 * i,
        "cpu_user": 50_000 * i,
        "cpu_system": 9_000 * i,
        "threads": 4,
    }


def test_a_page_has_charts_facts_events_and_the_verdict(home, command):
    home.run(sample=leaking, marks=((300, "deploy 1.4.2"),), argv=("app.py", "--port", "80"))
    done = command("report", "--service", "api")
    page = Page(done.stdout)
    text = " ".join(page.texts)
    assert (done.returncode, done.stderr, page.open) == (0, "", [])
    for words in (
        "Memory of api 4711",
        "2027-01-15 08:00:00 UTC to 2027-01-15 08:09:59 UTC, 9m59s",
        "RSS: growing +90",  # MiB/h
        "The layer that grows most is Python objects",
        "app.py --port 80",
        "died: ended without a stop event",
        "deploy 1.4.2",
        *("memory", "virtual memory", "python heap", "C heap", "gc pause", "cpu", "where RSS is"),
    ):
        assert words in text
    assert page.elements.count("figure") == 7


def test_a_death_has_its_cause_in_the_facts_and_the_events(home, command):
    path = home.run(count=60)
    hostile = {"by": HOSTILE[0], "signal": 11, "text": HOSTILE[1]}
    Path(path, "outcome").write_text(json.dumps(hostile))
    text = " ".join(Page(command("report").stdout).texts)
    for words in ("SIGSEGV: <script>", "(known)", "peak RSS", "death", "peak 73.7 MiB"):
        assert words in text, words


def test_a_steady_run_is_called_steady(home, command):
    home.run(sample=lambda _: leaking(0))
    text = " ".join(Page(command("report").stdout).texts)
    assert "RSS: steady" in text
    assert "The layer that grows most" not in text


def test_nothing_is_loaded_from_anywhere(home, command):
    home.run()
    output = command("report").stdout
    page = Page(output)
    assert set(page.elements) <= ELEMENTS
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert not re.search(r"url\(|@import|https?:|src=|<script|data:", output)
    assert "default-src 'none'" in output


def test_it_follows_the_readers_colours_and_paper(home, command):
    home.run()
    output = command("report").stdout
    assert "prefers-color-scheme:dark" in output
    assert "@media print" in output


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_of_a_log_is_output_without_control_characters(home, command, text):
    metric = (text or "x", text, "gauge", lambda i: i)
    utf8 = text.replace("\x00", "")
    home.run(argv=(text, "--x"), own=(metric,), marks=((5, utf8), (50, utf8 * 3)))
    done = command("report")
    assert (done.returncode, done.stderr) == (0, "")
    output = done.stdout
    assert all(char == "\n" or char.isprintable() for char in output)
    page = Page(output)
    assert page.open == []
    assert set(page.elements) <= ELEMENTS
    assert {name for _, name, _ in page.attributes} <= ATTRIBUTES
    assert max(map(len, page.texts)) < 3000


def test_all_runs_of_a_service_are_on_one_page_with_a_list(home, command):
    home.run("api", 1)
    home.run("api", 2, begin_ms=BEGIN_MS + 300_000, sample=leaking)
    home.run("api", 3, begin_ms=BEGIN_MS - 9_000_000)
    home.run("web", 4)
    page = Page(command("report", "--service", "api", "--last", "10m").stdout)
    assert [value for _, name, value in page.attributes if name == "href"] == ["#run1", "#run2"]
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert ids == {"run1", "run2"}
    assert "Memory of api" in page.texts


def test_it_is_a_new_private_file_or_none(home, command, tmp_path):
    home.run()
    out = tmp_path / "report.html"
    done = command("report", "-o", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{out}: api 4711, ")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    done = command("report", "-o", out)
    assert done.returncode == 2
    assert out.read_bytes() == before
    done = command("report", "--begin", "@1000", "--end", "@2000", "-o", tmp_path / "no.html")
    assert (done.returncode, done.stderr) == (1, "pprofplus-tui: no samples in this window\n")
    assert not (tmp_path / "no.html").exists()


def test_a_name_that_cannot_be_written_is_a_one_line_error(home, command, tmp_path):
    home.run()
    done = command("report", "-o", tmp_path / "nowhere" / "x.html")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_browser_runs_nothing_of_a_hostile_log(home, command, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here")
    evil = "</dd><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    home.run(argv=(evil,), marks=((5, evil),), own=((evil, evil, "gauge", lambda i: i),))
    out = tmp_path / "report.html"
    assert command("report", "-o", out).returncode == 0
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [chromium, *flags, "--dump-dom", out.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert "<title>Memory of api 4711</title>" in done.stdout
    assert "<script" not in done.stdout
    assert "<img" not in done.stdout
