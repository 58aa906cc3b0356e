"""The API reference has every public name."""

from __future__ import annotations

import re
from pathlib import Path

import twofold

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_every_public_name_of_the_package_is_in_the_reference() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    documented = set(re.findall(r"^\.\. auto(?:class|exception):: (\w+)$", pages, re.MULTILINE))
    assert documented == set(twofold.__all__)
