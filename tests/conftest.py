"""Fixtures that tests of several parts share."""

from hypothesis import settings

settings.register_profile("shared", deadline=None)  # a pause of a busy machine is no bug
settings.load_profile("shared")

pytest_plugins = ["support.weaviate_server"]
