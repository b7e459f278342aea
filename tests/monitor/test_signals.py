"""Signals that are held while a block runs."""

import os
import signal

from pprofplus_tui.signals import signals_held


def test_a_held_signal_is_heard_when_the_block_is_left():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
