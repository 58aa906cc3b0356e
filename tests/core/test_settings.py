"""Settings: plain data that makes an embedder, and every value that no model could take."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofold import InputError, Settings

CHANGED: dict[str, Any] = {
    "model": "jina:jina-embeddings-v3",
    "dimensions": 512,
    "query_task": "separation",
    "document_task": None,
    "query_instruction": "Find: ",
    "document_instruction": "",
    "normalize": False,
    "truncate": "end",
    "query_truncate": "end",
    "batch_tokens": 4096,
    "batch_items": 100,
    "batch_bytes": 1_000_000,
    "late_window": 2048,
    "late_overlap": 0,
    "device": "cuda:1",
    "dtype": "float32",
    "merge_adapters": True,
    "revision": "f1944de8402dcd5f2b03f822a4bc22a7f2de2eb9",
    "api_key_env": "MY_KEY",
    "base_url": "https://embeddings.example/v1",
    "timeout": 12.5,
    "max_outage": 5.0,
    "concurrency": 2,
    "encoding": "binary",
    "cache": "folder/of/vectors",
    "served_as": "a-gateways-name",
}


def test_only_what_differs_is_written() -> None:
    assert Settings(model="a/model").to_dict() == {"model": "a/model"}
    assert Settings(**CHANGED).to_dict() == CHANGED


def test_settings_go_through_json_unchanged() -> None:
    assert set(CHANGED) == {field.name for field in fields(Settings)}
    settings = Settings(**CHANGED)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_a_path_and_numbers_of_numpy_become_plain() -> None:
    settings = Settings(model=Path("models") / "v3", dimensions=np.int64(256))  # type: ignore[arg-type]
    assert settings.model == str(Path("models") / "v3")
    assert json.dumps(settings.to_dict())
    assert type(settings.dimensions) is int


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("model", "", "model is empty: give a hub id, a folder, or '<provider>:<model>'"),
        ("model", None, "model is of type NoneType"),
        ("dimensions", 0, "dimensions=0: it must be a whole number of at least 1"),
        ("dimensions", True, "dimensions=True"),
        ("dimensions", 12.0, r"dimensions=12\.0"),
        ("dimensions", "512", "dimensions='512'"),
        ("batch_tokens", -1, "batch_tokens=-1"),
        ("late_window", 0, "late_window=0"),
        ("late_overlap", -1, "late_overlap=-1: it must be a whole number of at least 0"),
        ("concurrency", 0, "concurrency=0"),
        ("timeout", 0, "timeout=0: it must be a number of seconds above 0"),
        ("timeout", float("nan"), "timeout=nan"),
        ("timeout", "5", "timeout='5'"),
        ("timeout", None, "timeout=None"),
        ("normalize", "false", "normalize='false': it must be True or False"),
        ("normalize", 1, "normalize=1"),
        ("truncate", "start", "truncate='start': it must be one of 'error', 'end'"),
        ("dtype", "float16", "dtype='float16': it must be one of 'auto', 'float32', 'bfloat16', 'int8'"),
        ("device", None, "device is of type NoneType, not a string"),
        ("query_task", 3, "query_task is of type int"),
        ("base_url", b"http://x", "base_url is of type bytes"),
    ],
)
def test_a_wrong_option_is_named(option: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**{"model": "a/model", option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [("api_key_env", "sk-secret-0123"), ("base_url", "https://user:sk-secret-0123@embeddings.example/v1")],
)
def test_a_secret_where_it_would_be_shown_is_refused_and_not_shown(option: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**{"model": "a/model", option: value})  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_unknown_options_are_named() -> None:
    with pytest.raises(InputError, match="not an option of an embedder: dimension, task"):
        Settings.from_dict({"model": "a/model", "task": "x", "dimension": 3})
    with pytest.raises(InputError, match="no model is named"):
        Settings.from_dict({"dimensions": 3})
