"""What all tests share."""

from hypothesis import settings

# no test fails because a machine stood still for a moment
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
