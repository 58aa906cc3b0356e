"""The contract of an embedding door that can be saved and shown, beside that of its vectors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from twofold.settings import options
from twofold.testing.checks import check, child, same, skip, traceback_of
from twofold.testing.vectors import TEXTS, VectorContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twofold.settings import Option

CANARY = "sk-canary-7f3a9d"
CANARY_VARIABLE = "TWOFOLD_CONTRACT_KEY"

_SENSIBLE: dict[str, Any] = {
    "dimensions": 16,
    "query_task": None,
    "late_window": 256,
    "device": "cpu",
    "api_key_env": CANARY_VARIABLE,
    "cache": str(Path(tempfile.gettempdir()) / "twofold-contract"),
    "base_url": "http://127.0.0.1:9/v1",
}
"""Values of options that not every word or number would do for."""


def changed_options() -> dict[str, Any]:
    """Every option but the model and one task, away from its default."""
    kept = ("model", "document_task")
    return {option.name: _changed(option) for option in options() if option.name not in kept}


def _changed(option: Option) -> Any:
    if option.name in _SENSIBLE:
        return _SENSIBLE[option.name]
    if isinstance(option.default, bool):
        return not option.default
    if float in (option.hint, *get_args(option.hint)):
        return (option.default or 400.0) / 80
    if option.least is not None:
        return option.least + 1
    kinds = [option.hint, *get_args(option.hint)]
    choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), (f"a {option.name}",))
    return next(choice for choice in reversed(choices) if choice != option.default)


class AdapterContract(VectorContract):
    """`VectorContract`, and what is kept when the object is saved, shown, or used without its host."""

    def test_settings_survive_every_round_trip(self) -> None:
        """All of them, and the loaded object gives the same vectors."""
        changed = {name: value for name, value in changed_options().items() if name not in self.door.kept_back}
        for given in ({}, changed if self.options["model"] == "fake:" else {"normalize": False}):
            thing = self._make(**given)
            wanted = self._core(**given).settings
            check(self.door.settings(thing) == wanted, f"{self.door.name} changed the settings {wanted}")
            vectors = self._documents(thing, TEXTS[:2])
            for name, trip in self.door.all_round_trips().items():
                if name == "spawn" and not given:
                    continue  # a fresh process takes seconds: once is enough
                again = trip(thing)
                check(self.door.settings(again) == wanted, f"{name} lost settings: {self.door.settings(again)}")
                same(self._documents(again, TEXTS[:2]), vectors, f"documents after {name}")

    def test_no_secret_is_shown_or_stored(self) -> None:
        """A key is in no repr, pickle, saved form, copy or traceback, whether it was given or is in the environment."""
        before = os.environ.get(CANARY_VARIABLE)
        os.environ[CANARY_VARIABLE] = CANARY
        try:
            for options in ({"api_key": CANARY}, {"api_key": lambda: CANARY}, {"api_key_env": CANARY_VARIABLE}):
                self._shows_no_secret({**self.options, **options})
        finally:
            os.environ.pop(CANARY_VARIABLE)
            if before is not None:
                os.environ[CANARY_VARIABLE] = before

    def test_a_missing_extra_is_named(self) -> None:
        """Without its host the package says, as `MissingExtra`, what to install."""
        door = self.door
        if door.package is None:
            skip(f"{door.name} needs no extra")
        code = (
            f"import sys\nsys.modules[{door.requires!r}] = None\ntry:\n    import {door.package}\n    {door.use}\n"
            "except ImportError as error:\n    print(type(error).__module__, type(error).__name__, error)\n"
        )
        said = child(code).decode()
        check(said.startswith("twofold.errors MissingExtra"), f"without {door.requires}: {said or 'nothing is said'}")
        check(f"pip install {door.installs}" in said, f"the message does not say pip install {door.installs}: {said}")

    def _shows_no_secret(self, options: Mapping[str, Any]) -> None:
        thing = self.door.make(**options)
        saved = {name: trip(thing) for name, trip in self.door.all_round_trips().items() if name != "spawn"}
        for name, shown in {"made": thing, **saved}.items():
            for surface in self.door.all_surfaces(shown):
                check(CANARY not in surface, f"the key shows in {self.door.name} ({name}): {surface[:300]}")
        said = traceback_of(self.door.documents, thing)
        check(CANARY not in said, f"the key shows in a traceback:\n{said}")
