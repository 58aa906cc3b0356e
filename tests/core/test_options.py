"""An option of an embedder is one line in `Settings`: everything else is made from there."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING
from pathlib import Path

import pytest

from twofold import Embedder, InputError
from twofold.adapters import as_embedder, option_fields, option_names
from twofold.settings import options
from twofold.testing import FakeEmbedder

ROOT = Path(__file__).parents[2]


def test_the_constructor_shows_every_option() -> None:
    shown = list(inspect.signature(Embedder).parameters)
    assert shown == [*(option.name for option in options()), "api_key", "http_client"]


def test_every_option_says_what_it_is() -> None:
    for option in options():
        assert option.help.endswith("."), option.name
        assert (option.default is MISSING) == (option.name == "model")


def test_no_other_file_lists_the_options() -> None:
    listing = re.compile(r"^\s*(late_overlap|query_truncate)\s*:", re.MULTILINE)
    found = [
        file.name
        for folder in ("core", "integrations")
        for file in (ROOT / folder).rglob("*.py")
        if listing.search(file.read_text("utf-8"))
    ]
    assert sorted(found) == ["embedder.py", "settings.py"]


def test_hosts_make_their_fields_of_them() -> None:
    fields = option_fields()
    assert set(fields) == option_names()
    assert fields["model"] == (str, ...)
    assert fields["dimensions"] == (int | None, None)


def test_every_host_takes_an_embedder_or_what_makes_one() -> None:
    embedder = FakeEmbedder()
    assert as_embedder(embedder) is embedder

    class Holder:
        def __init__(self) -> None:
            self.embedder = embedder

    assert as_embedder(Holder()) is embedder
    assert as_embedder("fake:", dimensions=16).dimensions == 16
    with pytest.raises(InputError, match="dimensions: the embedder is made already"):
        as_embedder(embedder, dimensions=16)
    with pytest.raises(InputError, match="not an option of an embedder: size"):
        as_embedder("fake:", size=16)
