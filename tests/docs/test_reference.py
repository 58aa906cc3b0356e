"""The API reference has every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import twofold
from twofold import adapters, stores

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_every_public_name_of_the_package_is_in_the_reference() -> None:
    own = [page for page in REFERENCE.glob("*.md") if page.stem not in {"adapters", "stores"}]
    pages = "\n".join(page.read_text("utf-8") for page in own)
    documented = set(re.findall(r"^\.\. auto(?:class|exception):: (\w+)$", pages, re.MULTILINE))
    assert documented == set(twofold.__all__)


@pytest.mark.parametrize(("page", "names"), [("adapters", adapters.__all__), ("stores", stores.__all__)])
def test_every_name_for_integrations_and_stores_is_in_the_reference(page: str, names: list[str]) -> None:
    text = (REFERENCE / f"{page}.md").read_text("utf-8")
    described = set(re.findall(r"^\.\. auto(?:class|function):: (\w+)$", text, re.MULTILINE))
    assert set(names) - described == {name for name in names if f"`{name}`" in text} - described
    assert described <= set(names)
