"""A checkpoint's card, derived from its tensors, its own files and its hub id. The folder's name is never used."""

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
"""sentence-transformers' names of the poolings that the encoder supports."""
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
"""Names in published READMEs -> the model's usual name."""
BERT_VOCABULARY = "vocab.txt"
SANE_LENGTH = 1_000_000
"""Larger lengths mean no limit. Tokenizer files use 1e30 for that."""


@dataclass(frozen=True)
class OwnFiles:
    """The small files of a checkpoint, read by sentence-transformers' conventions."""

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
        """Read the small files of a checkpoint. `hub_id`, if given, counts as one of its names.

        Raises:
            ModelError: a file is not valid JSON.
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
        """The poolings that are switched on, by sentence-transformers' names."""
        mode = self.pooling.get("pooling_mode")
        modes = {mode} if isinstance(mode, str) else set(mode or ())
        return modes | {
            key.removeprefix("pooling_mode_")
            for key, on in self.pooling.items()
            if key.startswith("pooling_mode_") and on is True
        }

    @property
    def foreign(self) -> str | None:
        """What the encoder does not support among what the files ask for, or None."""
        if others := [module for module in self.modules if module not in NATIVE_MODULES]:
            return f"it has the module {others[0]}"
        modes = self.pooling_modes
        if len(modes) > 1 or not modes <= set(POOLING):
            return f"it pools by {' and '.join(sorted(modes))}"
        if self.pooling.get("include_prompt") is False and self.prompts:
            return "it leaves the prompt out of the pooling"
        return None

    def sides(self) -> dict[str, Any]:
        """The prompts as tasks. Each side's task has the name that `encode_query` or `encode_document` looks up."""

        def first(*names: str) -> str | None:
            default = self.default_prompt if self.default_prompt in self.prompts else None
            return next((name for name in names if name in self.prompts), default)

        return {
            "tasks": tuple(Task(name, prefix) for name, prefix in self.prompts.items()),
            "query_task": first("query"),
            "document_task": first("document", "passage", "corpus"),
        }


def _length(folder: Path) -> int | None:
    """The maximum length stated by the files, in tokens."""
    for file, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        length = read_json(folder / file).get(key)
        if isinstance(length, int | float) and 0 < length < SANE_LENGTH:
            return int(length)
    return None


def tokenizer_file(folder: Path) -> Path:
    """The path of `tokenizer.json`, or of BERT's `vocab.txt`.

    Raises:
        ModelError: both are missing.
    """
    for name in ("tokenizer.json", BERT_VOCABULARY):
        if (folder / name).exists():
            return folder / name
    raise ModelError(f"{folder} has no tokenizer.json: save its tokenizer there in the fast format")


def _modules(folder: Path) -> dict[str, str]:
    """Class name of each module -> its folder, in order. The module path is dropped, as it differs between versions."""
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
    """The model's names, from a README's front matter and first heading, and its licence, from the front matter."""
    text = file.read_text("utf-8", errors="replace") if file.exists() else ""
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    header = front[1] if front else ""
    names = re.findall(r"^model-index:\s*\n\s*-\s*name:\s*(\S+)", header, re.MULTILINE)
    names += re.findall(r"^##?\s+(\S+)\s*$", text[len(header) :], re.MULTILINE)[:1]
    licence = re.search(r"^license:[ \t]*(\S+)", header, re.MULTILINE)
    return tuple(name.strip("\"'") for name in names), licence[1].strip("\"'") if licence else None


def derive(files: OwnFiles, encoder: EncoderConfig, adapters: Collection[str]) -> ModelCard:
    """The card of a checkpoint: the table's card if the model is known, overridden by the checkpoint's own files."""
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
    """The table's card. v3 is recognised by its tensors, others by a name in their own files and a matching width."""
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
    """The tasks with an adapter. Instructions in the checkpoint's config override the published ones."""
    own: Mapping[str, str] = config.get("task_instructions") or {}
    published = {task.name: task.prefix for task in JINA_V3.tasks}
    return tuple(Task(name, own.get(name, published.get(name, "")), name) for name in adapters)


def _licence(files: OwnFiles, card: ModelCard) -> dict[str, Any]:
    """The licence that the files state. If they state the card's licence or none, the card's licence and terms."""
    if files.licence is None or files.licence.lower() == card.licence.lower():
        return {"licence": card.licence, "terms": card.terms}
    return {"licence": files.licence, "terms": ""}
