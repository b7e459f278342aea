"""The local source: log directories and bundles on this machine. May import port, model."""
