"""Fixtures that tests of several parts share."""

pytest_plugins = ["weaviate_server"]
