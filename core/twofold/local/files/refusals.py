"""What a checkpoint asks for that Twofold does not do: run its own code, or apply adapters that the engine ignores."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twofold.errors import ModelError
from twofold.local.files.lora import ADAPTER_CONFIG
from twofold.local.files.weights import read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from twofold.local.files.card import OwnFiles

USED = ("AutoModel", "AutoConfig", "AutoTokenizer", "AutoProcessor")
"""The classes of `auto_map` that an embedding model uses. The others are for heads."""
WRITTEN_FROM_CODE = ("jina-", "nomic", "gte")
"""Families of the encoder that are written from the code in their checkpoints, which is therefore not needed."""
ELSEWHERE = re.compile(r"checkpoint-\d+$|\.")
V5 = "jinaai/jina-embeddings-v5-text-"


@dataclass(frozen=True)
class Code:
    """Code of a checkpoint that is known.

    Attributes:
        changes: what it does that transformers' class of the same model_type does not do.
        same: values of config.json with which transformers' class does the same; None if there are none.
        defaults: values of `same` that config.json may leave out.
        instead: what to do.
    """

    changes: str
    same: Mapping[str, object] | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    instead: str = ""


_NOMIC = {
    "n_head": 12,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "layer_norm_epsilon": 1e-12,
    "activation_function": "swiglu",
    "prenorm": False,
    "num_experts": 0,
}
_BOTH_WAYS = Code(
    "attends in both directions, while transformers' class attends only to earlier tokens",
    same={"is_causal": False},
    instead='In a copy of the folder, add "is_causal": false to config.json: transformers\' class then does the same',
)
KNOWN: Mapping[str, Code] = {
    "Qwen2Model": _BOTH_WAYS,  # gte-Qwen2, stella, KaLM
    "NomicBertModel": Code(
        "has a mixture of experts, or other sizes than the model that transformers' class was written for",
        same=_NOMIC,
        defaults=_NOMIC,
        instead="Use nomic-ai/nomic-embed-text-v1.5",
    ),
    "GteModel": Code("computes the same as transformers' class", same={}),
    "NewModel": Code(
        "has rotary positions and a gated MLP, which transformers calls 'gte'",
        instead="Use alibaba-nlp-community/gte-multilingual-base, the same model in transformers' layout",
    ),
    "LlamaBidirectionalModel": Code(
        _BOTH_WAYS.changes, instead="Use a model that `twofold models` lists, or serve this one with its own code"
    ),
    "JinaEmbeddingsV5Model": Code(
        "applies one of four adapters", instead=f"Use {V5}small-retrieval or {V5}nano-retrieval, which need no code"
    ),
}
_OTHERWISE = "Use a model that `twofold models` lists, or serve this one with its own code"


def own_code(folder: Path) -> dict[str, str]:
    """The code that the checkpoint brings: what names it -> the class, as "modeling.Model".

    It looks at `auto_map`, at the modules of sentence-transformers and at their activation functions, in subfolders
    too.
    """
    return dict(_own_code(folder))


def _inside(folder: Path, pattern: str) -> list[Path]:
    """The files of a checkpoint, without those of a trainer's checkpoints and of hidden folders in it."""
    found = sorted(folder.rglob(pattern))
    return [file for file in found if not any(ELSEWHERE.match(part) for part in file.relative_to(folder).parts[:-1])]


def _own_code(folder: Path) -> Iterator[tuple[str, str]]:
    for file in _inside(folder, "*.json"):
        if file.name in {"config.json", "tokenizer_config.json"}:
            yield from _mapped(read_json(file))
        if file.name == "modules.json":
            yield from _modules(entry.get("type") for entry in json.loads(file.read_text("utf-8")))
        if file.name in {"config.json", "router_config.json"} and isinstance(
            types := read_json(file).get("types"), dict
        ):
            yield from _modules(types.values())


def _mapped(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    auto = config.get("auto_map")
    for name, found in auto.items() if isinstance(auto, dict) else ():
        references = [found] if isinstance(found, str) else found or []
        if name in USED and any(references):
            yield f"auto_map's {name}", next(str(reference) for reference in references if reference)
    activation = config.get("activation_function")
    if isinstance(activation, str) and "in_features" in config and not activation.startswith("torch."):
        yield "an activation function", activation


def _modules(types: Any) -> Iterator[tuple[str, str]]:
    for kind in types:
        if not str(kind).startswith("sentence_transformers."):
            yield "a module", str(kind)


def check_code(folder: Path, files: OwnFiles, label: str) -> None:
    """Check that the checkpoint has no code, or that transformers' class is known to do the same.

    Raises:
        ModelError: it has. The message says what the code changes, if that is known, and what to use instead.
    """
    found = own_code(folder)
    if not found:
        return
    what = found.get("auto_map's AutoModel", next(iter(found.values())))
    code = KNOWN.get(what.rpartition(".")[2])
    if code is not None and set(found) <= {f"auto_map's {name}" for name in USED} and _is_same(code, files.config):
        return
    changes = f"That code {code.changes}" if code is not None else "Without that code, its vectors may differ"
    raise ModelError(
        f"{label} needs its own code ({what}), and Twofold never runs code from a checkpoint. {changes}. "
        f"{(code.instead if code is not None else '') or _OTHERWISE}"
    )


def _is_same(code: Code, config: Mapping[str, Any]) -> bool:
    if code.same is None:
        return False
    return all(config.get(key, code.defaults.get(key)) == value for key, value in code.same.items())


def check_adapters(folder: Path, files: OwnFiles, label: str, used: Collection[Path] = ()) -> None:
    """Check that there are no adapters, except those in the folders `used`.

    Raises:
        ModelError: there are. The message names a repository with merged weights, if one is known.
    """
    found = sorted(file.parent.name for file in _inside(folder, ADAPTER_CONFIG) if file.parent not in used)
    if not found:
        return
    instead = "Merge one into the weights with peft's merge_and_unload, and open the saved result"
    if "retrieval" in found and "text-matching" in found:
        size = "nano" if files.config.get("model_type") == "eurobert" else "small"
        instead = f"Use {V5}{size}-retrieval, or the repository of another task: their adapters are merged"
    raise ModelError(
        f"{label} has adapters that nothing applies ({', '.join(found)}), so its vectors would be those of the bare "
        f"base model. {instead}"
    )
