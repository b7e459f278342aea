"""The test kit: helpers that more than one test file uses.

pytest finds it by `pythonpath` in pyproject.toml. The collector's tests run where only psutil is
installed. A module that needs more states this in its first lines, and no other module of the kit
imports it.
"""
