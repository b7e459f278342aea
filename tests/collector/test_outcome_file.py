"""`pprofplus outcome`: the end that systemd reports is recorded in the main process's run."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from kit import reference
from pprofplus.commands.outcome import outcome_of

SYSTEMD = "/lib/systemd/systemd"
# a user's systemd, in a namespace that looks booted with it and is not changed by it
SCRIPT = r"""
mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/systemd/system /run/user/0 ||
    exit 77
test -d /sys/fs/cgroup/unified || exit 77
# systemd takes in all processes of the cgroup that it is started in: let that be one of its own,
# in each hierarchy that it may take for its own
for group in /sys/fs/cgroup/*/; do
    mkdir $group/$CGROUP 2> /dev/null && echo $$ > $group/$CGROUP/cgroup.procs
done
grep -v "/$CGROUP\$" /proc/self/cgroup | grep -qE ":(name=systemd|memory|pids|cpu|):" && exit 77
export XDG_RUNTIME_DIR=/run/user/0
unset DBUS_SESSION_BUS_ADDRESS
timeout -k 5 90 {systemd} --user --log-target=null &
for i in $(seq 100); do systemctl --user list-units > /dev/null 2>&1 && break; sleep 0.1; done
systemctl --user list-units > /dev/null || exit 77
wait_for() {{  # what a unit's file says when it is over
    for i in $(seq 600); do test -e $STATE/$1 && return; sleep 0.1; done; exit 1
}}
systemctl --user start exits.service; wait_for exits
systemctl --user start stops.service; wait_for stops.up
systemctl --user stop stops.service; wait_for stops
systemctl --user start crashes.service; wait_for crashes
kill %1; wait
for group in /sys/fs/cgroup/*/; do
    test -d $group/$CGROUP || continue
    echo $$ > $group/cgroup.procs
    find $group/$CGROUP -depth -type d -exec rmdir {{}} +
done
"""
UNIT = """
[Service]
Environment=PPROFPLUS_DIR={log_directory} PYTHONPATH={path}
ExecStart={python} -m pprofplus run --service {name} -- {python} -c "{program}"
ExecStopPost=-{python} -m pprofplus outcome --service {name}
ExecStopPost=/usr/bin/touch {state}/{name}
"""
PROGRAMS = {
    "exits": "raise SystemExit(3)",
    "stops": "import time; open('{state}/stops.up', 'w').close(); time.sleep(600)",
    "crashes": "import os; os.kill(os.getpid(), 9)",
}


def noted(directory):
    found = json.loads((directory / "outcome").read_text())
    found.pop("unix_ms")
    return found


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(SYSTEMD) or not shutil.which("unshare"),
    reason="needs root and systemd",
)
def test_with_a_real_systemd_each_end_is_recorded_in_the_services_log(log_directory, tmp_path):
    units, state = tmp_path / "config" / "systemd" / "user", tmp_path / "state"
    units.mkdir(parents=True)
    state.mkdir()
    for name, program in PROGRAMS.items():
        text = UNIT.format(
            log_directory=log_directory,
            path=os.environ.get("PYTHONPATH", ""),
            python=sys.executable,
            name=name,
            program=program.format(state=state),
            state=state,
        )
        (units / f"{name}.service").write_text(text)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT.format(systemd=SYSTEMD)],
        env={
            **os.environ,
            "CGROUP": f"pprofplus-{os.getpid()}.slice",
            "STATE": str(state),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"systemd cannot run here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    by_service = {path.parent.name: noted(path) for path in reference.runs(log_directory)}
    assert by_service == {
        "exits": {
            "by": "systemd",
            "exit_code": 3,
            "signal": None,
            "oom_killed": False,
            "text": "exit code 3",
        },
        "stops": {
            "by": "systemd",
            "exit_code": None,
            "signal": 15,
            "oom_killed": False,
            "text": "killed by SIGTERM",
        },
        "crashes": {
            "by": "systemd",
            "exit_code": None,
            "signal": 9,
            "oom_killed": False,
            "text": "killed by SIGKILL",
        },
    }


@pytest.mark.parametrize(
    ("result", "code", "status", "expected"),
    [
        ("success", "exited", "0", (0, None, False, "exit code 0")),
        ("oom-kill", "killed", "KILL", (None, 9, True, "killed by the OOM killer (SIGKILL)")),
        (
            "oom-kill",  # of a worker: systemd stopped the rest of the unit for that
            "killed",
            "TERM",
            (None, 15, False, "killed by SIGTERM: the OOM killer killed a process of the unit"),
        ),
        (
            "timeout",
            "killed",
            "KILL",
            (None, 9, False, "killed by SIGKILL: it did not stop in time"),
        ),
        ("core-dump", "dumped", "SEGV", (None, 11, False, "killed by SIGSEGV: core dumped")),
    ],
)
def test_systemds_variables_are_translated_to_an_outcome(result, code, status, expected):
    found = outcome_of(result, code, status)
    assert (found.exit_code, found.signal, found.oom_killed, found.text) == expected


@pytest.mark.parametrize("words", [("", ""), ("killed", "NONSENSE"), ("exited", "x"), ("odd", "0")])
def test_variables_without_an_end_give_no_outcome(words):
    assert outcome_of("resources", *words) is None


@pytest.mark.parametrize(
    ("variables", "code", "line"),
    [
        ({}, 2, "ExecStopPost="),
        ({"SERVICE_RESULT": "resources"}, 0, "does not say how"),
        (
            {
                "SERVICE_RESULT": "success",
                "EXIT_CODE": "exited",
                "EXIT_STATUS": "0",
                "MAINPID": "1",
            },
            0,
            "no run of pid 1",
        ),
    ],
)
@pytest.mark.usefixtures("log_directory")
def test_an_outcome_that_cannot_be_written_prints_one_line(variables, code, line):
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus", "outcome"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert line in done.stderr
