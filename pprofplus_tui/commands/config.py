"""`pprofplus-tui config`: the settings in effect, as a settings file."""

import argparse
import os
import sys

from pprofplus_tui.commands.common_arguments import add_config_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file to read."""
    add_config_option(parser)


def run(arguments: argparse.Namespace, _: object) -> int:
    """Print the file; return the exit code. Raises UsageError if the named file is wrong."""
    from pprofplus_tui.commands.settings_in_effect import config_path, is_light, load_config
    from pprofplus_tui.config.config_template import config_template
    from pprofplus_tui.widgets.theme import DAY, NIGHT

    named = getattr(arguments, "config", None)
    config, _warning = load_config(named)
    tones = vars(DAY if is_light(config, os.environ) else NIGHT)
    lines = config_template(config, config_path(named), tones)
    sys.stdout.writelines(line + "\n" for line in lines)
    return 0
