"""Cards derived from a checkpoint's own files, in all published forms."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from support.checkpoints import INSTRUCTIONS, sentence_transformers_files, write_json
from twofold import Embedder, ModelError
from twofold.local.encoder import EncoderConfig
from twofold.local.files.card import OwnFiles, complete, derive, find_known
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.files.recognise import UnknownFamily

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made
    from twofold import ModelCard

WEIGHTS = "model.safetensors"
QUERY = "Represent this sentence for searching relevant passages: "


def shape(width: int = 384, positions: int = 512, family: str = "bert") -> EncoderConfig:
    return EncoderConfig(family, width, 12, 12, 4 * width, 1000, 1e-12, "learned", positions)


def card(folder: Path, encoder: EncoderConfig | None = None) -> ModelCard:
    """The card derived from a folder's small files and an encoder shape."""
    return derive(OwnFiles.read(folder), encoder or shape(), ())


def readme(folder: Path, text: str) -> Path:
    (folder / "README.md").write_text(text, "utf-8")
    return folder


def copy(made: Made, to: Path, **config: Any) -> Path:
    shutil.copytree(made.folder, to)
    stated = json.loads((to / "config.json").read_text("utf-8"))
    write_json(to / "config.json", stated | config)
    return to


def pooling(folder: Path, **config: Any) -> Path:
    """A folder with that pooling config, in the place that modules.json names."""
    kinds = [("Transformer", ""), ("Pooling", "pool")]
    write_json(folder / "modules.json", [{"type": f"some.path.{kind}", "path": path} for kind, path in kinds])
    write_json(folder / "pool" / "config.json", config)
    return folder


POOLINGS: list[tuple[dict[str, Any], str]] = [
    ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
    ({"pooling_mode_cls_token": True}, "cls"),
    ({"pooling_mode_lasttoken": True, "word_embedding_dimension": 384}, "last"),
    ({"embedding_dimension": 384, "pooling_mode": "mean", "include_prompt": True}, "mean"),
    ({"pooling_mode": "cls"}, "cls"),
    ({"pooling_mode": ["lasttoken"]}, "last"),
    ({}, "mean"),
]


@pytest.mark.parametrize(("config", "want"), POOLINGS)
def test_both_forms_of_the_pooling_config(tmp_path: Path, config: dict[str, Any], want: str) -> None:
    assert OwnFiles.read(pooling(tmp_path, **config)).foreign is None
    assert card(tmp_path).pooling == want


FOREIGN: list[tuple[dict[str, Any], str]] = [
    ({"pooling_mode_max_tokens": True}, "it pools by max_tokens"),
    ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "it pools by cls_token and mean_tokens"),
    ({"pooling_mode": "weightedmean"}, "it pools by weightedmean"),
    ({"pooling_mode": ["mean", "max"]}, "it pools by max and mean"),
]


@pytest.mark.parametrize(("config", "reason"), FOREIGN)
def test_poolings_that_the_encoder_does_not_have(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    assert OwnFiles.read(pooling(tmp_path, **config)).foreign == reason


def test_other_modules_and_prompts_outside_of_the_pooling_are_foreign(
    made: Callable[[str], Made], tmp_path: Path
) -> None:
    folder = copy(made("bert"), tmp_path / "left-out")
    sentence_transformers_files(folder, query="query: ")
    stated = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
    write_json(folder / "1_Pooling" / "config.json", stated | {"include_prompt": False})
    with pytest.raises(UnknownFamily, match="it leaves the prompt out of the pooling"):
        Checkpoint.read(folder)
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "", "document": ""}})
    assert Checkpoint.read(folder).card.tasks == ()  # without a prompt there is nothing to leave out
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    write_json(folder / "modules.json", [*modules, {"type": "sentence_transformers.models.Dense", "path": "3_Dense"}])
    with pytest.raises(UnknownFamily, match="it has the module Dense"):
        Checkpoint.read(folder)


def test_sentence_transformers_own_saving_is_read(bert_with: Callable[..., str], tmp_path: Path) -> None:
    """The files as the installed version writes them."""
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(bert_with("cls", 40, query="find: ", document="text: "), device="cpu")
    peer.save(str(tmp_path / "saved"))
    mine = Embedder(tmp_path / "saved", dtype="float32", device="cpu")
    assert (mine.card.pooling, mine.card.max_tokens) == ("cls", 40)
    assert (mine.query_task.prefix, mine.document_task.prefix) == ("find: ", "text: ")
    want = peer.encode_query(["fog"], normalize_embeddings=True)
    np.testing.assert_allclose(mine.embed_queries(["fog"]), want, atol=1e-5)


@pytest.mark.parametrize(
    ("prompts", "default", "query", "document"),
    [
        ({"query": "q: ", "document": "d: "}, None, "q: ", "d: "),
        ({"query": "q: ", "passage": "p: ", "corpus": "c: "}, None, "q: ", "p: "),
        ({"corpus": "c: "}, None, "", "c: "),
        ({"query": "q: ", "other": "o: "}, "other", "q: ", "o: "),
        ({"query": "q: ", "document": ""}, None, "q: ", ""),
        ({"query": "q: "}, "absent", "q: ", ""),
        ({"query": "", "document": ""}, None, "", ""),
        ({"query": "q: ", "document": ""}, "query", "q: ", ""),
        ({"query": "q: ", "document": ""}, "document", "q: ", ""),
        ({"search_query": "q: ", "search_document": "d: ", "clustering": "c: "}, None, "q: ", "d: "),
        ({"Retrieval-query": "q: ", "Retrieval-passage": "p: "}, None, "q: ", "p: "),
        ({"web_search_query": "q: "}, None, "q: ", ""),
        ({"web_search_query": "q: ", "sts_query": "s: "}, None, "", ""),
        ({"a_query": "q: ", "b_document": "d: "}, None, "", ""),
        ({"nl2code_query": "q: ", "qa_query": "r: ", "nl2code_document": "d: "}, "qa_query", "r: ", "r: "),
        ({"querying": "q: ", "subquery": "r: "}, None, "", ""),
    ],
)
def test_prompts_and_the_default_prompt(
    tmp_path: Path, prompts: dict[str, str], default: str | None, query: str, document: str
) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": default})
    found = card(tmp_path)
    assert (found.side("query").prefix, found.side("document").prefix) == (query, document)


@pytest.mark.parametrize(
    ("sentence", "tokenizer", "want"),
    [
        (100, 200, 100),
        (None, 200, 200),
        (None, 1e30, 512),
        (None, None, 512),
        (0, None, 512),
        (4096, None, 512),
    ],
)
def test_the_longest_input(tmp_path: Path, sentence: int | None, tokenizer: float | None, want: int) -> None:
    write_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": sentence})
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": tokenizer})
    assert card(tmp_path).max_tokens == want


READMES = {
    "---\nlicense: mit\nmodel-index:\n- name: Multilingual-E5-small\n  results: []\n---\n": (
        ("intfloat/multilingual-e5-small", "mean", "MIT", "query: ", "passage: ")
    ),
    "---\nlicense: mit\nmodel-index:\n  - name: 'E5-small-v2'\n---\n# E5-small-v2\n": (
        ("intfloat/e5-small-v2", "mean", "MIT", "query: ", "passage: ")
    ),
    "---\nmodel-index:\n- name: bge-small-en-v1.5\n  results:\nlicense: mit\n---\n": (
        ("BAAI/bge-small-en-v1.5", "cls", "MIT", QUERY, "")
    ),
    "---\nlicense: apache-2.0\n---\n\n# all-MiniLM-L6-v2\nThis is a model.\n": (
        ("sentence-transformers/all-MiniLM-L6-v2", "mean", "Apache-2.0", "", "")
    ),
    "---\r\nlicense: mit\r\nmodel-index:\r\n- name: bge-small-en-v1.5\r\n---\r\n": (
        ("BAAI/bge-small-en-v1.5", "cls", "MIT", QUERY, "")
    ),
}


@pytest.mark.parametrize(("text", "want"), READMES.items())
def test_a_folder_is_recognised_by_its_own_readme(tmp_path: Path, text: str, want: tuple[str, ...]) -> None:
    (tmp_path / "README.md").write_bytes(text.encode())
    found = card(tmp_path)
    sides = found.side("query").prefix, found.side("document").prefix
    assert (found.name, found.pooling, found.licence, *sides) == want


def test_the_width_has_to_fit(tmp_path: Path) -> None:
    readme(tmp_path, "---\nlicense: mit\nmodel-index:\n- name: bge-small-en-v1.5\n---\n")
    found = card(tmp_path, shape(width=768))
    assert (found.name, found.tasks, found.licence) == ("bert-12x768", (), "mit")


def test_the_folders_name_is_no_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "intfloat" / "multilingual-e5-small"
    folder.mkdir(parents=True)
    assert card(folder).name == "bert-12x384"


def test_the_table_chooses_among_prompts_with_other_names(tmp_path: Path) -> None:
    prompts = {f"{kind}_{side}": f"{kind} {side}: " for kind in ("nl2code", "qa") for side in ("query", "document")}
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": prompts})
    files = OwnFiles.read(tmp_path, "jinaai/jina-code-embeddings-0.5b")
    known = find_known(files, 896)
    assert known is not None
    found = complete(files, known, known, None)
    assert (found.side("query").prefix, found.side("document").prefix) == ("nl2code query: ", "nl2code document: ")
    assert found.side("query", "qa_query").prefix == "qa query: "
    assert (found.pooling, found.matryoshka, found.licence) == ("last", (64, 128, 256, 512, 896), "CC-BY-NC-4.0")
    assert find_known(files, 1536) is None


def test_an_empty_prompt_can_be_chosen_by_its_name(tmp_path: Path) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": {"query": "q: ", "document": ""}})
    found = card(tmp_path)
    assert (found.query_task, found.document_task) == ("query", None)
    assert found.side("document", "document").prefix == ""


def test_own_files_win_over_the_table(tmp_path: Path) -> None:
    readme(tmp_path, "---\nlicense: other\nmodel-index:\n- name: bge-small-en-v1.5\n---\n")
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": {"query": "own: ", "document": "mine: "}})
    pooling(tmp_path, pooling_mode="mean")
    found = card(tmp_path)
    assert (found.name, found.pooling, found.licence) == ("BAAI/bge-small-en-v1.5", "mean", "other")
    assert (found.side("query").prefix, found.side("document").prefix) == ("own: ", "mine: ")


def test_a_readme_that_says_nothing(tmp_path: Path) -> None:
    for text in ("", "---\n", "no front matter", "---\nlicense:\nlanguage: en\n---\n# A model of ours\n", "\xff\xfe"):
        found = card(readme(tmp_path, text))
        assert (found.name, found.licence) == ("bert-12x384", "unknown")


@pytest.mark.parametrize("file", ["config_sentence_transformers.json", "modules.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["{", "3", '["a", 3]'])
def test_a_small_file_that_is_not_what_it_should_be_is_named(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text, "utf-8")
    with pytest.raises(ModelError, match=file.replace(".", r"\.")):
        OwnFiles.read(tmp_path)


def test_v3_has_its_own_instructions(made: Callable[[str], Made], tmp_path: Path) -> None:
    published = Checkpoint.read(made("jina-v3-hf").folder).card
    assert {task.name: task.prefix for task in published.tasks if task.prefix} == INSTRUCTIONS
    own = {"retrieval.query": "Ask: ", "separation": "Apart: "}
    stated = Checkpoint.read(copy(made("jina-v3"), tmp_path / "own", task_instructions=own)).card
    assert stated.side("query").prefix == "Ask: "
    assert stated.task("separation").prefix == "Apart: "
    assert stated.side("document").prefix == INSTRUCTIONS["retrieval.passage"]
    assert (stated.licence, stated.matryoshka) == ("CC-BY-NC-4.0", (32,))
    assert all(task.adapter == task.name for task in stated.tasks)


def test_a_bert_that_says_it_is_v3_is_a_bert(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder = copy(made("bert"), tmp_path / "jina-embeddings-v3", _name_or_path="jinaai/jina-embeddings-v3")
    readme(folder, "---\nmodel-index:\n- name: jina-embeddings-v3\nlicense: cc-by-nc-4.0\n---\n")
    found = Checkpoint.read(folder).card
    assert (found.name, found.tasks, found.width) == ("bert-3x48", (), 48)
    assert card(folder, shape(width=1024)).tasks == ()
    bare = Embedder(made("bert").folder, dtype="float32", device="cpu").embed_query("fog")
    np.testing.assert_array_equal(Embedder(folder, dtype="float32", device="cpu").embed_query("fog"), bare)


@pytest.mark.parametrize("text", ["", "{}", "{", '{"model": {"type": "WordPiece"}}'])
def test_a_tokenizer_that_can_not_be_read(made: Callable[[str], Made], tmp_path: Path, text: str) -> None:
    folder = copy(made("bert"), tmp_path / "folder")
    (folder / "tokenizer.json").write_text(text, "utf-8")
    with pytest.raises(ModelError, match="has a tokenizer that cannot be read"):
        Embedder(folder, device="cpu").embed_query("fog")


def test_no_tokenizer_says_what_is_missing(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder = copy(made("bert"), tmp_path / "folder")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        Embedder(folder, device="cpu").embed_query("fog")


TEXTS = ["How do I remove a Directory?", "BERLIN", "naïve café", "東京の地下鉄", "tabs\tand\nlines", "a\x00b"]


@pytest.mark.parametrize("lower", [True, False])
def test_a_bare_vocabulary_is_the_same_tokenizer(made: Callable[[str], Made], tmp_path: Path, lower: bool) -> None:
    fast, bare = (copy(made("bert"), tmp_path / name) for name in ("fast", "bare"))
    tokenizer = json.loads((fast / "tokenizer.json").read_text("utf-8"))
    tokenizer["normalizer"] |= {"lowercase": lower}
    write_json(fast / "tokenizer.json", tokenizer)
    words = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    (bare / "tokenizer.json").unlink()
    (bare / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), "utf-8")
    write_json(bare / "tokenizer_config.json", {"do_lower_case": lower, "model_max_length": 512})
    want, got = (Embedder(folder, dtype="float32", device="cpu").embed_documents(TEXTS) for folder in (fast, bare))
    np.testing.assert_array_equal(got, want)


OLD_NORMS = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@pytest.mark.parametrize(
    ("name", "prefix", "old"),
    [("bert", "bert.", False), ("bert", "bert.", True), ("bert", "", True), ("xlm-roberta", "roberta.", False)],
)
def test_names_as_other_savers_write_them(
    made: Callable[[str], Made], tmp_path: Path, name: str, prefix: str, old: bool
) -> None:
    """Models saved with a head have prefixed names. TensorFlow's first BERTs call a norm's parts gamma and beta."""
    folder = copy(made(name), tmp_path / "renamed")
    tensors = {}
    for tensor_name, tensor in load_file(folder / WEIGHTS).items():
        renamed = tensor_name
        for new, was in OLD_NORMS.items() if old else ():
            renamed = renamed.removesuffix(new) + was if renamed.endswith(new) else renamed
        tensors[prefix + renamed] = tensor
    if prefix:
        tensors["cls.predictions.bias"] = torch.zeros(3)
    save_file(tensors, folder / WEIGHTS)
    plain, renamed_one = (Embedder(where, dtype="float32", device="cpu") for where in (made(name).folder, folder))
    np.testing.assert_array_equal(renamed_one.embed_documents(TEXTS[:2]), plain.embed_documents(TEXTS[:2]))
    assert renamed_one.card == plain.card
