"""Families that the encoder does not support: their vectors are exactly sentence-transformers' own."""

from __future__ import annotations

import json
import re
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

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
from support.families import mistral, nomic, router
from twofold import DeviceError, Document, Embedder, InputError, ModelError, PromptWarning
from twofold.adapters import embed_texts
from twofold.local.backend import LocalBackend, unload
from twofold.local.files.card import OwnFiles, _warn_prompts, complete, find_known
from twofold.local.files.refusals import check_code
from twofold.local.sentence_transformers import LoadingReport, SentenceTransformersBackend, _reported
from twofold.vectors import normalize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made

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
    own, tokenizer = {"AutoConfig": "own.Own", "AutoModel": "own.Own"}, {"AutoTokenizer": [None, "own.Own"]}
    modules = json.loads((folders["dense"] / "modules.json").read_text("utf-8"))
    dense, config = (read(folders["dense"] / name) for name in ("2_Dense/config.json", "config.json"))
    router = {"types": {"query_0": "own.Own"}, "structure": {"query": ["query_0"]}, "parameters": {}}
    changes: list[tuple[str, object]] = [
        ("config.json", config | {"model_type": "of-my-own", "auto_map": own}),
        (
            "config.json",
            config | {"auto_map": own, "architectures": ["Own"]},
        ),  # a family of transformers
        ("tokenizer_config.json", {"auto_map": tokenizer}),
        ("modules.json", [modules[0], {**modules[1], "type": "own.Own"}]),
        ("router_config.json", router),
        ("2_Dense/config.json", dense | {"activation_function": "own.Own"}),
    ]
    for number, (file, content) in enumerate(changes):
        folder = shutil.copytree(folders["dense"], tmp_path / str(number))
        (folder / "own.py").write_text(code, "utf-8")
        write_json(folder / file, content)
        with pytest.raises(ModelError, match=rf"{number} needs its own code \(own\.Own\), and Twofold never runs code"):
            Embedder(folder, device="cpu").embed_query("fog")
    assert not trace.exists()


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def test_code_in_a_berts_folder_is_not_ignored(made: Callable[[str], Made], tmp_path: Path) -> None:
    """Its tensors are BERT's, but its code may compute something else."""
    folder = shutil.copytree(made("bert").folder, tmp_path / "bert")
    write_json(folder / "config.json", read(folder / "config.json") | {"auto_map": {"AutoModel": "own.Own"}})
    with pytest.raises(ModelError, match=r"bert needs its own code \(own\.Own\).*its vectors may differ"):
        Embedder(folder, device="cpu").embed_query("fog")
    heads = {"auto_map": {"AutoModelForMaskedLM": "own.Own"}}  # which no embedding uses
    write_json(folder / "config.json", read(folder / "config.json") | heads)
    assert isinstance(Embedder(folder, device="cpu").backend, LocalBackend)


NOMIC = {
    "model_type": "nomic_bert",
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
    "activation_function": "swiglu",
    "layer_norm_epsilon": 1e-12,
    "n_head": 12,
    "prenorm": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
}
"""As nomic-embed-text-v1.5 states them, in keys that transformers' class does not read: its defaults are the same."""


@pytest.mark.parametrize(
    ("change", "fits"),
    [({}, True), ({"n_head": 16}, False), ({"rotary_emb_base": 10_000}, False), ({"num_experts": 8}, False)],
)
def test_code_that_is_known_to_compute_the_same_is_not_needed(
    tmp_path: Path, change: dict[str, object], fits: bool
) -> None:
    write_json(tmp_path / "config.json", NOMIC | change)
    if fits:
        check_code(tmp_path, OwnFiles.read(tmp_path), "It")
    else:
        with pytest.raises(ModelError, match=r"It needs its own code .*Use nomic-ai/nomic-embed-text-v1\.5"):
            check_code(tmp_path, OwnFiles.read(tmp_path), "It")


@pytest.mark.parametrize("change", ["missing", "unexpected", "mismatched"])
def test_weights_that_do_not_fit_are_refused_by_name(folders: dict[str, Path], tmp_path: Path, change: str) -> None:
    folder = shutil.copytree(folders["distilbert"], tmp_path / "other")
    tensors = load_file(folder / "model.safetensors")
    name = "transformer.layer.1.ffn.lin1.weight"
    if change == "missing":
        del tensors[name]
    elif change == "unexpected":
        name = "transformer.layer.7.ffn.lin1.weight"
        tensors[name] = torch.zeros(INNER, WIDTH)
    else:
        tensors[name] = torch.zeros(INNER + 1, WIDTH)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=rf"other (lacks|has) weights.*{re.escape(name)}.*would be wrong"):
        Embedder(folder, device="cpu").embed_query("fog")


def test_heads_and_poolers_may_be_missing_or_unused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["distilbert"], tmp_path / "head")
    tensors = load_file(folder / "model.safetensors")
    heads = {"vocab_transform.weight": torch.zeros(WIDTH, WIDTH), "pooler.dense.bias": torch.zeros(WIDTH)}
    save_file(tensors | heads, folder / "model.safetensors", {"format": "pt"})
    want = Embedder(folders["distilbert"], dtype="float32", device="cpu").embed_query("fog")
    np.testing.assert_array_equal(Embedder(folder, dtype="float32", device="cpu").embed_query("fog"), want)
    bare = shutil.copytree(folders["dense"], tmp_path / "no-pooler")
    kept = {name: tensor for name, tensor in load_file(bare / "model.safetensors").items() if "pooler" not in name}
    save_file(kept, bare / "model.safetensors", {"format": "pt"})
    assert Embedder(bare, device="cpu").embed_query("fog").shape == (20,)


def test_adapters_beside_a_bert_are_not_ignored(made: Callable[[str], Made], tmp_path: Path) -> None:
    trained = shutil.copytree(made("bert").folder, tmp_path / "trained")
    write_json(trained / "checkpoint-500" / "adapter_config.json", {"peft_type": "LORA"})  # a trainer's own
    assert Embedder(trained, device="cpu").embed_query("fog").shape == (WIDTH,)
    for number, name in enumerate(("bert", "jina-v3-hf")):
        folder = shutil.copytree(made(name).folder, tmp_path / str(number))
        write_json(folder / "adapters" / "retrieval" / "adapter_config.json", {"peft_type": "LORA", "r": 4})
        with pytest.raises(ModelError, match=r"has adapters that nothing applies \(retrieval\).*merge_and_unload"):
            Embedder(folder, device="cpu").embed_query("fog")


def test_a_report_of_another_thread_is_not_ours(folders: dict[str, Path]) -> None:
    from transformers import AutoModel, PreTrainedModel

    before = vars(PreTrainedModel)["from_pretrained"]
    with _reported() as reports:
        thread = threading.Thread(target=AutoModel.from_pretrained, args=(folders["distilbert"],))
        thread.start()
        thread.join()
        assert reports == []
        AutoModel.from_pretrained(folders["distilbert"])
        assert reports == [LoadingReport(frozenset(), frozenset(), frozenset())]
    assert vars(PreTrainedModel)["from_pretrained"] is before


def test_a_float16_checkpoint_is_computed_in_float32_on_a_cpu(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(folders["distilbert"], tmp_path / "half")
    tensors = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    write_json(folder / "config.json", read(folder / "config.json") | {"dtype": "float16"})
    for has, dtype in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr("twofold.local.device.cpu_has_bfloat16", lambda has=has: has)
        backend = Embedder(folder, device="cpu").backend
        assert isinstance(backend, SentenceTransformersBackend)
        assert backend.precision == dtype


def test_a_router_gets_the_side(tmp_path: Path) -> None:
    """Also without a prompt, and with tokenizers of two lengths."""
    from sentence_transformers import SentenceTransformer

    router(tmp_path)
    write_json(tmp_path / "config_sentence_transformers.json", {})
    write_json(tmp_path / "query_0" / "sentence_bert_config.json", {"max_seq_length": 8})
    model = Embedder(tmp_path, dtype="float32", device="cpu", truncate="end")
    peer = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(model.embed_queries(TEXTS), normalize(peer.encode_query(TEXTS)), atol=1e-5)
    np.testing.assert_allclose(model.embed_documents(TEXTS), normalize(peer.encode_document(TEXTS)), atol=1e-5)
    assert not np.allclose(model.embed_query("fog"), model.embed_documents(["fog"])[0], atol=1e-2)
    assert (model.query_task.name, model.document_task.name) == ("query", "document")
    assert model.space.query_task != model.space.document_task
    long = "fog over the harbour " * 3
    strict = model.with_options(truncate="error")
    with pytest.raises(InputError, match="the limit is 8"):
        strict.embed_query(long)
    assert strict.embed_documents([long]).shape == (1, WIDTH)


def test_prompts_whose_side_is_unclear_are_listed_once(tmp_path: Path) -> None:
    mistral(tmp_path)
    _warn_prompts.cache_clear()
    with pytest.warns(PromptWarning, match=r"prompts, but none .*: sts_query, web_search_query\. Both sides run with"):
        Embedder(tmp_path, device="cpu").embed_query("fog")
    with warnings.catch_warnings(action="error"):
        Embedder(tmp_path, device="cpu").embed_query("fog")
        _warn_prompts.cache_clear()
        chosen = Embedder(tmp_path, device="cpu", query_task="sts_query")
        assert chosen.embed_query("fog").shape == (WIDTH,)
        assert chosen.query_task.prefix.startswith("Instruct: Retrieve similar")
        Embedder(tmp_path, device="cpu", query_instruction="ask: ").embed_query("fog")


def test_the_table_completes_what_the_files_do_not_state(tmp_path: Path) -> None:
    """As for nomic-embed-text-v1.5, whose prompts and sizes are only in its README."""
    nomic(tmp_path)
    readme = "---\nlicense: apache-2.0\n---\n# nomic-embed-text-v1.5: Resizable Production Embeddings\n"
    (tmp_path / "README.md").write_text(readme, "utf-8")
    assert Embedder(tmp_path, device="cpu").card.name == f"nomic_bert-{WIDTH}"  # another width
    files = OwnFiles.read(tmp_path)
    known = find_known(files, 768)
    assert known is not None
    card = complete(files, known, known, None)
    assert (card.name, card.max_tokens) == ("nomic-ai/nomic-embed-text-v1.5", 128)
    assert (card.side("query").prefix, card.side("document").prefix) == ("search_query: ", "search_document: ")
    assert (card.matryoshka, card.licence) == ((64, 128, 256, 512, 768), "Apache-2.0")


def test_a_very_long_text_is_cut_before_it_is_tokenised(
    folders: dict[str, Path], embedder: Callable[..., Embedder]
) -> None:
    from sentence_transformers import SentenceTransformer

    long = "fog over the harbour and nine ships " * 4000
    peer = SentenceTransformer(str(folders["distilbert"]), device="cpu")
    want = normalize(peer.encode_document([long]))
    model = embedder(truncate="end")
    np.testing.assert_allclose(model.embed_documents([long]), want, atol=1e-5)
    backend = model.backend
    assert isinstance(backend, SentenceTransformersBackend)
    (text,), _ = backend._check([Document.whole(long)], model.document_task, "end")
    assert len(text) < len(long) / 20
    with pytest.raises(InputError, match=rf"text 0 has more than \d+ tokens, the limit is {LENGTH}"):
        embedder().embed_documents([long])


@pytest.mark.parametrize("fault", ["nan", "neighbours"])
def test_a_model_that_fails_its_check_is_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    from sentence_transformers import SentenceTransformer

    real = SentenceTransformer.encode

    def encode(self: SentenceTransformer, texts: list[str], **options: Any) -> Any:
        rows = real(self, texts, **options)
        if fault == "nan":
            rows[0, 0] = np.nan
            return rows
        rows[:, len(texts)] += 9
        return rows

    unload()
    monkeypatch.setattr(SentenceTransformer, "encode", encode)
    said = "not finite or are zero" if fault == "nan" else "different vectors alone and in a batch"
    with pytest.raises(ModelError, match=said):
        Embedder(folders["distilbert"], device="cpu").embed_query("fog")


def test_embedders_share_the_weights_until_the_files_change(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["distilbert"], tmp_path / "shared")
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
    backends = [Embedder(folder, **options, normalize=unit).backend for unit in (True, False)]
    unload()
    backends.append(Embedder(folder, **options).backend)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 9})
    backends.append(Embedder(folder, **options).backend)
    models = [backend.model for backend in backends if isinstance(backend, SentenceTransformersBackend)]
    assert models[0] is models[1]
    assert len(set(map(id, models))) == 3
    assert (backends[0].card.max_tokens, backends[3].card.max_tokens) == (LENGTH, 9)


def test_threads_that_count_and_embed_do_not_disturb_each_other(embedder: Callable[..., Embedder]) -> None:
    """A call of the tokenizer switches its truncation."""
    model, long = embedder(truncate="end"), ["fog over the harbour " * 400] * 20
    want, count = model.embed_documents(long), model.count_tokens(long)
    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(model.count_tokens, long) for _ in range(6)]
        vectors = [pool.submit(model.embed_documents, long) for _ in range(6)]
        assert all(done.result() == count for done in counts)
        for done in vectors:
            np.testing.assert_allclose(done.result(), want, atol=1e-6)


def test_an_activation_that_the_encoder_lacks_runs_here(made: Callable[[str], Made], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = shutil.copytree(made("bert").folder, tmp_path / "gelu_new")
    sentence_transformers_files(folder)
    write_json(folder / "config.json", read(folder / "config.json") | {"hidden_act": "gelu_new"})
    model = Embedder(folder, dtype="float32", device="cpu")
    assert "its activation is 'gelu_new'" in str(getattr(model.backend, "reason", ""))
    want = normalize(SentenceTransformer(str(folder), device="cpu").encode(TEXTS))
    np.testing.assert_allclose(model.embed_documents(TEXTS), want, atol=1e-5)


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
