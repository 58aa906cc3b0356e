"""Fixtures that tests of several parts share."""

from hypothesis import HealthCheck, settings

# A pause of a busy machine is no bug, nor is the first run of a Python, which makes hypothesis's tables of characters.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

pytest_plugins = ["support.weaviate_server"]
