"""What `pprofplus doctor` looks at: the place for logs, the settings, the sources of figures."""
