"""The subcommands of `pprofplus-tui`, one module each, and their table.

A subcommand is one module here and one row in `table.SUBCOMMANDS`. The module has
`add_arguments(parser)` and `run(arguments, options)`. It may import everything below the command
line, but what is slow to load only inside `run`: the parser, `completion` and `man` import the
modules without numpy, plotext or Textual.
"""
