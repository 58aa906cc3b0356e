"""The contract is worth what it catches: each of these adapters breaks one promise, and one test says so."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from contract.doors.core import DOOR as CORE
from twofold import Embedder, InputError, Settings
from twofold.testing import AdapterContract, changed_options
from twofold.testing.doors import run_python

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.testing import Door


def without(name: str) -> Callable[..., Embedder]:
    """An adapter that drops an option."""
    return lambda **options: Embedder(**{key: value for key, value in options.items() if key != name})


def wrapping(embedder: Embedder, texts: list[str]) -> Any:
    """An adapter whose errors are its host's."""
    try:
        return embedder.embed_documents(texts)
    except InputError as error:
        raise RuntimeError(str(error)) from error


class Leaky(Embedder):
    """An adapter that keeps the key where its host looks."""

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(model, **options)
        self.key = options.get("api_key")

    def __repr__(self) -> str:
        return f"Leaky({self.key!r})"


class Cold(Embedder):
    """An adapter that refuses as a host's validation would."""

    def __init__(self, model: str, **options: Any) -> None:
        try:
            super().__init__(model, **options)
        except InputError as error:
            raise TypeError(str(error)) from error


BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("one side", "queries_and_documents_have_different", {"query": lambda e, text: e.embed_documents([text])[0]}),
    ("another query", "query_vectors_equal_the_cores", {"query": lambda e, text: e.embed([text], task="topic")[0]}),
    (
        "float16",
        "document_vectors_equal_the_cores",
        {"documents": lambda e, texts: e.embed_documents(texts).astype("f2")},
    ),
    ("one less", "document_vectors_equal_the_cores", {"documents": lambda e, texts: e.embed_documents(texts)[1:]}),
    ("reversed", "order_is_kept", {"documents": lambda e, texts: e.embed_documents(texts)[::-1]}),
    ("numpy numbers in lists", "vectors_have_the_hosts_types", {"vector": list}),
    ("float64", "vectors_have_the_hosts_types", {"query": lambda e, text: e.embed_query(text).astype(np.float64)}),
    ("no dimensions", "dimensions_reach", {"make": without("dimensions")}),
    ("no query_task", "tasks_reach", {"make": without("query_task")}),
    ("no document_task", "tasks_reach", {"make": without("document_task")}),
    ("always normalized", "normalize_reaches", {"make": without("normalize")}),
    ("never truncated", "truncate_reaches", {"make": without("truncate")}),
    ("another error for a text", "bad_texts_are_refused", {"documents": wrapping}),
    ("blank texts refused", "blank_texts_do_not_stop", {"takes_blank": True}),
    ("another error for an option", "wrong_options_are_refused", {"make": Cold}),
    (
        "async on one side",
        "async_vectors_equal_the_cores",
        {"aquery": lambda e, text: asyncio.to_thread(one_side, e, text)},
    ),
    ("a default forgotten", "settings_survive", {"make": lambda **options: Embedder(**{"timeout": 5.0, **options})}),
    ("settings lost", "settings_survive", {"round_trips": {"host": lambda e: Embedder(e.settings.model)}}),
    ("a key in the repr", "no_secret_is_shown", {"make": Leaky, "pickles": False}),
    ("a key in the dump", "no_secret_is_shown", {"make": Leaky, "surfaces": lambda e: [str(vars(e))]}),
    ("no message", "a_missing_extra_is_named", {"package": "json", "requires": "json", "installs": "json"}),
]


def one_side(embedder: Embedder, text: str) -> Any:
    return embedder.embed_documents([text])[0]


def contract(door: Door) -> AdapterContract:
    made = AdapterContract()
    made.door = door
    return made


@pytest.mark.parametrize(("test", "change"), [item[1:] for item in BROKEN], ids=[item[0] for item in BROKEN])
def test_a_broken_promise_is_caught(test: str, change: dict[str, Any]) -> None:
    name = next(name for name in dir(AdapterContract) if name.startswith(f"test_{test}"))
    with pytest.raises((AssertionError, pytest.fail.Exception, InputError, RuntimeError, TypeError)):
        getattr(contract(replace(CORE, **change)), name)()


def test_every_test_of_the_contract_is_seen_to_fail() -> None:
    tests = [name for name in dir(AdapterContract) if name.startswith("test_")]
    assert [name for name in tests if not any(name.startswith(f"test_{test}") for _, test, _ in BROKEN)] == []


def test_every_setting_is_changed_before_a_round_trip() -> None:
    defaults = {field.name: field.default for field in fields(Settings)}
    assert set(changed_options()) == set(defaults) - {"model", "document_task"}
    assert [name for name, value in changed_options().items() if value == defaults[name]] == []


def test_a_door_without_async_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match="no async methods"):
        contract(replace(CORE, aquery=None)).test_async_vectors_equal_the_cores()


def test_the_fakes_need_no_pytest() -> None:
    run_python("import sys; sys.modules['pytest'] = None; from twofold.testing import FakeEmbedder, MemoryStore")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from twofold.testing import Nothing  # noqa: F401
