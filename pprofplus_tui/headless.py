"""What the command does without a screen: `list` and `export`."""

import json
import time
from pathlib import Path
from typing import TextIO

from pprofplus_tui.export import Exported, export
from pprofplus_tui.logs.catalog import Catalog, RunInfo
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.runs import Run, opening, ordered
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.timeaxis import local
from pprofplus_tui.model.units import format_bytes, format_span_ms
