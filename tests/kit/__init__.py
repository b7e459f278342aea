"""The test kit: what more than one test file uses.

pytest finds it by `pythonpath` in pyproject.toml. The collector's tests run where only psutil is
installed: a module that needs more says so in its first lines, and no other module imports it.
"""
