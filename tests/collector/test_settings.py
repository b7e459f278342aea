"""Settings: arguments override the environment, and only a wrong argument is an error."""

import logging
import sys

import pytest

from pprofplus import warn
from pprofplus.settings import Settings, default_service

pytestmark = pytest.mark.usefixtures("log_directory")


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(warn, "_warned", set())


def test_settings_have_defaults(log_directory, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/srv/api.py"])
    settings = Settings()
    assert settings.service == "api"
    assert settings.interval_s == 1.0
    assert settings.max_bytes == 64 << 20
    assert settings.budget == 0.001
    assert not settings.group_readable
    assert not settings.disabled
    assert settings.log_directory == str(log_directory)


def test_the_environment_sets_what_the_arguments_omit(monkeypatch):
    for name, value in {
        "SERVICE": "web",
        "INTERVAL": "0.25",
        "MAX_BYTES": "1048576",
        "BUDGET": "0.01",
        "GROUP_READABLE": "yes",
        "DISABLED": "1",
    }.items():
        monkeypatch.setenv(f"PPROFPLUS_{name}", value)
    settings = Settings()
    assert (settings.service, settings.interval_s) == ("web", 0.25)
    assert (settings.max_bytes, settings.budget) == (1 << 20, 0.01)
    assert settings.group_readable
    assert settings.disabled


def test_arguments_override_the_environment(monkeypatch, tmp_path):
    for name, value in {
        "SERVICE": "web",
        "INTERVAL": "0.25",
        "MAX_BYTES": "1048576",
        "BUDGET": "0.01",
        "GROUP_READABLE": "1",
        "DIR": "/elsewhere",
    }.items():
        monkeypatch.setenv(f"PPROFPLUS_{name}", value)
    settings = Settings(
        "api",
        interval_s=2,
        max_bytes=1 << 21,
        budget=0.1,
        group_readable=False,
        directory=tmp_path,
    )
    assert (settings.service, settings.interval_s) == ("api", 2.0)
    assert (settings.max_bytes, settings.budget) == (1 << 21, 0.1)
    assert not settings.group_readable
    assert settings.log_directory == str(tmp_path)


@pytest.mark.parametrize(
    ("variable", "attribute", "default"),
    [
        ("SERVICE=a/b", "service", "api"),
        ("INTERVAL=fast", "interval_s", 1.0),
        ("INTERVAL=0.01", "interval_s", 1.0),
        ("INTERVAL=nan", "interval_s", 1.0),
        ("MAX_BYTES=64M", "max_bytes", 64 << 20),
        ("MAX_BYTES=5", "max_bytes", 64 << 20),
        ("BUDGET=-1", "budget", 0.001),
        ("GROUP_READABLE=perhaps", "group_readable", False),
        ("DISABLED=perhaps", "disabled", False),
    ],
)
def test_a_malformed_environment_variable_is_logged_once_and_ignored(
    monkeypatch, caplog, variable, attribute, default
):
    name, value = variable.split("=")
    monkeypatch.setattr(sys, "argv", ["/srv/api.py"])
    monkeypatch.setenv(f"PPROFPLUS_{name}", value)
    with caplog.at_level(logging.WARNING, "pprofplus"):
        for _ in range(3):
            assert getattr(Settings(), attribute) == default
    (record,) = caplog.records
    assert record.name == "pprofplus"
    assert f"PPROFPLUS_{name}" in record.getMessage()


@pytest.mark.parametrize(
    "arguments",
    [
        {"service": ""},
        {"service": ".."},
        {"service": "a/b"},
        {"service": "x" * 65},
        {"service": 5},
        {"interval_s": 0.049},
        {"interval_s": 3601},
        {"interval_s": float("nan")},
        {"interval_s": "soon"},
        {"interval_s": []},
        {"max_bytes": (256 << 10) - 1},
        {"max_bytes": "many"},
        {"max_bytes": float("inf")},
        {"budget": 0},
        {"budget": 2},
        {"budget": "some"},
        {"directory": ""},
        {"directory": 5},
        {"directory": "a\0b"},
    ],
)
def test_a_wrong_argument_is_a_value_error_that_names_it(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        Settings(**arguments)


@pytest.mark.parametrize("interval_s", [0.05, 1, 3600])
def test_the_limits_of_the_interval_are_valid(interval_s):
    assert Settings("api", interval_s=interval_s).interval_s == interval_s


@pytest.mark.parametrize(
    ("script", "service"),
    [
        ("/srv/app/api.py", "api"),
        ("worker", "worker"),
        ("/venv/bin/gunicorn", "gunicorn"),
        ("/srv/shop/__main__.py", "shop"),
        ("/srv/my service (new).py", "my-service-new"),
        ("/srv/" + "x" * 100 + ".py", "x" * 64),
        ("/srv/é.py", "python"),
        ("-c", "python"),
        ("-m", "python"),
        ("", "python"),
        ("/srv/...", "python"),
    ],
)
def test_the_default_service_is_derived_from_the_scripts_name(monkeypatch, script, service):
    monkeypatch.setattr(sys, "argv", [script])
    assert default_service() == service
    assert Settings().service == service


def test_a_process_without_arguments_has_a_default_service(monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    assert default_service() == "python"
