"""The subcommands of `pprofplus`, one module each; their table is in `cli`.

A subcommand is one module here and one row in `cli`. The module has `add_arguments(parser)` and
`run(options)`. It may import everything below the command line, but all modules are loaded for
`pprofplus --help`, too: what only `run` needs is imported there.
"""
