"""The action `profile`: takes profiles of this process, and keeps them in its run."""

from __future__ import annotations

from pprofplus.profiles import taking
from pprofplus.profiles.kinds import KINDS

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pprofplus.profiles.capture import Task
    from pprofplus.recording.run_recorder import RunRecorder

_MAX_PROBLEM = 300  # of characters


def load_modules(kinds: tuple[str, ...]) -> None:
    """Load the modules of these kinds, while no fork can happen. Raises ValueError."""
    for name in kinds:
        try:
            KINDS[name].load()
        except (OSError, ImportError) as error:
            raise ValueError(f"the module for {name} cannot be loaded: {error}") from error


def take_in_run(
    recorder: RunRecorder,
    kinds: tuple[str, ...],
    task: Task,
    **options: Any,  # noqa: ANN401 - those of take_profiles
) -> taking.TakenProfiles:
    """Take profiles as `taking.take_profiles` does, and store them as artefacts of a run.

    `options` are seconds, hz, force and why. Raises what `take_profiles` raises.
    """
    return taking.take_profiles(
        kinds,
        task,
        store_in_run(recorder, task.check),
        service=recorder.writer.header.service,
        with_source=recorder.keeps_source,
        **options,
    )


def store_in_run(recorder: RunRecorder, check: Callable[[], None]) -> taking.Store:
    """Return a function that stores artefacts of a run, as `take_profiles` needs it.

    `check` is called while it waits, and may raise to end it.
    """

    def store(kind: str, data: bytes, why: str, suffix: str, unix_ms: int) -> str:
        return recorder.store_artefact(
            kind, data, why=why, suffix=suffix, unix_ms=unix_ms, check=check
        )

    return store


def carry_out(recorder: RunRecorder, arguments: dict[str, Any], task: Task) -> str:
    """Take the requested profiles; return the names of their files. Raises ValueError."""
    taken = take_in_run(
        recorder,
        taking.check_kinds(arguments["kinds"]),
        task,
        seconds=taking.check_seconds(arguments["seconds"]),
        hz=taking.check_hz(arguments["hz"]),
        force=arguments["force"],
    )
    # the names come first, and problems before notes: a long answer is cut
    lines = [each.name for each in taken.profiles]
    lines += [problem[:_MAX_PROBLEM] for problem in taken.problems]
    lines += [f"{each.kind}: {each.note}" for each in taken.profiles if each.note]
    text = "; ".join(lines)
    if taken.problems:
        raise ValueError(text)
    return text
