"""A checkpoint's card: what its tensors, its own files and its hub id say of it, never what its folder is called."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from twofold.cards import JINA_V3, find_card
from twofold.errors import ModelError
from twofold.local.files.weights import read_json
from twofold.models import ModelCard, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from twofold.local.encoder import EncoderConfig
    from twofold.models import Pooling

POOLING: dict[str, Pooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "lasttoken": "last",
}
"""Sentence-transformers' names of the poolings that the encoder has."""
NATIVE_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
PUBLISHED_AS = {
    "jina-embedding-b-en-v2": "jina-embeddings-v2-base-en",
    "jina-embedding-s-en-v2": "jina-embeddings-v2-small-en",
    "E5-base-v2": "e5-base-v2",
    "E5-small-v2": "e5-small-v2",
    "E5-large-v2": "e5-large-v2",
    "Multilingual-E5-small": "multilingual-e5-small",
    "Multilingual-E5-base": "multilingual-e5-base",
    "Multilingual-E5-large": "multilingual-e5-large",
}
"""Names that published READMEs give their model -> the name that it goes by."""
BERT_VOCABULARY = "vocab.txt"
SANE_LENGTH = 1_000_000
"""Tokenizer files say a length of 1e30 where they mean none."""


@dataclass(frozen=True)
class OwnFiles:
    """What a checkpoint's own files say, by sentence-transformers' conventions."""

    config: dict[str, Any]
    modules: tuple[str, ...]
    pooling: dict[str, Any]
    prompts: dict[str, str]
    default_prompt: str | None
    max_tokens: int | None
    names: tuple[str, ...]
    licence: str | None

    @classmethod
    def read(cls, folder: Path, hub_id: str | None = None) -> OwnFiles:
        """Read the small files of a checkpoint; a hub id that it was fetched by names it too.

        Raises:
            ModelError: one of them is not JSON.
        """
        modules = _modules(folder)
        prompts = read_json(folder / "config_sentence_transformers.json")
        stated = prompts.get("prompts")
        config = read_json(folder / "config.json")
        names, licence = _readme(folder / "README.md")
        return cls(
            config=config,
            modules=tuple(modules),
            pooling=read_json(folder / modules.get("Pooling", "1_Pooling") / "config.json"),
            prompts={str(name): str(text) for name, text in stated.items() if text} if isinstance(stated, dict) else {},
            default_prompt=prompts.get("default_prompt_name"),
            max_tokens=_length(folder),
            names=(hub_id or "", *names, str(config.get("_name_or_path", ""))),
            licence=licence,
        )

    @property
    def pooling_modes(self) -> set[str]:
        """The poolings that are switched on, in sentence-transformers' words."""
        mode = self.pooling.get("pooling_mode")
        modes = {mode} if isinstance(mode, str) else set(mode or ())
        return modes | {
            key.removeprefix("pooling_mode_")
            for key, on in self.pooling.items()
            if key.startswith("pooling_mode_") and on is True
        }

    @property
    def foreign(self) -> str | None:
        """What the files ask for that the encoder and its pooling do not do; None where they do all of it."""
        if others := [module for module in self.modules if module not in NATIVE_MODULES]:
            return f"it has the module {others[0]}"
        modes = self.pooling_modes
        if len(modes) > 1 or not modes <= set(POOLING):
            return f"it pools by {' and '.join(sorted(modes))}"
        if self.pooling.get("include_prompt") is False and self.prompts:
            return "it leaves the prompt out of the pooling"
        return None

    def sides(self) -> dict[str, Any]:
        """The prompts as tasks, each side by the name that `encode_query` and `encode_document` use."""

        def first(*names: str) -> str | None:
            default = self.default_prompt if self.default_prompt in self.prompts else None
            return next((name for name in names if name in self.prompts), default)

        return {
            "tasks": tuple(Task(name, prefix) for name, prefix in self.prompts.items()),
            "query_task": first("query"),
            "document_task": first("document", "passage", "corpus"),
        }


def _length(folder: Path) -> int | None:
    """The longest input that the files state."""
    for file, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        length = read_json(folder / file).get(key)
        if isinstance(length, int | float) and 0 < length < SANE_LENGTH:
            return int(length)
    return None


def tokenizer_file(folder: Path) -> Path:
    """Where a checkpoint's tokenizer is: in the fast format, or as BERT's bare vocabulary.

    Raises:
        ModelError: neither is there.
    """
    for name in ("tokenizer.json", BERT_VOCABULARY):
        if (folder / name).exists():
            return folder / name
    raise ModelError(f"{folder} has no tokenizer.json: save its tokenizer there in the fast format")


def _modules(folder: Path) -> dict[str, str]:
    """Module class -> its folder, in order; the class without its path, which has changed between versions."""
    file = folder / "modules.json"
    if not file.exists():
        return {}
    try:
        return {
            entry["type"].rpartition(".")[2]: entry.get("path", "") for entry in json.loads(file.read_text("utf-8"))
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{file} is not a list of sentence-transformers modules") from None


def _readme(file: Path) -> tuple[tuple[str, ...], str | None]:
    """The names and the licence that a model's README states: in its front matter, and as its first heading."""
    text = file.read_text("utf-8", errors="replace") if file.exists() else ""
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    header = front[1] if front else ""
    names = re.findall(r"^model-index:\s*\n\s*-\s*name:\s*(\S+)", header, re.MULTILINE)
    names += re.findall(r"^##?\s+(\S+)\s*$", text[len(header) :], re.MULTILINE)[:1]
    licence = re.search(r"^license:[ \t]*(\S+)", header, re.MULTILINE)
    return tuple(name.strip("\"'") for name in names), licence[1].strip("\"'") if licence else None


def derive(files: OwnFiles, encoder: EncoderConfig, adapters: Collection[str]) -> ModelCard:
    """The card of a checkpoint: of the model that it is where that is known, with what its own files say on top."""
    known = _known(files, encoder)
    card = known or ModelCard(
        f"{encoder.family}-{encoder.layers}x{encoder.width}", encoder.width, encoder.max_positions
    )
    if encoder.family.startswith("jina-v3"):
        card = replace(card, tasks=_v3_tasks(files.config, adapters))
    elif files.prompts:
        card = replace(card, **files.sides())
    modes = files.pooling_modes
    own_length = files.max_tokens or (card.max_tokens if known else encoder.max_positions)
    return replace(
        card,
        width=encoder.width,
        max_tokens=min(own_length, encoder.max_positions),
        pooling=POOLING[modes.pop()] if modes else card.pooling,
        **_licence(files, card),
    )


def _known(files: OwnFiles, encoder: EncoderConfig) -> ModelCard | None:
    """The table's card: v3 by its tensors, another by the name that its own files give it and a width that fits."""
    if encoder.family.startswith("jina-v3"):
        if (encoder.width, encoder.layers) == (JINA_V3.width, 24):
            return JINA_V3
        sizes = tuple(size for size in JINA_V3.matryoshka if size <= encoder.width)
        return replace(JINA_V3, name=f"jina-v3-{encoder.layers}x{encoder.width}", width=encoder.width, matryoshka=sizes)
    for name in files.names:
        card = find_card(name) or find_card(PUBLISHED_AS.get(name, ""))
        is_v2 = encoder.family.startswith("jina-v2")
        if card is not None and card.width == encoder.width and is_v2 == ("jina-embeddings-v2" in card.name):
            return card if card is not JINA_V3 else None
    return None


def _v3_tasks(config: Mapping[str, Any], adapters: Collection[str]) -> tuple[Task, ...]:
    """V3's tasks that the checkpoint has adapters for, with the instructions of its own config where it states them."""
    own: Mapping[str, str] = config.get("task_instructions") or {}
    published = {task.name: task.prefix for task in JINA_V3.tasks}
    return tuple(Task(name, own.get(name, published.get(name, "")), name) for name in adapters)


def _licence(files: OwnFiles, card: ModelCard) -> dict[str, Any]:
    """The licence that the files state; the known one, with its terms, where they say the same or nothing."""
    if files.licence is None or files.licence.lower() == card.licence.lower():
        return {"licence": card.licence, "terms": card.terms}
    return {"licence": files.licence, "terms": ""}
