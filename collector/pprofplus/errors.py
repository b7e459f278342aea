"""All exceptions that pprofplus raises intentionally."""


class PprofplusError(Exception):
    """Base of all errors of this package; its text is one line that says what to do."""


class LogFormatError(PprofplusError):
    """Bytes that are not a valid page of this format: damaged, truncated, foreign or malicious."""


class LogVersionError(LogFormatError):
    """A valid page of a later major version, which this release cannot read."""


class UnsafeDirectoryError(PprofplusError):
    """A directory that other users own or can write to; nothing is written there."""


class ProbeAbsentError(PprofplusError):
    """A metric source that this platform or process does not have."""
