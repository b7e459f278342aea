"""The log on disk: format, segments, directories, the cap. May import metrics, system, errors."""
