"""Unusable checkpoints, each rejected with a clear error before any forward pass; and the identity of usable ones."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from support.checkpoints import MAKERS, write_json
from twofold import Embedder, InputError, MissingExtra, ModelError
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.files.recognise import UnknownFamily

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"


@pytest.fixture
def copy(made: Callable[[str], Made], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a checkpoint with changed tensors and config."""

    def get(
        name: str,
        *,
        drop: str = "",
        add: dict[str, torch.Tensor] | None = None,
        dtype: torch.dtype | None = None,
        **config: Any,
    ) -> Path:
        folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(made(name).folder, folder)
        if drop or add or dtype:
            tensors = {key: value for key, value in load_file(folder / WEIGHTS).items() if not (drop and drop in key)}
            tensors |= add or {}
            save_file({key: value.to(dtype) for key, value in tensors.items()}, folder / WEIGHTS)
        if config:
            stated = json.loads((folder / "config.json").read_text()) | config
            write_json(folder / "config.json", {key: value for key, value in stated.items() if value != "absent"})
        return folder

    return get


LOST = {
    "bert": "encoder.layer.1.output.dense.bias",
    "xlm-roberta": "encoder.layer.2.attention.self.key.weight",
    "jina-v2": "encoder.layer.1.mlp.wo.bias",
    "jina-v2-post-norm": "encoder.layer.2.layer_norm_1.weight",
    "jina-v3": "encoder.layers.1.mlp.fc2.parametrizations.weight.0.lora_B",
    "jina-v3-hf": "layers.1.self_attn.v_proj.bias",
}


@pytest.mark.parametrize(("name", "lost"), LOST.items())
def test_missing_and_unexpected_tensors_are_named(copy: Callable[..., Path], name: str, lost: str) -> None:
    with pytest.raises(ModelError, match=rf"lacks tensors: {lost.replace('.parametrizations.weight.0', '')}"):
        Checkpoint.read(copy(name, drop=lost))
    prefix = "roberta." if name == "jina-v3" else ""
    with pytest.raises(ModelError, match=r"has unexpected tensors: .*strange\.weight"):
        Checkpoint.read(copy(name, add={f"{prefix}strange.weight": torch.zeros(2)}))


def test_a_lost_last_layer_and_a_jina_without_its_mlp(copy: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"lacks tensors: encoder\.layer\.2"):
        Checkpoint.read(copy("bert", drop="encoder.layer.2."))
    with pytest.raises(ModelError, match=r"lacks tensors: .*embeddings\.position_embeddings"):
        Checkpoint.read(copy("jina-v2", drop=".mlp."))


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"num_attention_heads": "absent"}, "num_attention_heads as a number"),
    ({"num_attention_heads": 7}, "do not divide"),
    ({"model_type": "absent"}, "could be BERT or RoBERTa"),
    ({"hidden_act": "relu"}, "'relu'"),
    ({"layer_norm_eps": "small"}, "layer_norm_eps as a number"),
]


@pytest.mark.parametrize(("config", "message"), CONFIGS)
def test_a_config_that_does_not_say_what_it_must(
    copy: Callable[..., Path], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Checkpoint.read(copy("bert", **config))


def test_no_config_or_one_that_is_not_json(copy: Callable[..., Path]) -> None:
    folder = copy("jina-v2")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="num_attention_heads"):
        Checkpoint.read(folder)
    (folder / "config.json").write_text("{", "utf-8")
    with pytest.raises(ModelError, match="is not JSON"):
        Checkpoint.read(folder)


def test_folders_without_usable_weights(copy: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        Embedder(tmp_path / "nowhere").embed_query("fog")
    folder = copy("bert")
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only as a pickle"):
        Checkpoint.read(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        Checkpoint.read(folder)
    write_json(folder / f"{WEIGHTS}.index.json", {"weight_map": {"a": "model-1.safetensors"}})
    with pytest.raises(ModelError, match=r"lacks weights that its index lists: model-1\.safetensors"):
        Checkpoint.read(folder)
    write_json(folder / f"{WEIGHTS}.index.json", {"weight_map": {"a": "../model-1.safetensors"}})
    with pytest.raises(ModelError, match="no weight_map"):
        Checkpoint.read(folder)


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 200_000))
def test_a_file_cut_anywhere_is_refused(
    made: Callable[[str], Made], tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    whole = (made("bert").folder / WEIGHTS).read_bytes()
    folder = tmp_path_factory.mktemp("cut")
    write_json(folder / "config.json", json.loads((made("bert").folder / "config.json").read_text()))
    (folder / WEIGHTS).write_bytes(whole[: -(cut % len(whole) or 1)])
    with pytest.raises(ModelError, match=r"truncated|not a complete"):
        Checkpoint.read(folder)


def test_a_misshapen_tensor_is_named(copy: Callable[..., Path]) -> None:
    name = "encoder.layer.0.output.dense.bias"
    with pytest.raises(ModelError, match=rf"{name} has the shape \(5,\)"):
        Checkpoint.read(copy("bert", drop=name, add={name: torch.zeros(5)}))


@pytest.mark.parametrize("name", MAKERS)
def test_shards_and_another_folder_are_the_same_space(
    made: Callable[[str], Made], copy: Callable[..., Path], name: str
) -> None:
    folder = copy(name)
    tensors = load_file(folder / WEIGHTS)
    shards = {key: f"model-{number % 2}.safetensors" for number, key in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({key: value for key, value in tensors.items() if shards[key] == shard}, folder / shard)
    write_json(folder / f"{WEIGHTS}.index.json", {"weight_map": shards})
    (folder / WEIGHTS).unlink()
    one, other = Embedder(made(name).folder, dtype="float32"), Embedder(folder, dtype="float32")
    assert one.space == other.space
    np.testing.assert_array_equal(one.embed_query("fog"), other.embed_query("fog"))


def test_one_byte_changes_the_digest(made: Callable[[str], Made], copy: Callable[..., Path]) -> None:
    folder = copy("bert")
    changed = bytearray((folder / WEIGHTS).read_bytes())
    changed[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(changed))
    assert Checkpoint.read(folder).digest != Checkpoint.read(made("bert").folder).digest


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_files_in_half_precision_are_read(
    made: Callable[[str], Made], copy: Callable[..., Path], dtype: torch.dtype
) -> None:
    half = Embedder(copy("jina-v3", dtype=dtype), dtype="float32", device="cpu").embed_query("fog")
    whole = Embedder(made("jina-v3").folder, dtype="float32", device="cpu").embed_query("fog")
    assert half @ whole > 0.98


def test_v3_without_adapters_says_how_to_use_the_bare_model(copy: Callable[..., Path]) -> None:
    folder = copy("jina-v3-hf")
    for config in folder.glob("*/adapter_config.json"):
        shutil.rmtree(config.parent)
    with pytest.raises(InputError, match=r"no task 'retrieval\.query'.*query_task=None"):
        Embedder(folder).embed_query("fog")
    assert Embedder(folder, query_task=None, document_task=None).embed_query("fog").shape == (48,)


def test_adapters_that_do_not_fit_are_refused(copy: Callable[..., Path]) -> None:
    folder = copy("jina-v3-hf")
    adapter = folder / "separation"
    config = json.loads((adapter / "adapter_config.json").read_text())
    for change, message in (({"use_dora": True}, "use_dora"), ({"r": None}, "its scale"), ({"peft_type": "X"}, "'X'")):
        write_json(adapter / "adapter_config.json", config | change)
        with pytest.raises(ModelError, match=message):
            Checkpoint.read(folder)
    write_json(adapter / "adapter_config.json", config)
    tensors = load_file(adapter / "adapter_model.safetensors")
    lost = next(name for name in tensors if "fc1.lora_B" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="lacks the other half of"):
        Checkpoint.read(folder).load(CPU, torch.float32)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors does not exist"):
        Checkpoint.read(folder)


def test_an_unknown_family_needs_its_extra(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy("bert", model_type="distilbert")
    with pytest.raises(UnknownFamily, match="distilbert"):
        Checkpoint.read(folder)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'twofold\[sentence-transformers\]'"):
        Embedder(folder).embed_query("fog")
