"""Signals that are held while a block runs."""

import os
import signal

from pprofplus_tui.signals import signals_held


def test_a_held_signal_is_delivered_at_the_end_of_the_block():
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert received == []
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
