"""Pure values: windows, units, ticks, tables. No I/O, no Textual, no plotext."""
