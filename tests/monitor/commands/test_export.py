"""`export`: metrics, steps, windows, several runs, and files that are never overwritten."""

import json
import time

import pytest

from kit.units import MIB

BEGIN_MS = 1_800_000_000_000  # 8:00:00 UTC
NAMES = (
    *("rss", "uss", "vms", "heap_sys", "heap_used", "heap_idle", "malloc_sys", "malloc_used"),
    *("malloc_free", "gc_pause_max", "gc_runs_0", "cpu_user", "cpu_system", "threads"),
)


def test_metrics_are_exported_in_the_order_given(home, command):
    home.run(count=3)
    done = command("export", "--metrics", "threads,rss")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "time,unix_ms,service,pid,threads,rss_bytes"


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("rs", "no metric 'rs' in this log; similar names: rss\n"),
        ("rss,heap", "no metric 'heap' in this log; similar names: heap_sys, heap_"),
        ("zzzz", "no metric 'zzzz' in this log; it has rss, uss, vms, "),
        ("RSS", "no metric 'RSS' in this log; similar names: rss"),
        (",", "--metrics needs names"),
    ],
)
def test_an_unknown_metric_is_a_one_line_error_with_similar_names_and_no_file(
    home, command, tmp_path, metrics, message
):
    home.run(count=3)
    done = command("export", "--metrics", metrics, "-o", tmp_path / "out.csv")
    assert done.returncode == 2
    assert done.stderr.startswith(f"pprofplus-tui: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_steps_have_the_smallest_the_largest_and_the_last_value(home, command, rows_of):
    def sawtooth(i):
        return dict.fromkeys(NAMES, 0) | {"rss": [5, 9, 2, 7][i % 4] * MIB}

    home.run(count=600, sample=sawtooth)
    done = command("export", "--metrics", "rss", "--every", "1m")
    rows = rows_of(done.stdout)
    assert list(rows[0]) == [
        *("time", "unix_ms", "service", "pid", "samples"),
        *("rss_bytes_min", "rss_bytes_max", "rss_bytes_last"),
    ]
    assert [int(row["unix_ms"]) for row in rows] == [BEGIN_MS + 60_000 * i for i in range(10)]
    assert {row["samples"] for row in rows} == {"60"}
    for row in rows:
        found = [int(row[f"rss_bytes_{what}"]) // MIB for what in ("min", "max", "last")]
        assert found == [2, 9, 7]


def test_steps_summarize_every_sample(home, command, rows_of):
    home.run(count=5000)  # of several pages
    samples = rows_of(command("export").stdout)
    steps = rows_of(command("export", "--every", "7m").stdout)
    assert sum(int(step["samples"]) for step in steps) == len(samples) == 5000
    at = 0
    for step in steps:
        mine = samples[at : at + int(step["samples"])]
        at += len(mine)
        for label in ("rss_bytes", "gc_pause_max_us", "cpu_user_us"):
            values = [int(row[label]) for row in mine]
            assert int(step[f"{label}_min"]) == min(values)
            assert int(step[f"{label}_max"]) == max(values)
            assert int(step[f"{label}_last"]) == values[-1]


def test_steps_begin_at_round_local_times(home, command, rows_of):
    home.run(count=10, interval_ms=3_600_000, begin_ms=BEGIN_MS)
    done = command("export", "--every", "1d", env={"TZ": "XST-5:30"})
    assert [row["time"][10:] for row in rows_of(done.stdout)] == ["T00:00:00.000+05:30"]


def test_a_gap_produces_no_rows(home, command, rows_of):
    home.run(count=2, interval_ms=600_000)
    steps = rows_of(command("export", "--every", "1m").stdout)
    assert [int(step["unix_ms"]) for step in steps] == [BEGIN_MS, BEGIN_MS + 600_000]


def test_steps_as_json_have_one_object_per_line(home, command):
    home.run(count=60)
    done = command("export", "--every", "30s", "--metrics", "rss", "--format", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["samples"] for row in rows] == [30, 30]
    assert rows[0]["rss_bytes_min"] == 70 * MIB


def test_thousandths_in_steps_are_whole_units(home, command, rows_of):
    lag = ("lag", "1/1000 s", "gauge", lambda i: [250, 1500, 3][i % 3])
    home.run(count=3, own=(lag,))
    (row,) = rows_of(command("export", "--every", "1h", "--metrics", "lag").stdout)
    found = row["lag_s_min"], row["lag_s_max"], row["lag_s_last"]
    assert found == ("0.003", "1.5", "0.003")


def test_all_pids_of_a_service_are_exported_in_one_window(home, command, rows_of):
    home.run("api", 1, count=30)
    home.run("api", 2, begin_ms=BEGIN_MS + 60_000, count=30)
    home.run("web", 3, count=30)
    done = command("export", "--service", "api")
    assert [row["pid"] for row in rows_of(done.stdout)] == ["1"] * 30 + ["2"] * 30
    assert done.stderr == ""
    done = command("export", "--service", "api", "--last", "10s")
    assert [row["pid"] for row in rows_of(done.stdout)] == ["2"] * 10


def test_several_pids_and_several_runs_can_be_named(home, command, rows_of):
    home.run("api", 1, count=3)
    home.run("api", 2, count=3)
    home.run("web", 3, count=3)
    done = command("export", "--pid", "1", "--pid", "3")
    assert {row["pid"] for row in rows_of(done.stdout)} == {"1", "3"}
    done = command("export", "web/3", "api/2", "web/3")
    assert [row["pid"] for row in rows_of(done.stdout)] == ["3"] * 3 + ["2"] * 3


def test_a_run_that_does_not_exist_is_a_one_line_error(home, command):
    home.run("api", 1, count=3)
    done = command("export", "api/2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "no run api/2" in done.stderr


def test_the_monitor_accepts_only_one_pid(command):
    done = command("--pid", "1", "--pid", "2")
    assert done.returncode == 2
    assert "one --pid" in done.stderr


def test_export_writes_every_sample_of_the_newest_run_to_standard_output(run_main, home, rows_of):
    home.run("api", 1, begin_ms=BEGIN_MS, count=30)
    home.run("api", 2, begin_ms=BEGIN_MS + 100_000, count=50)
    code, out, err = run_main("export", "--dir", home.path)
    rows = rows_of(out)
    assert code == 0
    assert [row["pid"] for row in rows] == ["2"] * 50
    assert err.count("\n") == 1
    assert "api 2, the newest of 2 runs" in err


def test_export_as_json_has_one_object_per_line(run_main, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=30)
    code, out, _ = run_main("export", "--format", "json", "--dir", home.path)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["unix_ms"] for row in rows] == [BEGIN_MS + 1000 * i for i in range(30)]
    assert rows[0]["rss_bytes"] == 70 << 20


@pytest.mark.parametrize("form", ["csv", "json"])
def test_export_to_a_file_writes_the_same_text_as_to_standard_output(
    run_main, home, tmp_path, form
):
    home.run("api", 1, begin_ms=BEGIN_MS, count=30)
    words = ["export", "--dir", home.path, "--format", form]
    _, out, _ = run_main(*words)
    target = tmp_path / "out"
    code, out_too, err = run_main(*words, "-o", target)
    assert (code, out_too) == (0, "")
    assert target.read_bytes().decode() == out
    assert err.startswith(f"{target}: 30 samples, ")
    assert err.count("\n") == 1


def test_export_does_not_overwrite_a_file(run_main, home, tmp_path):
    home.run("api", 1, count=30)
    target = tmp_path / "out.csv"
    target.write_text("precious")
    code, _, err = run_main("export", "--dir", home.path, "-o", target)
    assert code == 2
    assert err.count("\n") == 1
    assert "already exists" in err
    assert target.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.csv"]


def test_export_into_a_missing_directory_is_a_one_line_error(run_main, home, tmp_path):
    home.run("api", 1, count=30)
    code, _, err = run_main("export", "--dir", home.path, "-o", tmp_path / "no" / "x.csv")
    assert code == 1
    assert err.count("\n") == 1


def test_last_counts_from_the_end_of_a_run_that_has_ended(run_main, home, rows_of):
    home.run("api", 1, begin_ms=BEGIN_MS, count=600)
    _, out, _ = run_main("export", "--last", "10s", "--dir", home.path)
    begin = BEGIN_MS + 590_000
    assert [int(row["unix_ms"]) for row in rows_of(out)] == [begin + 1000 * i for i in range(10)]


def test_last_counts_from_now_for_a_live_run(run_main, home, rows_of):
    now_ms = time.time_ns() // 1_000_000
    home.run("api", 1, begin_ms=now_ms - 600_000, count=599, state="live")
    _, out, _ = run_main("export", "--last", "60s", "--dir", home.path)
    assert 50 <= len(rows_of(out)) <= 60


def test_begin_is_inclusive_and_end_is_exclusive(run_main, home, rows_of):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 + 10}", "--end", f"@{BEGIN_MS // 1000 + 20}"]
    _, out, _ = run_main("export", *window, "--dir", home.path)
    times = [int(row["unix_ms"]) for row in rows_of(out)]
    assert (times[0], times[-1], len(times)) == (BEGIN_MS + 10_000, BEGIN_MS + 19_000, 10)


def test_last_after_begin_counts_forward(run_main, home, rows_of):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 + 10}", "--last", "5s"]
    _, out, _ = run_main("export", *window, "--dir", home.path)
    assert [int(row["unix_ms"]) for row in rows_of(out)] == [
        BEGIN_MS + 10_000 + 1000 * i for i in range(5)
    ]


def test_a_begin_in_the_future_is_a_one_line_error(run_main, home):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    code, out, err = run_main("export", "--begin", "2090-01-01 00:00", "--dir", home.path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_a_window_without_samples_exits_1_with_one_line(run_main, home, rows_of):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 - 60}", "--end", f"@{BEGIN_MS // 1000 - 30}"]
    code, out, err = run_main("export", *window, "--dir", home.path)
    assert code == 1
    assert rows_of(out) == []
    assert err == "pprofplus-tui: no samples in this window\n"


def test_a_window_without_samples_leaves_no_file(run_main, home, tmp_path):
    home.run("api", 1, begin_ms=BEGIN_MS, count=60)
    window = ["--begin", f"@{BEGIN_MS // 1000 - 60}", "--end", f"@{BEGIN_MS // 1000 - 30}"]
    target = tmp_path / "out.csv"
    code, out, err = run_main("export", *window, "--dir", home.path, "-o", target)
    assert (code, out) == (1, "")
    assert err == "pprofplus-tui: no samples in this window\n"
    assert not target.exists()


def test_export_of_a_pid_has_only_its_run(run_main, home, rows_of):
    home.run("api", 1, count=5)
    home.run("api", 2, begin_ms=1_800_000_500_000, count=5)
    _, out, err = run_main("export", "--pid", "1", "--dir", home.path)
    assert {row["pid"] for row in rows_of(out)} == {"1"}
    assert err == ""
