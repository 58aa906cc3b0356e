"""The model string chooses who computes."""

from pathlib import Path

import pytest

from twofold import Embedder, InputError
from twofold.backend import Backend
from twofold.cards import JINA_V3
from twofold.keys import Key
from twofold.resolve import known_card, load_backend, split_model
from twofold.settings import Settings
from twofold.testing import FakeBackend


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("jinaai/jina-embeddings-v3", (None, "jinaai/jina-embeddings-v3")),
        ("jina:jina-embeddings-v3", ("jina", "jina-embeddings-v3")),
        ("fake:", ("fake", "")),
        ("./models/a:b", (None, "./models/a:b")),
        ("/models/v3", (None, "/models/v3")),
        (r"C:\models\v3", (None, r"C:\models\v3")),
        ("C:models", (None, "C:models")),
    ],
)
def test_a_provider_stands_before_a_colon(model: str, parts: tuple[str | None, str]) -> None:
    assert split_model(model) == parts


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="unknown provider 'v3'"):
        split_model("v3:final")
    (tmp_path / "v3:final").mkdir()
    assert split_model("v3:final") == (None, "v3:final")


def test_an_unknown_provider_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"unknown provider 'jinaa': choose one of .*jina"):
        Embedder("jinaa:jina-embeddings-v3")


def test_a_card_is_known_early_only_where_no_file_can_say_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known_card("jinaai/jina-embeddings-v3") is JINA_V3
    assert known_card("someone/fine-tuned") is None
    assert known_card("jina:jina-embeddings-v3") == JINA_V3
    assert known_card("fake:") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jina-embeddings-v3").mkdir()
    assert known_card("jina-embeddings-v3") is None


def test_the_fake_is_a_backend() -> None:
    backend = load_backend(Settings(model="fake:any"), Key())
    assert isinstance(backend, FakeBackend)
    assert isinstance(backend, Backend)
