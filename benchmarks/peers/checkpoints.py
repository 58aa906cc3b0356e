"""Random checkpoints in published layouts. Speed and size depend only on a model's shape."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from twofold.local.files import layouts

if TYPE_CHECKING:
    from pathlib import Path

ADAPTERS = ("retrieval.query", "retrieval.passage", "separation", "classification", "text-matching")
RANK, VOCABULARY, V3_VOCABULARY = 4, 30_522, 250_002
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


@dataclass(frozen=True)
class Shape:
    """The size of an encoder. Its vocabulary is MiniLM's, since the size of the word table hardly affects speed."""

    layers: int
    width: int
    heads: int
    inner: int
    positions: int

    @property
    def product_flops(self) -> int:
        """Floating-point operations of the matrix products per token."""
        return 2 * self.layers * self.width * (4 * self.width + 2 * self.inner)

    def flops(self, lengths: list[int]) -> float:
        """Floating-point operations for sequences of these lengths, including attention's two products."""
        return self.product_flops * sum(lengths) + 4 * self.layers * self.width * sum(n * n for n in lengths)


MINILM = Shape(layers=6, width=384, heads=12, inner=1536, positions=512)
BERT_BASE = Shape(layers=12, width=768, heads=12, inner=3072, positions=512)


def v3(layers: int) -> Shape:
    """The shape of jina-embeddings-v3 and XLM-RoBERTa large, which have 24 layers."""
    return Shape(layers=layers, width=1024, heads=16, inner=4096, positions=8194)


def make(folder: Path, family: str, dtype: torch.dtype, shape: Shape, vocabulary: int = VOCABULARY) -> Path:
    """A random checkpoint in a family's layout. v3's is the original one, with five stacked adapters."""
    layout = next(layout for layout in layouts.LAYOUTS if layout.family == family)
    tables = {"word": vocabulary, "kind": 2, "position": shape.positions}
    outputs = {"qkv": 3 * shape.width, "up": shape.inner}
    tensors: dict[str, torch.Tensor] = {}
    for name, sources in layout.sources(shape.layers).items():
        part, _, kind = name.rpartition(".")
        rows = tables.get(name) or outputs.get(part.rpartition(".")[2], shape.width) // len(sources)
        columns = shape.inner if name.endswith("down.weight") else shape.width
        matrix = name in tables or (kind == "weight" and "norm" not in name)
        for source in sources:
            value = (
                random(rows, columns, dtype=dtype)
                if matrix
                else torch.full((rows,), float(kind == "weight"), dtype=dtype)
            )
            if matrix and family == "jina-v3":
                tensors |= adapted(source.removesuffix(".weight"), value, table=name in tables)
            else:
                tensors[source] = value
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config(family, shape)), "utf-8")
    return folder


def config(family: str, shape: Shape) -> dict[str, object]:
    """The config values that tensors do not show."""
    stated = {
        "model_type": "bert",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "max_position_embeddings": shape.positions,
    }
    if family != "jina-v3":
        return stated
    lora = {"lora_adaptations": list(ADAPTERS), "lora_rank": RANK, "lora_alpha": 1}
    instructions = dict.fromkeys(ADAPTERS, "")  # the same tokens as a peer without instructions
    return {**stated, **lora, "model_type": "xlm-roberta", "task_instructions": instructions}


def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """Initialised as transformers does for training."""
    return torch.randn(*shape, dtype=dtype).mul_(0.02)


def adapted(module: str, weight: torch.Tensor, *, table: bool) -> dict[str, torch.Tensor]:
    """A module of v3's original layout: its weight and five stacked adapters, which are transposed for tables."""
    rows, columns = weight.shape
    count = len(ADAPTERS)
    a, b = ((count, rows, RANK), (count, RANK, columns)) if table else ((count, RANK, columns), (count, rows, RANK))
    return {
        f"{module}.parametrizations.weight.original": weight,
        f"{module}.parametrizations.weight.0.lora_A": random(*a, dtype=weight.dtype),
        f"{module}.parametrizations.weight.0.lora_B": random(*b, dtype=weight.dtype),
    }


def v3_beside_roberta(place: Path, layers: int, tokenizer: Path) -> tuple[Path, Path]:
    """Two folders, created once: v3's shape with its adapters, and XLM-RoBERTa of the same size for the peers."""
    ours, theirs = (place / f"{name}-{layers}-layers" for name in ("jina-v3", "xlm-roberta"))
    for folder in (ours, theirs):
        if folder.exists():
            continue
        torch.manual_seed(0)
        part = folder.with_suffix(".part")
        if folder == ours:
            make(part, "jina-v3", torch.float32, v3(layers))
        else:
            roberta(part, v3(layers))
        for name in TOKENIZER:
            shutil.copy(tokenizer / name, part)
        file = part / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "model_max_length": 8192}), "utf-8")
        part.rename(folder)
    return ours, theirs


def roberta(folder: Path, shape: Shape) -> None:
    """XLM-RoBERTa as transformers saves it, with the padding id of MiniLM's tokenizer."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    made = XLMRobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.positions,
        type_vocab_size=1,
        pad_token_id=0,
    )
    XLMRobertaModel(made).save_pretrained(folder)
