"""The log on disk: format, segments, directories, cap. May import metrics, system, errors."""
