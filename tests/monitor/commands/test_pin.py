"""`pin` and `unpin`."""

import json
from pathlib import Path

import pytest

BEGIN_MS = 1_700_000_000_000


def test_a_run_is_pinned_and_unpinned_by_name_and_list_shows_it(run_main, home):
    path = Path(home.run("api", 4711))
    home.run("api", 4712)
    for word, pinned in (("pin", True), ("unpin", False)):
        code, out, err = run_main(word, "api/4711", "--dir", home.path)
        assert (code, err) == (0, "")
        assert out == f"{path}: {'pinned' if pinned else 'not pinned'}\n"
        assert (path / "pinned").is_file() is pinned
        _, out, _ = run_main("list", "--json", "--dir", home.path)
        assert {run["pid"]: run["pinned"] for run in json.loads(out)} == {4711: pinned, 4712: False}


@pytest.mark.parametrize("name", ["api/1", "api", "4711", "nobody/4711", "", "../api/4711"])
def test_a_run_that_does_not_exist_cannot_be_pinned(run_main, home, name):
    home.run("api", 4711)
    code, out, err = run_main("pin", name, "--dir", home.path)
    assert (code, out) == (1, "")
    assert "no run" in err
    assert err.count("\n") == 1


def test_a_pid_of_two_runs_is_an_error_that_names_them(run_main, home):
    home.run("api", 7, begin_ms=BEGIN_MS)
    path = home.run("api", 7, begin_ms=BEGIN_MS + 10_000_000)
    code, _, err = run_main("pin", "api/7", "--dir", home.path)
    assert code == 2
    assert f"api/7-{BEGIN_MS}" in err
    code, out, _ = run_main("pin", f"api/7-{BEGIN_MS + 10_000_000}", "--dir", home.path)
    assert (code, out) == (0, f"{path}: pinned\n")
