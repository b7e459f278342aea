"""The contract of a source, tested with the local and the fake one on the same run."""

import inspect
import io
import shutil

import numpy as np
import pytest

from kit.fake_source import FakeCatalog, FakeReader, FakeRun, FakeSource
from pprofplus.metrics import BY_NAME
from pprofplus_tui.export import write_rows
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.sources import port
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.local_source import LocalSource
from pprofplus_tui.sources.open import open_source

BEGIN_MS = 1_800_000_000_000
KEYS = (("rss", False), ("heap_used", False), ("cpu_user", True), ("rss", True), ("none", False))
EMPTY = ("rss", True), ("none", False)


@pytest.fixture
def both(home):
    """The same run of 3,000 samples with marks: (local source, fake source)."""
    marks = ((10, "first"), (1500, "second"), (2999, "last"))
    path = home.run(count=3000, marks=marks, state="exited")
    local = open_source([str(home.path)])
    sample = inspect.getmodule(type(home)).growing
    reader = local.open(local.find_by_name("api/4711")[0][0].id, port.Access.SAMPLES)
    assert reader.id == path
    curves = {
        name: lambda t_s, name=name: np.array([sample(round(t))[name] for t in t_s], np.int64)
        for name, _, _ in reader.metrics
    }
    events = [
        RunEvent(BEGIN_MS, "start"),
        *(RunEvent(BEGIN_MS + at * 1000, "mark", 0, text) for at, text in marks),
        RunEvent(BEGIN_MS + 3_000_000, "stop"),
    ]
    fake = FakeSource(
        FakeRun("api", 4711, BEGIN_MS, curves, BEGIN_MS + 2_999_000, state="exited", events=events)
    )
    return local, fake


def readers(both, access=port.Access.SAMPLES):
    for source in both:
        (info,), hidden = source.find_by_name("api/4711")
        assert hidden == ()
        yield source.open(info.id, access)


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [
        (port.Source, LocalSource),
        (port.Source, FakeSource),
        (port.RunCatalog, Catalog),
        (port.RunCatalog, FakeCatalog),
        (port.RunReader, LocalRun),
        (port.RunReader, FakeReader),
    ],
)
def test_a_source_has_every_method_of_the_port_with_its_parameters(protocol, kind):
    methods = {
        name: member for name, member in vars(protocol).items() if inspect.isfunction(member)
    }
    for name, member in methods.items():
        if not name.startswith("_"):
            wanted = list(inspect.signature(member).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted, name


@pytest.mark.parametrize("buckets", [1, 7, 300, 2999, 3000])
@pytest.mark.parametrize(
    ("begin", "end"), [(0, 3_000_000), (-50_000, 99_999), (1_000_500, 1_900_001), (7000, 7001)]
)
def test_a_query_gives_the_same_points(both, begin, end, buckets):
    one, other = (
        reader.query(BEGIN_MS + begin, BEGIN_MS + end, buckets, KEYS) for reader in readers(both)
    )
    for key in KEYS:
        assert len(one[key]) == len(other[key]), key
        assert (len(one[key]) > 0) == (key not in EMPTY)
        assert one[key].t_ms.tolist() == other[key].t_ms.tolist()
        assert one[key].lo.tolist() == other[key].lo.tolist()
        assert one[key].hi.tolist() == other[key].hi.tolist()
        assert one[key].breaks.tolist() == other[key].breaks.tolist()


def test_zero_buckets_raise_a_clear_error(both):
    for reader in readers(both):
        with pytest.raises(ValueError, match="0 buckets"):
            reader.query(BEGIN_MS, BEGIN_MS + 1000, 0, KEYS)


@pytest.mark.parametrize("away_ms", [-900_000, -400, 0, 1_499_700, 3_000_900, 4_000_000])
def test_the_sample_nearest_to_a_time_is_found(both, away_ms):
    one, other = (reader.sample_at(BEGIN_MS + away_ms, 10, KEYS) for reader in readers(both))
    assert one == other
    assert (one.t_ms is None) == (not -1000 <= away_ms <= 3_001_000)


def test_the_first_and_the_last_sample_of_a_window_are_found(both):
    window = BEGIN_MS + 500, BEGIN_MS + 2_000_000
    one, other = (reader.end_samples(*window, KEYS) for reader in readers(both))
    assert one == other
    assert [at.t_ms - BEGIN_MS for at in one] == [1000, 1_999_000]
    for reader in readers(both):
        assert reader.end_samples(0, 1000, KEYS) is None
        assert (reader.has_samples(*window), reader.has_samples(0, 1000)) == (True, False)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"limit": 2},
        {"kinds": {"mark"}},
        {"begin_ms": BEGIN_MS + 10_000, "end_ms": BEGIN_MS + 1_500_000},
        {"begin_ms": BEGIN_MS + 10_001, "limit": 64, "exact": False},
    ],
)
def test_both_sources_find_the_same_events(both, how):
    one, other = (reader.events(**how) for reader in readers(both))
    assert [(event.t_ms, event.kind, event.text) for event in one] == [
        (event.t_ms, event.kind, event.text) for event in other
    ]
    assert one


@pytest.mark.parametrize("every_ms", [None, 60_000])
def test_an_export_is_the_same_to_the_byte(both, every_ms):
    exports = []
    for reader in readers(both):
        out = io.BytesIO()
        count, skipped = write_rows(
            [reader], BEGIN_MS, BEGIN_MS + 3_000_000, out, every_ms=every_ms
        )
        assert (count, skipped) == (3000 if every_ms is None else 50, 0)
        exports.append(out.getvalue())
    assert exports[0] == exports[1]


def test_both_sources_give_the_same_facts_of_a_run(both):
    facts = [
        (
            *(reader.service, reader.pid, reader.name, reader.start_ms),
            *(reader.begin_ms, reader.end_ms, reader.last_sample_ms, reader.interval_ms),
            *(reader.has_data, reader.sample_count, reader.problems, reader.damaged_pages),
            *(dict(reader.last_values()), reader.pinned, reader.profiles(), reader.earlier()),
            *(reader.only_end, sorted(reader.metrics)),
        )
        for reader in readers(both)
    ]
    assert facts[0][:4] == ("api", 4711, f"api/4711-{BEGIN_MS}", BEGIN_MS)
    assert all(unit == BY_NAME[name].unit for name, unit, _ in facts[0][-1])
    assert [fact[:-1] for fact in facts[:1]] == [fact[:-1] for fact in facts[1:]]


def test_a_catalogue_lists_runs_and_detects_a_pin(both):
    for source in both:
        catalog = source.catalog()
        assert (catalog.runs, catalog.refresh(), catalog.unread) == ((), True, 0)
        (info,) = catalog.runs
        assert (info.service, info.pid, info.state) == ("api", 4711, "exited")
        assert catalog.infos[info.id] is info is catalog.find(info.id)
        assert list(catalog.changes()) == [info.id]
        assert catalog.changes() == {}
        source.set_pinned(info.id, pinned=True)
        catalog.refresh()
        assert catalog.changes()[info.id].pinned
        assert source.toggle_pinned(info.id) is False
        assert source.count(info).samples == 3000
        assert source.name(info.id) == f"api/4711-{BEGIN_MS}"
        assert source.catalog(port.Selection("other")).refresh() is False


def test_a_catalogue_detects_a_removed_run(both, home):
    catalogs = [source.catalog() for source in both]
    for catalog in catalogs:
        catalog.refresh()
    shutil.rmtree(home.path / "api")
    both[1].runs.clear()
    for catalog in catalogs:
        (info,) = catalog.runs
        catalog.changes()
        assert catalog.refresh()
        assert (catalog.changes(), catalog.runs) == ({info.id: None}, ())


def test_a_missing_run_raises_a_clear_error(both):
    for source in both:
        with pytest.raises(port.NoRunError):
            source.open(port.RunId("nothing"))
