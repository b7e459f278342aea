"""The collector's own thread, the bell that wakes it, and the gate that others wait at."""

import threading

import pytest

from pprofplus.system.background import BackgroundThread, Gate, WakeEvent


def test_a_ring_wakes_the_one_who_waits():
    bell = WakeEvent()
    found = []
    thread = threading.Thread(target=lambda: found.append(bell.wait(60)))
    thread.start()
    bell.ring()
    thread.join(30)
    assert found == [True]


def test_a_bell_that_does_not_ring_is_waited_for_no_longer_than_said():
    bell = WakeEvent()
    assert not bell.wait(0.001)
    assert not bell.wait(0)
    assert not bell.wait(-1)


def test_a_ring_that_nobody_waited_for_is_heard_once_and_two_are_one():
    bell = WakeEvent()
    bell.ring()
    bell.ring()
    assert bell.wait(60)
    assert not bell.wait(0)


def test_many_who_ring_at_once_do_not_disturb_each_other():
    for _ in range(50):
        bell = WakeEvent()
        begin = threading.Barrier(4)

        def ring(bell=bell, begin=begin):
            begin.wait()
            bell.ring()

        threads = [threading.Thread(target=ring) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert bell.wait(60)
        for thread in threads:
            thread.join()


def test_a_thread_is_alive_until_its_function_returns():
    bell, seen = WakeEvent(), []
    thread = BackgroundThread(lambda: seen.append((thread.is_current(), bell.wait(60))))
    assert not thread.alive
    thread.start()
    assert thread.alive
    assert not thread.is_current()
    thread.join(0.01)
    assert thread.alive
    bell.ring()
    thread.join(30)
    assert seen == [(True, True)]
    assert not thread.alive
    thread.join(30)  # at once


def test_joining_a_thread_that_was_never_started_returns_at_once():
    BackgroundThread(lambda: None).join(60)


def test_the_hosts_list_of_threads_does_not_know_it():
    bell = WakeEvent()
    before = threading.enumerate()
    thread = BackgroundThread(lambda: bell.wait(60))
    thread.start()
    try:
        assert threading.enumerate() == before
    finally:
        bell.ring()
        thread.join(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_function_that_raises_ends_the_thread(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    thread = BackgroundThread(lambda: 1 / 0)
    thread.start()
    thread.join(30)
    assert not thread.alive


def test_all_pass_a_gate_once_it_is_open_and_nobody_waits_longer_than_said():
    gate = Gate()
    gate.wait(0.001)
    assert not gate.is_open
    threads = [threading.Thread(target=gate.wait, args=(60,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    gate.open()
    gate.open()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    gate.wait(60)
