"""Fixtures that tests of several parts share."""

from hypothesis import HealthCheck, settings

# A pause of a busy machine is no bug, nor is the first run of a Python, which makes hypothesis's tables of characters.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", settings.get_profile("shared"), max_examples=2000)
settings.load_profile("shared")  # unless --hypothesis-profile names the other one

pytest_plugins = ["support.chroma_server", "support.weaviate_server"]
