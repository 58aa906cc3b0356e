"""One suite through every door. A new adapter joins by one line in `DOORS` and its file in `doors/`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from twofold.errors import MissingExtra
from twofold.testing import AdapterContract

if TYPE_CHECKING:
    from twofold.testing import Door

DOORS = [
    "core",
    "langchain",
]


def door_of(name: str) -> Door:
    try:
        door: Door = import_module(f"contract.doors.{name}").DOOR
    except MissingExtra as missing:
        pytest.skip(str(missing))
    return door


class TestEveryDoor(AdapterContract):
    """Through the model that is a hash."""

    @pytest.fixture(autouse=True, params=DOORS)
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.door = door_of(request.param)
