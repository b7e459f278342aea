"""Pure values: windows, units, ticks, tables, texts. Imports no other package of the monitor."""
