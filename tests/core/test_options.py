"""An option of an embedder is one line in `Settings`: everything else is made from there."""

from __future__ import annotations

import ast
import copy
import inspect
import os
import pickle
import re
import traceback
from dataclasses import MISSING
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from twofold import Embedder, InputError, settings
from twofold.adapters import as_embedder, option_fields, option_names
from twofold.settings import OTHER_METHODS, OTHER_WORDS, Options, options
from twofold.testing import FakeEmbedder

ROOT = Path(__file__).parents[2]


def test_the_constructor_shows_every_option() -> None:
    shown = list(inspect.signature(Embedder).parameters)
    assert shown == [*(option.name for option in options()), "api_key", "http_client"]


HINTS, KINDS = get_type_hints(Embedder.__init__, vars(settings)), get_type_hints(Options)


def plain(hint: object) -> set[object]:
    """The types of a union; a path becomes a string."""
    return {str if kind == os.PathLike[str] else kind for kind in get_args(hint) or (hint,)}


def test_the_constructor_and_the_typed_options_agree_with_the_settings() -> None:
    shown = inspect.signature(Embedder).parameters
    for option in options():
        default = shown[option.name].default
        assert (MISSING if default is inspect.Parameter.empty else default) == option.default, option.name
        assert plain(HINTS[option.name]) == plain(option.hint), option.name
    assert {"model": HINTS["model"], **KINDS, "return": type(None)} == HINTS
    assert Options.__total__ is False


def test_the_constructor_and_the_typed_options_document_every_option_as_the_settings_do() -> None:
    said = {option.name: option.help for option in options() if option.name != "model"}
    (written,) = [
        node
        for node in ast.parse(inspect.getsource(settings)).body
        if isinstance(node, ast.ClassDef) and node.name == "Options"
    ]
    pairs = zip(written.body[1::2], written.body[2::2], strict=True)
    shown = {field.target.id: text.value.value for field, text in pairs}  # type: ignore[attr-defined]
    own = {"api_key", "http_client"}
    assert {name: text for name, text in shown.items() if name not in own} == said
    arguments = re.search(r"Args:\n(.*?)\n\nRaises", inspect.getdoc(Embedder) or "", re.DOTALL)
    assert arguments is not None
    listed = dict(re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", arguments[1] + "\n", re.DOTALL | re.MULTILINE))
    assert {name: " ".join(text.split()) for name, text in listed.items() if name != "model"} == shown


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
    with pytest.raises(InputError, match="dimensions: the embedder already exists"):
        as_embedder(embedder, dimensions=16)
    with pytest.raises(InputError, match="not an option of an embedder: size"):
        as_embedder("fake:", size=16)


WORDS = ["task", "late_chunking", "truncate_dim", "batch_size", "normalize_embeddings", "trust_remote_code"]


@pytest.mark.parametrize("word", WORDS)
def test_the_words_of_other_libraries_lead_to_ours(word: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"not an option of an embedder: {word}; {OTHER_WORDS[word]}")):
        Embedder("fake:", **{word: 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape(f"embed_documents() has no argument {word!r}: {OTHER_WORDS[word]}")):
        Embedder("fake:").embed_documents(["one"], **{word: 1})  # type: ignore[arg-type]


async def test_async_methods_answer_them_too_and_stay_coroutine_functions() -> None:
    assert inspect.iscoroutinefunction(Embedder.aembed_documents)
    with pytest.raises(TypeError, match=r"aembed_query\(\) has no argument 'task': query_task and document_task"):
        await Embedder("fake:").aembed_query("one", task="separation")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"embed_query\(\) got an unexpected keyword argument 'word'"):
        Embedder("fake:").embed_query("one", word=1)  # type: ignore[call-arg]


def test_hints_name_what_exists() -> None:
    words = {option.name for option in options()} | set(dir(Embedder))
    for hint in (*OTHER_WORDS.values(), *OTHER_METHODS.values()):
        named = set(re.findall(r"\b(?:query|document|batch|embed|count)_\w+", hint)) | set(re.findall(r"(\w+)=", hint))
        assert named - words <= {"task", "progress"}, hint


def test_the_methods_of_other_libraries_lead_to_ours() -> None:
    embedder = Embedder("fake:")
    with pytest.raises(AttributeError, match=r"no method 'encode': use embed_query\(text\), embed_queries\(texts\)"):
        embedder.encode(["one"])  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="'Embedder' object has no attribute 'embed_querys'"):
        _ = embedder.embed_querys  # type: ignore[attr-defined]
    assert not hasattr(embedder, "encode")


def test_a_rejected_option_does_not_show_the_key() -> None:
    for wrong in ({"dimension": 3}, {"dimensions": 0}):
        with pytest.raises(InputError) as caught:
            Embedder("fake:", api_key="sk-do-not-show", **wrong)  # type: ignore[arg-type]
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        ours = [frame for frame in frames if frame.filename.endswith("twofold/embedder.py")]
        assert ours
        assert not [frame for frame in ours if "sk-do-not-show" in str(frame.locals)]


def test_equality_and_hash_are_those_of_the_object() -> None:
    embedder = Embedder("fake:")
    assert embedder == copy.copy(embedder) == copy.deepcopy(embedder)
    assert hash(embedder) == hash(copy.copy(embedder))
    assert pickle.loads(pickle.dumps(embedder)) != embedder
