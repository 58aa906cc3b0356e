"""Families that the encoder does not support: their vectors are exactly sentence-transformers' own."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from support.checkpoints import (
    HEADS,
    INNER,
    LAYERS,
    WIDTH,
    bert,
    randomise,
    sentence_transformers_files,
    wordpiece,
    write_json,
)
from twofold import DeviceError, Document, Embedder, InputError, ModelError
from twofold.adapters import embed_texts
from twofold.local.sentence_transformers import SentenceTransformersBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ["How do I remove a directory?", "Berlin", "The keeper counted nine ships.", "fog"] * 9 + ["harbour"]
"""More texts than the backend embeds at once."""
PROMPTS = {"query": "query: ", "document": "passage: "}
LENGTH = 24


def distilbert(folder: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=wordpiece(folder), dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER)
    model = DistilBertModel(config)
    randomise(model, 0)
    model.save_pretrained(folder)
    sentence_transformers_files(folder, "mean", LENGTH, **PROMPTS)


def modernbert(folder: Path) -> None:
    from transformers import ModernBertConfig, ModernBertModel

    config = ModernBertConfig(
        vocab_size=wordpiece(folder),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=64,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
    )
    model = ModernBertModel(config)
    randomise(model, 0)
    model.save_pretrained(folder)
    sentence_transformers_files(folder, "cls", LENGTH, **PROMPTS)


def bert_with_a_dense_module(folder: Path) -> None:
    """A BERT whose vectors are narrower than its hidden states."""
    bert(folder)
    sentence_transformers_files(folder, "mean", LENGTH, **PROMPTS)
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    dense = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    write_json(folder / "modules.json", [*modules[:2], dense])
    activation = "torch.nn.modules.activation.Tanh"
    write_json(
        folder / "2_Dense" / "config.json",
        {"in_features": WIDTH, "out_features": 20, "bias": True, "activation_function": activation},
    )
    generator = torch.Generator().manual_seed(0)
    linear = {"linear.weight": torch.randn(20, WIDTH, generator=generator), "linear.bias": torch.ones(20) / 2}
    save_file(linear, folder / "2_Dense" / "model.safetensors")


MAKERS: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "distilbert": (distilbert, WIDTH, "its model_type is 'distilbert'"),
    "modernbert": (modernbert, WIDTH, "its model_type is 'modernbert'"),
    "dense": (bert_with_a_dense_module, 20, "it has the module Dense"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, (make, _, _) in MAKERS.items():
        found[name] = tmp_path_factory.mktemp(name) / "any-name"
        found[name].mkdir()
        make(found[name])
    return found


@pytest.fixture
def embedder(folders: dict[str, Path]) -> Callable[..., Embedder]:
    def get(name: str = "distilbert", **options: Any) -> Embedder:
        return Embedder(folders[name], **{"dtype": "float32", "device": "cpu", **options})

    return get


@pytest.mark.parametrize("name", MAKERS)
def test_both_sides_are_sentence_transformers_own(
    folders: dict[str, Path], embedder: Callable[..., Embedder], name: str
) -> None:
    from sentence_transformers import SentenceTransformer

    peer = SentenceTransformer(str(folders[name]), device="cpu")
    mine = embedder(name)
    np.testing.assert_allclose(
        mine.embed_queries(TEXTS), peer.encode_query(TEXTS, normalize_embeddings=True), atol=1e-5
    )
    np.testing.assert_allclose(
        mine.embed_documents(TEXTS), peer.encode_document(TEXTS, normalize_embeddings=True), atol=1e-5
    )
    np.testing.assert_allclose(mine.embed(TEXTS, task=None), peer.encode(TEXTS, normalize_embeddings=True), atol=1e-5)
    np.testing.assert_allclose(mine.embed_query(TEXTS[0]), mine.embed_queries(TEXTS[:1])[0], atol=1e-5)
    assert not np.allclose(mine.embed_query("fog"), mine.embed_documents(["fog"])[0], atol=1e-3)


@pytest.mark.parametrize("name", MAKERS)
def test_its_card_and_why_the_encoder_does_not_run_it(embedder: Callable[..., Embedder], name: str) -> None:
    _, width, reason = MAKERS[name]
    model = embedder(name)
    assert isinstance(model.backend, SentenceTransformersBackend)
    assert (model.card.width, model.card.max_tokens) == (width, LENGTH)
    assert model.card.pooling == ("cls" if name == "modernbert" else "mean")
    assert (model.query_task.prefix, model.document_task.prefix) == ("query: ", "passage: ")
    said = model.backend.describe()
    assert said["engine"] == f"sentence-transformers: {reason}"
    assert (said["device"], said["dtype"]) == ("cpu", "float32")


def test_dimensions_are_cut_before_they_are_normalised(embedder: Callable[..., Embedder]) -> None:
    full = embedder(normalize=False).embed_documents(TEXTS)
    assert not np.allclose(np.linalg.norm(full, axis=1), 1, atol=1e-3)
    with pytest.warns(match="not trained to be cut"):
        got = embedder(dimensions=7).embed_documents(TEXTS)
    np.testing.assert_allclose(got, full[:, :7] / np.linalg.norm(full[:, :7], axis=1, keepdims=True), atol=1e-5)
    with pytest.raises(InputError, match=r"dimensions=21, but .* has 1 to 20"):
        embedder("dense", dimensions=21).embed_query("fog")


def test_a_text_over_the_length_is_refused_before_any_work_or_cut(
    folders: dict[str, Path], embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    long = "fog over the harbour " * 20
    want = SentenceTransformer(str(folders["distilbert"]), device="cpu").encode_document(
        [long], normalize_embeddings=True
    )
    np.testing.assert_allclose(embedder(truncate="end").embed_documents([long]), want, atol=1e-5)
    strict = embedder()
    (count,) = strict.count_tokens([long])
    monkeypatch.setattr(SentenceTransformer, "encode", lambda *_, **__: pytest.fail("worked on bad input"))
    with pytest.raises(InputError, match=rf"text 1 has {count} tokens, the limit is {LENGTH}") as caught:
        strict.embed_documents(["fine", long])
    assert caught.value.index == 1


def test_a_prompts_tokens_count_towards_the_length(embedder: Callable[..., Embedder]) -> None:
    model = embedder()
    bare, asked = (model.count_tokens(["fog"], task=task)[0] for task in (None, "query"))
    assert asked > bare > 2


def test_spans_are_refused_with_the_reason(embedder: Callable[..., Embedder]) -> None:
    with pytest.raises(InputError, match=r"document 0 has spans.*model_type is 'distilbert': late chunking needs"):
        embedder().embed_chunks(["fog over ", "the harbour"])
    part = Document.from_spans("fog over the harbour", [(0, 3)])
    with pytest.raises(InputError, match="document 1 has spans") as caught:
        embedder().embed_late([Document.whole("fog"), part])
    assert caught.value.index == 1
    whole = embedder().embed_late([Document.whole("fog")])
    np.testing.assert_allclose(whole[0], embedder().embed_documents(["fog"]), atol=1e-6)


async def test_async_gives_the_same(embedder: Callable[..., Embedder]) -> None:
    model = embedder("dense")
    np.testing.assert_allclose(await model.aembed_documents(TEXTS), model.embed_documents(TEXTS), atol=1e-6)
    np.testing.assert_allclose(await model.aembed_query("fog"), model.embed_query("fog"), atol=1e-6)


def test_the_space_knows_the_weights_and_the_modules(
    folders: dict[str, Path], embedder: Callable[..., Embedder], tmp_path: Path
) -> None:
    space = embedder("dense").space
    assert (space.width, space.query_prefix, space.document_prefix) == (20, "query: ", "passage: ")
    assert Embedder(shutil.copytree(folders["dense"], tmp_path / "moved"), device="cpu").space == space
    (weights,) = (tmp_path / "moved").glob("*Dense/model.safetensors")
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(bytes(changed))
    assert Embedder(tmp_path / "moved", device="cpu").space != space


def test_progress_counts_every_document_and_token(embedder: Callable[..., Embedder]) -> None:
    model = embedder()
    told: list[tuple[int, int]] = []
    documents = [Document.whole(text) for text in TEXTS]
    model.backend.embed(documents, model.document_task, WIDTH, report=lambda *done: told.append(done))
    assert len(told) == 2
    assert [sum(column) for column in zip(*told, strict=True)] == [len(TEXTS), sum(model.count_tokens(TEXTS))]


def test_no_texts_are_no_vectors(embedder: Callable[..., Embedder]) -> None:
    assert embedder().embed_documents([]).shape == (0, WIDTH)


def test_bfloat16_is_taken_and_int8_is_refused(embedder: Callable[..., Embedder]) -> None:
    half, whole = (embedder(dtype=dtype).embed_documents(TEXTS) for dtype in ("bfloat16", "float32"))
    assert half.dtype == np.float32
    assert (half * whole).sum(1).min() > 0.98
    with pytest.raises(InputError, match="int8"):
        embedder(dtype="int8").embed_query("fog")


def test_a_device_that_is_not_there(embedder: Callable[..., Embedder]) -> None:
    with pytest.raises(DeviceError, match="'cuda:63' does not exist"):
        embedder(device="cuda:63").embed_query("fog")


def test_code_beside_the_weights_is_never_run(tmp_path: Path, folders: dict[str, Path]) -> None:
    """Neither a class named in a config, nor a module, nor a pickle."""
    trace = tmp_path / "ran"
    code = f"open({str(trace)!r}, 'w').close()\n\n\nclass Own:\n    pass\n"
    for number, change in enumerate(
        (
            {"model_type": "of-my-own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}},
            {"auto_map": {"AutoModel": "own.Own"}, "architectures": ["Own"]},
        )
    ):
        folder = shutil.copytree(folders["distilbert"], tmp_path / str(number))
        (folder / "own.py").write_text(code, "utf-8")
        config = json.loads((folder / "config.json").read_text("utf-8"))
        write_json(folder / "config.json", config | change)
        if number:  # transformers has its own class for the family
            assert Embedder(folder, device="cpu").embed_query("fog").shape == (WIDTH,)
        else:
            with pytest.raises(ModelError, match="has a family that cannot run here"):
                Embedder(folder, device="cpu").embed_query("fog")
    folder = shutil.copytree(folders["distilbert"], tmp_path / "module")
    (folder / "own.py").write_text(code, "utf-8")
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    modules[1]["type"] = "own.Own"
    write_json(folder / "modules.json", modules)
    with pytest.raises(ModelError, match="it has the module Own"):
        Embedder(folder, device="cpu").embed_query("fog")
    assert not trace.exists()


def test_weights_that_can_not_be_read(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["dense"], tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(ModelError, match="truncated"):
        Embedder(folder, device="cpu").embed_query("fog")
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only as a pickle"):
        Embedder(folder, device="cpu").embed_query("fog")


def test_a_pickled_module_is_never_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["dense"], tmp_path / "pickled")
    (weights,) = folder.glob("*Dense/model.safetensors")
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(ModelError, match=r"only as a pickle \(pytorch_model\.bin\)"):
        Embedder(folder, device="cpu").embed_query("fog")


@pytest.mark.filterwarnings("ignore::twofold.BlankWarning")
def test_a_static_model_embeds_a_full_stop_instead(minilm: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{minilm}/tokenizer.json")
    SentenceTransformer(modules=[modules.StaticEmbedding(tokenizer, embedding_dim=16)]).save(str(tmp_path))
    embedder = Embedder(tmp_path)
    stop, fog = embedder.embed_documents([".", "fog"])
    np.testing.assert_allclose(embed_texts(embedder, "document", ["", "fog"]), [stop, fog], atol=1e-5)
    np.testing.assert_allclose(embedder.embed_documents(["\u0301", "fog"]), [stop, fog], atol=1e-5)
