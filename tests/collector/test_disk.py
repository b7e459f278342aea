"""Errors of the disk: the host continues, one line is logged, and every lost sample is counted."""

import shutil
import subprocess
from itertools import pairwise

import pytest

from kit import monitor_reader, reference
from kit.environment import needs_root
from kit.programs import FULL_DISK
from pprofplus.log.format import LOST


@pytest.fixture
def on_disk(run_service, private_mounts, tmp_path):
    """Run a service whose logs are on its own small disk, `disk`; see `run_service`.

    The disk disappears with the process, so the log is copied before that.
    """
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()

    def run(options, program):
        mounted = f"""
import shutil, subprocess
disk, log_directory = {str(disk)!r}, {str(disk / "logs")!r}
os.environ["PPROFPLUS_DIR"] = log_directory
def mount(*words):
    subprocess.run(["mount", *words], check=True)
mount("-t", "tmpfs", "-o", {options!r}, "tmpfs", disk)
"""
        ended = f"\nshutil.copytree(log_directory, {str(copy)!r})\n"
        return run_service(mounted + program + ended, logs=copy, prefix=private_mounts)

    return run


def lost_of(run):
    return [event for event in run.events if event.kind == LOST]


def numbers(run):
    """The sequence numbers of the samples that are in the log."""
    return [row["rss"] for _, _, row in run.samples]


def assert_all_accounted(report, run):
    """Assert that each sample is in the log once, or counted as lost, and in order."""
    kept = numbers(run)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(report["taken"]))
    assert len(kept) + run.lost == report["taken"]
    times = [mono for mono, _, _ in run.samples]
    assert times == sorted(times)
    monitor_reader.assert_the_monitor_reads_the_same(run)


FULL = """
collector = pprofplus.start("api", interval_s=0.002)
samples(300)
fill(disk + "/filler")
wait_for(in_trouble)
samples(500)
assert collector.running
os.unlink(disk + "/filler")
since = len(history)
first = resumed(since)
samples(100)
report(first=first)
"""


def test_a_full_disk_is_logged_once_and_every_lost_sample_is_counted(on_disk):
    report, run = on_disk("size=512k", FULL)
    assert_all_accounted(report, run)
    assert run.bad == 0
    lost = lost_of(run)
    assert run.lost > 100
    assert {event.text for event in lost} == {"ENOSPC"}
    (line,) = report["warnings"]
    assert "No space left on device" in line
    assert "will try again" in line


def test_recording_resumes_within_two_intervals_after_a_full_disk_has_space(on_disk):
    report, _ = on_disk("size=512k", FULL)
    assert report["first"] <= 2


def test_a_full_disk_leaves_a_gap_of_its_duration_and_the_newest_samples(on_disk):
    report, run = on_disk("size=512k", FULL)
    kept = numbers(run)
    times = [mono for mono, _, _ in run.samples]
    assert kept[-100:] == list(range(report["taken"] - 100, report["taken"]))
    for (i, j), (earlier, later) in zip(pairwise(kept), pairwise(times), strict=True):
        assert later - earlier >= j - i - 1  # two milliseconds from sample to sample


@pytest.mark.parametrize("again_s", [3600, 0])
def test_a_disk_that_is_full_again_is_logged_again_but_not_within_the_hour(on_disk, again_s):
    report, run = on_disk(
        "size=512k",
        f"""
from pprofplus import warn
warn.THROTTLE_S = {again_s}
pprofplus.start("api", interval_s=0.002)
for _ in range(2):
    samples(100)
    fill(disk + "/filler")
    wait_for(in_trouble)
    samples(20)
    os.unlink(disk + "/filler")
    wait_for(lambda: not in_trouble())
samples(100)
report()
""",
    )
    assert_all_accounted(report, run)
    assert len(report["warnings"]) == 1 if again_s else len(report["warnings"]) >= 2


def test_a_disk_full_from_the_start_costs_no_sample_that_fits_in_a_page(on_disk):
    report, run = on_disk(
        "size=256k",
        """
fill(disk + "/filler")
collector = pprofplus.start("api", interval_s=0.05)
samples(10)
assert in_trouble() and collector.samples == 0
os.unlink(disk + "/filler")
wait_for(lambda: collector.samples > 0)
report()
""",
    )
    assert len(run.samples) == report["taken"]
    assert run.kinds == ["start", "stop"]
    assert len(report["warnings"]) == 1
    monitor_reader.assert_the_monitor_reads_the_same(run)


def test_a_full_disk_does_not_delay_the_end(on_disk):
    report, run = on_disk(
        "size=256k",
        """
pprofplus.start("api", interval_s=0.002)
samples(100)
fill(disk + "/filler")
wait_for(in_trouble)
report()
""",
    )
    assert 0 < len(run.samples) <= report["taken"]
    assert run.kinds == ["start"]
    monitor_reader.assert_the_monitor_reads_the_same(run)


@pytest.mark.skipif(not monitor_reader.AVAILABLE, reason=monitor_reader.WHY_NOT)
def test_the_monitor_exports_every_sample_that_a_full_disk_has_taken(on_disk):
    report, run = on_disk("size=512k", FULL)
    exported, skipped = monitor_reader.exported(run.directory, "rss")
    assert len(exported) + run.lost == report["taken"]
    assert skipped == 0


def test_a_page_that_needs_another_block_on_a_full_disk_leaves_no_head_without_a_body(
    run, private_mounts, tmp_path
):
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    program = f"""
for pid in range(62, 122, 4):
    service = Service(pid)
    service.add(pid)
    fill()
    service.add(600)
    free()
    service.add(300)
    service.writer.close()
    keep(service, {str(copy)!r})
    print(service.writer.samples)
"""
    written = run(FULL_DISK + program, str(disk), prefix=private_mounts)
    runs = [reference.Run(directory) for directory in reference.runs(copy)]
    runs.sort(key=lambda found: found.header.pid)
    assert [len(found.samples) for found in runs] == list(map(int, written))
    assert [found.bad for found in runs] == [0] * len(runs)
    for found in runs:
        monitor_reader.assert_the_monitor_reads_the_same(found, "m0")


def test_without_an_inode_the_old_segment_stays_locked_and_the_next_opens_later(on_disk):
    report, run = on_disk(
        "size=4m,nr_inodes=40",
        """
import fcntl, tracemalloc
collector = pprofplus.start("api", interval_s=0.002)
samples(100)
names = []
try:
    while True:
        names.append(f"{disk}/{len(names)}")
        open(names[-1], "x").close()
except OSError:
    names.pop()
tracemalloc.start()  # two columns more: another table, another segment
wait_for(in_trouble)
wait_for(lambda: lost() > 50)
with open(collector.directory + "/000001.pplog") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        raise SystemExit("not locked")
    except BlockingIOError:
        pass
for name in names:
    os.unlink(name)
since = len(history)
first = resumed(since)
samples(50)
report(first=first)
""",
    )
    assert_all_accounted(report, run)
    assert report["first"] <= 2
    assert len(run.headers) == 2
    assert "traced" in run.samples[-1][2]
    assert len(report["warnings"]) == 1


def test_a_read_only_disk_is_logged_once_and_used_when_it_is_writable(on_disk):
    # the kernel refuses to remount while a file is open for writing, so the disk is read-only from
    # the start
    report, run = on_disk(
        "size=4m",
        """
mount("-o", "remount,bind,ro", disk)
pprofplus.start("api", interval_s=0.002)
wait_for(lambda: lost() > 100)
mount("-o", "remount,bind,rw", disk)
since = len(history)
first = resumed(since)
samples(50)
report(first=first)
""",
    )
    assert_all_accounted(report, run)
    assert report["first"] <= 2
    assert lost_of(run)[0].text == "EROFS"
    (line,) = report["warnings"]
    assert "Read-only file system" in line


@needs_root("only root can mount an image")
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mkfs.btrfs") is None, reason="no mkfs.btrfs")
def test_a_quota_is_handled_as_a_full_disk(run_service, tmp_path):
    image, disk, copy = tmp_path / "image", tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(200 << 20)
    subprocess.run([shutil.which("mkfs.btrfs"), "-q", image], check=True, capture_output=True)
    mounted = ["unshare", "-m", "mount", "-o", "loop", image, disk]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("this machine has no loop devices, or no btrfs")
    program = f"""
import shutil, subprocess
disk = {str(disk)!r}
volume = disk + "/limited"
os.environ["PPROFPLUS_DIR"] = log_directory = volume + "/logs"
def call(*words):
    subprocess.run(words, check=True, capture_output=True)
call("mount", "-o", "loop", {str(image)!r}, disk)
call("btrfs", "quota", "enable", disk)
call("btrfs", "subvolume", "create", volume)
call("btrfs", "qgroup", "limit", "4m", volume)
pprofplus.start("api", interval_s=0.002)
samples(300)
fill(volume + "/filler")
wait_for(lambda: lost() > 100)
os.unlink(volume + "/filler")
os.sync()  # what is freed counts from the next transaction on
since = len(history)
first = resumed(since)
samples(300)
report()
shutil.copytree(log_directory, {str(copy)!r})
"""
    report, run = run_service(program, logs=copy, prefix=["unshare", "-m"])
    assert_all_accounted(report, run)
    assert {event.text for event in lost_of(run)} == {"EDQUOT"}
    (line,) = report["warnings"]
    assert "quota" in line.lower()


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="no mkfs.ext4")
def test_recording_moves_from_a_failed_file_system_to_one_mounted_over_it(run_service, tmp_path):
    image, disk, copy = tmp_path / "image", tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    image.write_bytes(bytes(4 << 20))
    subprocess.run([shutil.which("mkfs.ext4"), "-q", "-F", image], check=True)
    mounted = ["unshare", "-m", "mount", "-o", "loop,errors=remount-ro", image, disk]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("this machine has no loop devices")
    program = f"""
import shutil, subprocess
disk, log_directory = {str(disk)!r}, {str(disk / "logs")!r}
os.environ["PPROFPLUS_DIR"] = log_directory
def out_of(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
out_of("mount", "-o", "loop,errors=remount-ro", {str(image)!r}, disk)
device = os.path.basename(out_of("findmnt", "-no", "SOURCE", disk))
pprofplus.start("api", interval_s=0.002)
samples(200)
with open(f"/sys/fs/ext4/{{device}}/trigger_fs_error", "w") as trigger:
    trigger.write("1")
wait_for(in_trouble)
wait_for(lambda: lost() > 100)
shutil.copytree(log_directory, {str(copy)!r})
out_of("mount", "-t", "tmpfs", "tmpfs", disk)
since = len(history)
first = resumed(since)
samples(50)
report(first=first)
shutil.copytree(log_directory, {str(copy)!r}, dirs_exist_ok=True)
"""
    report, run = run_service(program, logs=copy, prefix=["unshare", "-m"])
    assert_all_accounted(report, run)
    assert report["first"] <= 2
    assert len(run.headers) == 2
    assert (
        len(report["warnings"])
        == len({line.rpartition(": ")[2] for line in report["warnings"]})
        <= 2
    )


def test_a_file_size_limit_makes_segments_smaller(run_service):
    # SIGXFSZ with its default disposition would end a host that only embeds Python
    report, run = run_service(
        """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
pprofplus.start("api", interval_s=0.002)
samples(1500)
report()
""",
    )
    assert_all_accounted(report, run)
    assert report["warnings"] == []
    assert lost_of(run) == []
    assert len(run.headers) > 1
    assert all(path.stat().st_size <= 50_000 for path in reference.segments(run.directory))


def test_a_file_size_limit_below_a_segment_is_logged_and_never_exceeded(run_service):
    report, run = run_service(
        """
import resource, signal
before = signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
pprofplus.start("api", interval_s=0.002)
samples(100)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
since = len(history)
first = resumed(since)
report(first=first)
"""
    )
    assert_all_accounted(report, run)
    assert report["first"] <= 2
    assert run.lost > 0
    (line,) = report["warnings"]
    assert "File too large" in line


def test_samples_lost_when_the_host_closes_our_descriptor_on_a_full_disk_are_counted(run_service):
    report, run = run_service(
        """
import resource
pprofplus.start("api", interval_s=0.002)
samples(100)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
os.closerange(3, 100)
samples(300)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
since = len(history)
first = resumed(since)
samples(20)
report(first=first)
"""
    )
    assert_all_accounted(report, run)
    assert run.lost > 0
    assert report["first"] <= 2
    assert run.kinds == ["start", "lost", "stop"]


def test_a_file_size_limit_that_is_set_later_costs_no_sample(run_service):
    report, run = run_service(
        """
import resource
collector = pprofplus.start("api", interval_s=0.002)
wait_for(lambda: os.stat(collector.directory + "/000001.pplog").st_size > 50_000)
since = len(history)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
wait_for(lambda: any(history[since:]))  # it may be over with the next sample
wait_for(lambda: not in_trouble())
samples(1000)
report()
""",
    )
    assert_all_accounted(report, run)
    assert lost_of(run) == []
    (line,) = report["warnings"]
    assert "File too large" in line


@pytest.mark.parametrize(
    ("harm", "text", "first_kind"),
    [
        ("os.unlink(segment)", "removed", "lost"),
        ("remove(collector.directory)", "removed", "lost"),
        ("remove(os.environ['PPROFPLUS_DIR'])", "removed", "lost"),
        ("os.truncate(segment, 0)", "removed", "lost"),
        ("os.truncate(segment, 100)", "removed", "lost"),
        ("os.truncate(segment, 3 * 8192 + 5000)", "truncated", "start"),
    ],
)
def test_samples_removed_from_the_open_segment_are_logged_and_counted(
    run_service, harm, text, first_kind
):
    report, run = run_service(
        f"""
import shutil
def remove(directory):
    os.rename(directory, directory + ".away")  # at this rate it is made anew before it is empty
    shutil.rmtree(directory + ".away")
collector = pprofplus.start("api", interval_s=0.002)
segment = collector.directory + "/000001.pplog"
wait_for(lambda: os.stat(segment).st_size > 6 * 8192)
between_samples(lambda: {harm})
samples(100)
assert not in_trouble()
written = collector.samples
report(written=written)
""",
    )
    assert_all_accounted(report, run)
    (event,) = lost_of(run)
    assert event.value > 50
    assert event.text == text
    assert (
        run.kinds
        == sorted([first_kind, "lost", "stop"], key=["start", "lost", "stop"].index)[
            first_kind == "lost" :
        ]
    )
    assert report["written"] <= len(run.samples)
    (line,) = report["warnings"]
    assert text in line


def test_samples_lost_with_a_segment_that_has_a_lost_event_are_all_counted(on_disk):
    report, run = on_disk(
        "size=512k",
        """
collector = pprofplus.start("api", interval_s=0.002)
samples(50)
fill(disk + "/filler")
samples(400)
os.unlink(disk + "/filler")
wait_for(lambda: not in_trouble() and not lost())
samples(200)
names = [name for name in os.listdir(collector.directory) if name.endswith(".pplog")]
os.unlink(collector.directory + "/" + max(names))
samples(100)
report()
""",
    )
    assert_all_accounted(report, run)
    # the log has no other record of the first loss
    assert lost_of(run)[-1].text == "removed"


NO_DESCRIPTORS = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def exhaust():
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return taken
"""


def test_without_descriptors_the_open_segment_is_still_written(run_service):
    report, run = run_service(
        NO_DESCRIPTORS
        + """
pprofplus.start("api", interval_s=0.002)
samples(20)
taken = exhaust()
samples(200)
assert not in_trouble()
for number in taken:
    os.close(number)
report()
""",
    )
    assert_all_accounted(report, run)
    assert lost_of(run) == []


def test_without_descriptors_a_new_segment_opens_later_and_lost_samples_are_counted(run_service):
    report, run = run_service(
        NO_DESCRIPTORS
        + """
import tracemalloc
pprofplus.start("api", interval_s=0.002)
samples(20)
taken = exhaust()
tracemalloc.start()
wait_for(in_trouble)
wait_for(lambda: lost() > 50)
for number in taken:
    os.close(number)
since = len(history)
first = resumed(since)
samples(50)
report(first=first)
""",
    )
    assert_all_accounted(report, run)
    assert report["first"] <= 2
    (event,) = lost_of(run)
    assert event.text == "EMFILE"
    lines = [line for line in report["warnings"] if "cannot write" in line]
    assert len(lines) == 1
    assert len(report["warnings"]) == len(set(report["warnings"]))


def test_a_start_without_descriptors_records_every_metric_once_some_are_free(run_service):
    report, run = run_service(
        NO_DESCRIPTORS
        + """
taken = exhaust()
collector = pprofplus.start("api", interval_s=0.05)
samples(5)
assert collector.running and collector.samples == 0
for number in taken:
    os.close(number)
since = len(history)
first = resumed(since)
samples(10)
report(first=first)
""",
    )
    assert len(run.samples) == report["taken"]
    assert report["first"] <= 2
    assert {"rss", "heap_used", "uss", "threads", "fds"} <= run.samples[-1][2].keys()
    (line,) = report["warnings"]
    assert "Too many open files" in line
