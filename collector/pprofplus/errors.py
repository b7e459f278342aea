"""Everything that pprofplus raises on purpose."""


class PprofplusError(Exception):
    """Base of all errors of this package; its text is one line that says what to do."""


class LogFormatError(PprofplusError):
    """Bytes that are not a page of this format: damaged, cut short, foreign or hostile."""


class LogVersionError(LogFormatError):
    """A healthy page of a later major version, which this release cannot read."""


class UnsafePlaceError(PprofplusError):
    """A directory that others could read or plant files in; nothing is written there."""


class ProbeAbsentError(PprofplusError):
    """A source of figures that this platform or process does not have."""
