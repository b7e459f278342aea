"""The collector's own thread, the event that wakes it, and the gate that others wait for."""

import threading

import pytest

from pprofplus.system.background import BackgroundThread, Gate, WakeEvent


def test_setting_the_event_wakes_the_waiting_thread():
    wake_event = WakeEvent()
    found = []
    thread = threading.Thread(target=lambda: found.append(wake_event.wait(60)))
    thread.start()
    wake_event.set()
    thread.join(30)
    assert found == [True]


def test_waiting_for_an_event_ends_at_the_timeout():
    wake_event = WakeEvent()
    assert not wake_event.wait(0.001)
    assert not wake_event.wait(0)
    assert not wake_event.wait(-1)


def test_an_event_set_before_the_wait_wakes_it_once_even_if_set_twice():
    wake_event = WakeEvent()
    wake_event.set()
    wake_event.set()
    assert wake_event.wait(60)
    assert not wake_event.wait(0)


def test_many_threads_may_set_the_event_at_the_same_time():
    for _ in range(50):
        wake_event = WakeEvent()
        begin = threading.Barrier(4)

        def wake(wake_event=wake_event, begin=begin):
            begin.wait()
            wake_event.set()

        threads = [threading.Thread(target=wake) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert wake_event.wait(60)
        for thread in threads:
            thread.join()


def test_a_thread_is_alive_until_its_function_returns():
    wake_event, seen = WakeEvent(), []
    thread = BackgroundThread(lambda: seen.append((thread.is_current(), wake_event.wait(60))))
    assert not thread.alive
    thread.start()
    assert thread.alive
    assert not thread.is_current()
    thread.join(0.01)
    assert thread.alive
    wake_event.set()
    thread.join(30)
    assert seen == [(True, True)]
    assert not thread.alive
    thread.join(30)  # at once


def test_joining_a_thread_that_was_never_started_returns_immediately():
    BackgroundThread(lambda: None).join(60)


def test_the_thread_is_not_in_the_list_of_threading():
    wake_event = WakeEvent()
    before = threading.enumerate()
    thread = BackgroundThread(lambda: wake_event.wait(60))
    thread.start()
    try:
        assert threading.enumerate() == before
    finally:
        wake_event.set()
        thread.join(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_function_that_raises_ends_the_thread(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    thread = BackgroundThread(lambda: 1 / 0)
    thread.start()
    thread.join(30)
    assert not thread.alive


def test_an_open_gate_releases_all_threads_and_a_wait_ends_at_its_timeout():
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
