"""Exports: the exact window, complete files or none, and no formula for a spreadsheet."""

import csv
import io
import json
import os
import re
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.page_writer import START_MS, page_writers
from pprofplus.log import format as fmt
from pprofplus_tui.atomic_file import OutputError
from pprofplus_tui.export import (
    ExportCancelledError,
    export,
    suggest_path,
    write_rows,
)
from pprofplus_tui.export.timestamps import iso_times
from pprofplus_tui.sources.local.local_run import LocalRun
from pprofplus_tui.sources.local.run_log import RunLog

UTC = timezone.utc


@pytest.fixture
def write_run(tmp_path):
    with page_writers(tmp_path / "home") as make:
        yield make


@pytest.fixture
def run(write_run):
    writer = write_run()
    for n in range(10):
        if n == 6:
            writer.new_page()
        writer.add(n * 1000, [n * 100, n * 7, -n])
    return [LocalRun(RunLog(str(writer.path)))]


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def leftovers(directory):
    return [path.name for path in directory.iterdir() if path.name != "home"]


def test_the_export_has_every_sample_of_the_exact_window(run, tmp_path):
    out = tmp_path / "out.csv"
    done = export(run, START_MS + 2000, START_MS + 8000, out, zone=UTC)
    rows = rows_of(out)
    assert [int(row["unix_ms"]) - START_MS for row in rows] == [n * 1000 for n in range(2, 8)]
    assert (done.rows, done.path, done.size_bytes) == (6, out, out.stat().st_size)
    assert done.skipped_pages == 0


def test_columns_name_their_unit_and_values_are_as_recorded(run, tmp_path):
    out = tmp_path / "out.csv"
    export(
        run, START_MS + 3000, START_MS + 3001, out, zone=timezone(timedelta(hours=5, minutes=30))
    )
    assert out.read_text() == (
        "time,unix_ms,service,pid,rss_bytes,cpu_user_us,threads\n"
        "2025-10-09T14:23:23.000+05:30,1760000003000,api,7,300,21,-3\n"
    )


THOUSANDTHS = [
    (0, "0"),
    (5, "0.005"),
    (-5, "-0.005"),
    (1500, "1.5"),
    (-1500, "-1.5"),
    (1_000_000, "1000"),
    (999, "0.999"),
    ((1 << 63) - 1, "9223372036854775.807"),
    (-(1 << 63), "-9223372036854775.808"),
]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_thousandths_are_exported_exactly_in_whole_units(write_run, tmp_path, form):
    writer = write_run(
        metrics=(("rss", "B", "gauge"), ("lag", "1/1000 s", "gauge"), ("x", "1/1000 ", "counter"))
    )
    for n, (value, _) in enumerate(THOUSANDTHS):
        writer.add(n * 1000, [n, value, value])
    out = tmp_path / f"out.{form}"
    export(
        [LocalRun(RunLog(str(writer.path)))], START_MS, START_MS + 60_000, out, form=form, zone=UTC
    )
    if form == "csv":
        assert out.read_text().startswith("time,unix_ms,service,pid,rss_bytes,lag_s,x\n")
        read = rows_of(out)
    else:
        lines = out.read_text().splitlines()
        read = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    assert [row["lag_s"] for row in read] == [text for _, text in THOUSANDTHS]
    assert [row["x"] for row in read] == [text for _, text in THOUSANDTHS]


def test_a_gauge_that_changes_from_integers_to_fractions_keeps_its_column(write_run, tmp_path):
    writer = write_run(metrics=(("lag", "s", "gauge"),))
    writer.add(0, [3])
    writer.change_metrics((("lag", "1/1000 s", "gauge"),))
    writer.add(1000, [3250])
    out = tmp_path / "out.csv"
    export([LocalRun(RunLog(str(writer.path)))], START_MS, START_MS + 2000, out, zone=UTC)
    assert [row["lag_s"] for row in rows_of(out)] == ["3", "3.25"]


def test_json_has_one_object_per_line(run, tmp_path):
    out = tmp_path / "out.jsonl"
    export(run, START_MS + 3000, START_MS + 5000, out, form="json", zone=UTC)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[0] == {
        "time": "2025-10-09T08:53:23.000+00:00",
        "unix_ms": START_MS + 3000,
        "service": "api",
        "pid": 7,
        "rss_bytes": 300,
        "cpu_user_us": 21,
        "threads": -3,
    }
    assert len(rows) == 2


def test_metrics_missing_in_a_segment_are_empty_cells(write_run, tmp_path):
    writer = write_run()
    writer.add(0, [1, 2, 3])
    writer.change_metrics((("threads", "count", "gauge"), ("queue_depth", "jobs", "gauge")))
    writer.add(1000, [4, 5])
    for form, empty in (("csv", ""), ("json", None)):
        out = tmp_path / f"out.{form}"
        export(
            [LocalRun(RunLog(str(writer.path)))],
            START_MS,
            START_MS + 2000,
            out,
            form=form,
            zone=UTC,
        )
        read = rows_of(out) if form == "csv" else map(json.loads, out.read_text().splitlines())
        first, second = read
        assert (first["queue_depth_jobs"], second["rss_bytes"]) == (empty, empty)
        assert (int(first["threads"]), int(second["threads"])) == (3, 4)
        assert int(second["queue_depth_jobs"]) == 5


def test_several_runs_share_the_columns_of_all(write_run, tmp_path):
    first = write_run(pid=1)
    first.add(0, [1, 2, 3])
    second = write_run(pid=2, metrics=[("rss", "B", "gauge"), ("rss", "B2", "gauge")][:1])
    second.add(0, [9])
    out = tmp_path / "out.csv"
    runs = [LocalRun(RunLog(str(writer.path))) for writer in (first, second)]
    assert export(runs, START_MS, START_MS + 1, out).rows == 2
    assert [(row["pid"], row["rss_bytes"], row["threads"]) for row in rows_of(out)] == [
        ("1", "1", "3"),
        ("2", "9", ""),
    ]


def test_hostile_names_become_safe_and_distinct_columns(write_run, tmp_path):
    table = [
        ("=cmd|' /C calc'!A0", "B", "gauge"),
        ('a,b"\n%s', "{}%d", "gauge"),
        ("+", "@", "gauge"),
        ("-", "", "gauge"),
        ("pid", "count", "gauge"),
        ("x", "B", "gauge"),
        ("x_bytes", "count", "gauge"),
    ]
    writer = write_run(service="-rf", metrics=table)
    writer.add(0, list(range(7)))
    for form in ("csv", "json"):
        out = tmp_path / f"out.{form}"
        export([LocalRun(RunLog(str(writer.path)))], START_MS, START_MS + 1, out, form=form)
        if form == "csv":
            (row,) = rows_of(out)
            assert row["service"] == "'-rf"
        else:
            row = json.loads(out.read_text())
            assert row["service"] == "-rf"
        assert list(row)[4:] == [
            "cmd_C_calc_A0_bytes",
            "a_b_s_d",
            "metric",
            "metric_2",
            "pid_2",
            "x_bytes",
            "x_bytes_2",
        ]
        assert [int(value) for value in list(row.values())[4:]] == list(range(7))


def test_an_existing_file_is_overwritten_only_on_request(run, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("precious")
    with pytest.raises(FileExistsError, match=r"out\.csv: already exists") as caught:
        export(run, START_MS, START_MS + 9000, out)
    assert "\n" not in str(caught.value)
    assert out.read_text() == "precious"
    assert leftovers(tmp_path) == ["out.csv"]
    export(run, START_MS, START_MS + 9000, out, overwrite=True)
    assert len(rows_of(out)) == 9


def test_a_file_that_appears_during_the_export_is_kept(run, tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(FileExistsError, match="already exists"):
        export(run, START_MS, START_MS + 9000, out, progress=lambda _: out.write_text("precious"))
    assert out.read_text() == "precious"
    assert leftovers(tmp_path) == ["out.csv"]


def test_a_dangling_link_is_not_followed(run, tmp_path):
    out = tmp_path / "out.csv"
    out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        export(run, START_MS, START_MS + 9000, out)
    assert not (tmp_path / "elsewhere").exists()


def test_without_hard_links_the_file_is_complete_too(run, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    out = tmp_path / "out.csv"
    assert export(run, START_MS, START_MS + 9000, out).rows == 9
    assert len(rows_of(out)) == 9
    assert leftovers(tmp_path) == ["out.csv"]
    with pytest.raises(FileExistsError):
        export(run, START_MS, START_MS + 9000, out)


def test_a_cancelled_export_leaves_no_file(run, tmp_path):
    with pytest.raises(ExportCancelledError):
        export(run, START_MS, START_MS + 9000, tmp_path / "out.csv", cancelled=lambda: True)
    assert leftovers(tmp_path) == []


def test_a_failed_export_leaves_no_file(run, tmp_path):
    def fail(_share):
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"out\.csv: No space left on device"):
        export(run, START_MS, START_MS + 9000, tmp_path / "out.csv", progress=fail)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["missing/out.csv", "home", "x" * 300], ids=["gone", "dir", "long"]
)
def test_an_unusable_path_is_a_one_line_error(run, tmp_path, name):
    with pytest.raises((OutputError, FileExistsError)) as caught:
        export(run, START_MS, START_MS + 9000, tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path) == []


def test_a_name_with_a_nul_is_a_one_line_error(run, tmp_path):
    with pytest.raises(OutputError, match="not a valid file name"):
        export(run, START_MS, START_MS + 9000, f"{tmp_path}/a\0b")


def test_a_directory_is_not_replaced_even_on_request(run, tmp_path):
    with pytest.raises(OutputError, match="not a valid file name"):
        export(run, START_MS, START_MS + 9000, tmp_path, overwrite=True)


def test_progress_ends_at_1(run, tmp_path):
    shares = []
    export(run, START_MS, START_MS + 9000, tmp_path / "out.csv", progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_an_empty_window_exports_only_the_heading(run, tmp_path):
    out = tmp_path / "out.csv"
    assert export(run, START_MS - 9000, START_MS, out).rows == 0
    assert out.read_text().startswith("time,unix_ms,service,pid,rss_bytes")
    assert rows_of(out) == []


def test_only_the_owner_can_read_the_file(run, tmp_path):
    out = tmp_path / "out.csv"
    export(run, START_MS, START_MS + 9000, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_rows_go_to_any_open_file(run):
    out = io.BytesIO()
    assert write_rows(run, START_MS, START_MS + 3000, out, zone=UTC) == (3, 0)
    assert out.getvalue().count(b"\n") == 4


def test_an_unknown_format_is_an_error(run, tmp_path):
    with pytest.raises(ValueError, match="xml"):
        export(run, START_MS, START_MS + 9000, tmp_path / "out.xml", form="xml")
    assert leftovers(tmp_path) == []


def test_a_damaged_page_is_skipped_and_counted(run, tmp_path):
    segment = Path(run[0].id) / "000001.pplog"
    raw = bytearray(segment.read_bytes())
    length = int.from_bytes(raw[fmt.PAGE_SIZE + 8 : fmt.PAGE_SIZE + 12], "little")
    raw[fmt.PAGE_SIZE + length - 1] ^= 1
    segment.write_bytes(raw)
    done = export(run, START_MS, START_MS + 10_000, tmp_path / "out.csv")
    assert (done.rows, done.skipped_pages) == (4, 1)


def test_the_suggested_path_is_unused_and_is_no_option(tmp_path):
    args = ("-rf", 7, START_MS, START_MS + 60_000, tmp_path, UTC)
    path = suggest_path(*args)
    assert path == tmp_path / "pprofplus--rf-7-20251009T085320-20251009T085420.csv"
    path.touch()
    assert suggest_path(*args).name.endswith("T085420-2.csv")
    assert suggest_path(*args, form="json").name.endswith("T085420.jsonl")


@given(
    st.lists(st.integers(0, 253_370_764_799_999), max_size=5),
    st.timedeltas(timedelta(hours=-23), timedelta(hours=23)),
)
def test_times_equal_those_of_datetime(times_ms, offset):
    zone = timezone(timedelta(seconds=int(offset.total_seconds())))
    wanted = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t))
        .astimezone(zone)
        .isoformat(timespec="milliseconds")
        for t in times_ms
    ]
    assert iso_times(times_ms, zone) == wanted


def test_a_time_outside_the_calendar_is_an_empty_text():
    assert iso_times([-(1 << 60), 1 << 60], UTC) == ["", ""]


def test_a_name_with_a_formula_or_a_line_break_becomes_a_plain_heading(write_run):
    names = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2",
        "@SUM(A1)",
        'a"b',
        "a\nb,c",
        "\x1b[31mred",
        "[bold]",
    ]
    names += ["x" * 5000, "requests"]
    units = ["=B", '"', "\n", "%d", "%s", "", "B", "B", "y" * 5000, "requests"]
    table = tuple((name, unit, "gauge") for name, unit in zip(names, units, strict=True))
    writer = write_run(metrics=table)
    writer.add(0, list(range(len(table))))
    run = [LocalRun(RunLog(str(writer.path)))]
    out = io.BytesIO()
    write_rows(run, START_MS, START_MS + 1, out)
    heading, row = out.getvalue().decode().splitlines()
    labels = heading.split(",")[4:]
    assert all(re.fullmatch(r"[A-Za-z0-9_.]{1,250}", label) for label in labels)
    assert len(set(labels)) == len(names)
    assert labels[-1] == "requests"
    assert row.split(",")[4:] == [str(n) for n in range(len(table))]
    out = io.BytesIO()
    write_rows(run, START_MS, START_MS + 1, out, form="json")
    assert list(json.loads(out.getvalue()).values())[4:] == list(range(len(table)))
