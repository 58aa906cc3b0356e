"""A checkpoint's card, derived from its tensors, its own files and its hub id. The folder's name is never used."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from twofold.cards import JINA_V3, NO_LIMIT, find_card
from twofold.errors import ModelError, PromptWarning
from twofold.local.files.weights import read_json
from twofold.models import AUTO, ModelCard, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from twofold.local.encoder import EncoderConfig
    from twofold.models import Pooling
    from twofold.settings import Settings

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
QUERY_NAMES = ("query",)
DOCUMENT_NAMES = ("document", "passage", "corpus")
"""Names of prompts that mean a side, alone or after another word, as in `search_query`."""


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
    hub_id: str = ""

    @classmethod
    def read(cls, folder: Path, hub_id: str | None = None) -> OwnFiles:
        """Read the small files of a checkpoint. `hub_id` is the id that it was opened by, and one of its names.

        Prompts that are all empty count as none: sentence-transformers 6 writes them for every model.

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
            prompts=_prompts(stated) if isinstance(stated, dict) else {},
            default_prompt=prompts.get("default_prompt_name"),
            max_tokens=_length(folder),
            names=(hub_id or "", *names, str(config.get("_name_or_path", ""))),
            licence=licence,
            hub_id=hub_id or "",
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

    def sides(self, known: ModelCard | None = None) -> dict[str, Any]:
        """The prompts as tasks, and the task of each side; `known` is the model's card in the table, if it has one.

        A side takes the prompt with its name, or the only pair of names that end with it (`search_query` and
        `search_document`), or the table's choice, or the default prompt. An empty prompt is the bare model, and so is a
        side without a prompt.
        """
        query = next((name for name in QUERY_NAMES if name in self.prompts), None)
        document = next((name for name in DOCUMENT_NAMES if name in self.prompts), None)
        if query is None and document is None:
            query, document = self._pair() or self._choice(known)
        default = self.default_prompt if self.default_prompt in self.prompts else None
        sides = [name or default for name in (query, document)]
        return {
            "tasks": tuple(Task(name, prefix) for name, prefix in self.prompts.items()),
            **{
                side: name if name is not None and self.prompts[name] else None
                for side, name in zip(("query_task", "document_task"), sides, strict=True)
            },
        }

    def _pair(self) -> tuple[str | None, str | None] | None:
        """The prompts of both sides by the ends of their names, or None unless there is one pair or one of a side."""
        queries, documents = (
            {name[: -len(end)]: name for name in self.prompts for end in ends if re.search(rf"(?i)[_-]{end}$", name)}
            for ends in (QUERY_NAMES, DOCUMENT_NAMES)
        )
        if len(queries) > 1 or len(documents) > 1 or len({*queries, *documents}) != 1:
            return None
        return next(iter(queries.values()), None), next(iter(documents.values()), None)

    def _choice(self, known: ModelCard | None) -> tuple[str | None, str | None]:
        sides = (known.query_task, known.document_task) if known is not None else (None, None)
        return sides[0] if sides[0] in self.prompts else None, sides[1] if sides[1] in self.prompts else None

    def warn_unclear(self, card: ModelCard, settings: Settings) -> None:
        """Warn if the files have prompts, but neither the files nor the settings choose one for a side."""
        prompts = sorted(name for name, text in self.prompts.items() if text)
        chosen = card.query_task or card.document_task or settings.query_instruction or settings.document_instruction
        if prompts and not chosen and settings.query_task == settings.document_task == AUTO:
            _warn_prompts(card.label, tuple(prompts))


@cache
def _warn_prompts(model: str, prompts: tuple[str, ...]) -> None:
    warnings.warn(
        f"{model} has prompts, but none of them is clearly for queries or for documents: {', '.join(prompts)}. Both "
        "sides run without a prompt. Choose with query_task and document_task; None is the bare model",
        PromptWarning,
        stacklevel=2,
    )


def _prompts(stated: Mapping[str, object]) -> dict[str, str]:
    prompts = {str(name): str(text or "") for name, text in stated.items()}
    return prompts if any(prompts.values()) else {}


def _length(folder: Path) -> int | None:
    """The maximum length stated by the files, in tokens."""
    for file, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        length = read_json(folder / file).get(key)
        if isinstance(length, int | float) and 0 < length < NO_LIMIT:
            return int(length)
    return None


def reads_lower(folder: Path) -> bool:
    """Whether sentence-transformers' files say that texts are converted to lower case first."""
    return read_json(folder / "sentence_bert_config.json").get("do_lower_case") is True


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
    names += re.findall(r"^##?\s+(\S+?)(?::\s.*|\s*)$", text[len(header) :], re.MULTILINE)[:1]
    licence = re.search(r"^license:[ \t]*(\S+)", header, re.MULTILINE)
    return tuple(name.strip("\"'") for name in names), licence[1].strip("\"'") if licence else None


def derive(files: OwnFiles, encoder: EncoderConfig, adapters: Collection[str]) -> ModelCard:
    """The card of a checkpoint: the table's card if the model is known, overridden by the checkpoint's own files."""
    known = _known(files, encoder)
    name = f"{encoder.family}-{encoder.layers}x{encoder.width}"
    modes = files.pooling_modes
    pooling = POOLING[modes.pop()] if modes else None
    card = complete(files, known or ModelCard(name, encoder.width, encoder.max_positions), known, pooling)
    if encoder.family.startswith("jina-v3"):
        tasks = _v3_tasks(files.config, adapters)
        card = replace(card, tasks=tasks, query_task=JINA_V3.query_task, document_task=JINA_V3.document_task)
    return replace(card, width=encoder.width, max_tokens=min(card.max_tokens, encoder.max_positions))


def find_known(files: OwnFiles, width: int) -> ModelCard | None:
    """The table's card of a model with one of the names in its files, and that width."""
    for name in files.names:
        card = find_card(name) or find_card(PUBLISHED_AS.get(name, ""))
        if card is not None and card.width == width:
            return card
    return None


def complete(files: OwnFiles, card: ModelCard, known: ModelCard | None, pooling: Pooling | None) -> ModelCard:
    """A card with what the files state: prompts, length, pooling and licence."""
    if files.prompts:
        card = replace(card, **files.sides(known))
    return replace(
        card,
        max_tokens=files.max_tokens or card.max_tokens,
        pooling=pooling or card.pooling,
        hub_id=files.hub_id if known is None else "",
        has_more_tasks=False,
        **_licence(files, card),
    )


def _known(files: OwnFiles, encoder: EncoderConfig) -> ModelCard | None:
    """The table's card. v3 is recognised by its tensors, others by a name in their own files and a matching width."""
    if encoder.family.startswith("jina-v3"):
        if (encoder.width, encoder.layers) == (JINA_V3.width, 24):
            return JINA_V3
        sizes = tuple(size for size in JINA_V3.matryoshka if size <= encoder.width)
        return replace(JINA_V3, name=f"jina-v3-{encoder.layers}x{encoder.width}", width=encoder.width, matryoshka=sizes)
    card = find_known(files, encoder.width)
    if card is None or encoder.family.startswith("jina-v2") != ("jina-embeddings-v2" in card.name):
        return None
    return card if card is not JINA_V3 else None


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
