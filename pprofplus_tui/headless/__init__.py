"""What the command does without a screen: one module a subcommand."""
