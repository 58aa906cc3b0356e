"""The backend for families that Twofold's encoder does not support. It runs sentence-transformers."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from tokenizers import Tokenizer

from twofold.cards import NO_LIMIT
from twofold.documents import BLANK, too_long
from twofold.errors import InputError, ModelError
from twofold.extras import extra
from twofold.local.backend import LOADED, LOADING, Loaded
from twofold.local.device import choose_device, choose_dtype
from twofold.local.files import weights
from twofold.local.files.card import POOLING, OwnFiles, complete, find_known
from twofold.local.files.refusals import check_adapters, check_code
from twofold.local.tokenizer import is_far, needed
from twofold.local.verification import verify
from twofold.models import ModelCard, Side, Task, warn_terms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import torch
    from sentence_transformers import SentenceTransformer

    from twofold.backend import Report
    from twofold.documents import Document
    from twofold.local.files.weights import TensorInfo
    from twofold.models import Pooling
    from twofold.settings import Settings, Truncate
    from twofold.vectors import FloatArray

DOCUMENTS_AT_ONCE = 32
SIDES: tuple[Side, ...] = get_args(Side)
POOLERS = re.compile(r"(^|\.)pooler\.|position_ids$")
"""Weights that a checkpoint may lack: sentence-transformers pools without them."""
HEADS = re.compile(
    r"^(\w+\.)?(pooler|cls|lm_head|classifier|pre_classifier|score|head|decoder|qa_outputs|vocab_(transform|layer_norm"
    r"|projector)|(lm|mask|generator|discriminator)_(predictions|head|lm_head))\.|position_ids$"
)
"""Weights that a checkpoint may have in addition: poolers, and heads for training or another task."""


class SentenceTransformersBackend:
    """A checkpoint run by sentence-transformers. Code in the checkpoint is never run, and pickles are never opened.

    It embeds whole texts only. Spans need the pooling of Twofold's encoder and are rejected.

    Raises:
        MissingExtra: the extra `sentence-transformers` is not installed.
        ModelError: the checkpoint needs its own code or adapters, its weights do not fit the model, or
            sentence-transformers cannot load it.
    """

    provider = None

    def __init__(self, settings: Settings, folder: Path, reason: str, hub_id: str | None = None) -> None:
        """Load the model, which its card requires. `reason` says why Twofold's encoder does not run it."""
        with extra("sentence-transformers"):
            import sentence_transformers  # noqa: F401, PLC0415 - report a missing library before reading files
        self.settings = settings
        self.folder = folder
        self.reason = reason
        self.label = hub_id or str(folder)
        self.files = OwnFiles.read(folder, hub_id)
        check_code(folder, self.files, self.label)
        check_adapters(folder, self.files, self.label)
        self.tensors = _tensors(folder)
        self.loaded = self._loaded()
        warn_terms(self.card)
        sides = (settings.query_task, settings.document_task)
        if sides not in self.loaded.verified:
            self.loaded.verified[sides] = verify(self._encode, self.card, settings, self.precision)
        self.verified = self.loaded.verified[sides]

    def _loaded(self) -> Loaded[SentenceTransformer]:
        """The weights on the device. Backends of one process share a copy."""
        if self.settings.dtype == "int8":
            raise InputError("dtype='int8' needs a family that Twofold's own encoder supports: use bfloat16 or float32")
        device = choose_device(self.settings.device)
        dtype = choose_dtype(self.settings.dtype, device)
        files = sorted(file for file in self.folder.rglob("*") if file.suffix in {".json", ".safetensors", ".txt"})
        signature = [(file.resolve(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        key = ("sentence-transformers", *signature, device, dtype)
        with LOADING:
            if key not in LOADED:
                LOADED[key] = Loaded(self._load(device, dtype), threading.Lock(), {})
            return LOADED[key]

    @property
    def model(self) -> SentenceTransformer:
        return self.loaded.encoder

    def _load(self, device: torch.device, dtype: torch.dtype) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        try:
            with _reported() as reports:
                model = SentenceTransformer(
                    str(self.folder),
                    device=str(device),
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True, "dtype": dtype},
                )
        except Exception as error:  # what it raises depends on the family
            raise ModelError(f"{self.label} has a family that cannot run here ({self.reason}): {error}") from error
        for report in reports:
            report.check(self.label)
        while len(model) > 1 and type(model[-1]).__name__ == "Normalize":  # the embedder normalises after cutting
            del model[-1]
        return model

    @cached_property
    def card(self) -> ModelCard:
        """The table's card if the model is known, overridden by what its files and the loaded model state."""
        width = self.model.get_embedding_dimension()
        if width is None:
            raise ModelError(f"{self.label} does not state the width of its vectors")
        known = find_known(self.files, width)
        own = ModelCard(f"{self.files.config.get('model_type', 'model')}-{width}", width, NO_LIMIT)
        card = complete(self.files, known or own, known, self._pooling())
        length = self.model.max_seq_length
        return replace(
            card, max_tokens=NO_LIMIT if length is None else int(min(length, NO_LIMIT)), **self._routed(card)
        )

    def _routed(self, card: ModelCard) -> dict[str, Any]:
        """The sides of a model with a Router, as tasks, which need a name even without a prompt."""
        routes = [side for side in SIDES if side in self.routes]
        tasks = {task.name: task for task in card.tasks}
        tasks |= {side: Task(side, card.side(side).prefix) for side in routes}
        return {"tasks": tuple(tasks.values()), **{f"{side}_task": side for side in routes}} if routes else {}

    @cached_property
    def router(self) -> Any:
        """The module with separate modules for queries and documents, or None."""
        return next((part for part in self.model if hasattr(part, "sub_modules")), None)

    @cached_property
    def routes(self) -> frozenset[str]:
        """The tasks by which the router chooses."""
        if self.router is None:
            return frozenset()
        mapped = {task for task, _ in getattr(self.router, "route_mappings", None) or {} if task}
        return frozenset({*self.router.sub_modules, *mapped})

    def _side(self, task: Task) -> Side | None:
        """The side that a task is for; None for the bare model and other tasks."""
        if task.name is not None:
            if task.name == self.card.query_task:
                return "query"
            if task.name == self.card.document_task:
                return "document"
        return None

    def _reader(self, task: Task) -> Any:
        """The module that reads the texts of a task."""
        if self.router is None:
            return self.model[0]
        side, mapped = self._side(task), getattr(self.router, "route_mappings", None) or {}
        keys = [(side, "text"), (side, None), (None, "text"), (None, None)]
        route = next((mapped[key] for key in keys if key in mapped), side)
        return self.router.sub_modules[route if route in self.router.sub_modules else self.router.default_route][0]

    def _pooling(self) -> Pooling:
        parts = [part for part in self.model.modules() if part is not self.model]
        modes = {mode for part in parts for mode in _modes(part)}
        return POOLING.get(modes.pop(), "other") if len(modes) == 1 else "other"

    @cached_property
    def weights_digest(self) -> str:
        """A digest of the weights and the module list."""
        return weights.digest(self.tensors, [self.files.config.get("model_type"), *self.files.modules])

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The number of tokens of each text, with its instruction and special tokens."""
        tokenizer = self._reader(task).tokenizer
        with self.loaded.lock:  # a call of the tokenizer switches its truncation, which `encode` needs
            if isinstance(tokenizer, Tokenizer):  # a static model, without special tokens
                return [len(tokenizer.encode(task.prefix + text, add_special_tokens=False).ids) for text in texts]
            return [len(tokenizer(task.prefix + text, verbose=False)["input_ids"]) for text in texts]

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """One vector per document, (n, width).

        Raises:
            InputError: a text is too long for the model, or a document has spans.
        """
        texts, counts = self._check(documents, task, truncate)
        rows = []
        for start in range(0, len(texts), DOCUMENTS_AT_ONCE):
            some = slice(start, start + DOCUMENTS_AT_ONCE)
            part = [text if count else BLANK for text, count in zip(texts[some], counts[some], strict=True)]
            rows.append(self._encode(part, task))
            if report is not None:
                report(len(part), sum(counts[some]))
        return np.concatenate(rows)

    def _encode(self, texts: Sequence[str], task: Task) -> FloatArray:
        """The vectors of texts. The prompt is passed as such, since a model may leave its tokens out of the pooling."""
        side = self._side(task)
        routed: dict[str, Any] = {} if side is None or (self.routes and side not in self.routes) else {"task": side}
        with self.loaded.lock:
            rows = self.model.encode(list(texts), show_progress_bar=False, prompt=task.prefix, **routed)
        return np.asarray(rows, np.float32)

    async def aembed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """`embed` in a thread."""
        return await asyncio.to_thread(self.embed, documents, task, dimensions, truncate=truncate, report=report)

    @property
    def precision(self) -> str:
        return str(self.model.dtype).removeprefix("torch.")

    def describe(self) -> dict[str, str]:
        """What runs, for people to read: engine, device, dtype."""
        return {
            "folder": str(self.folder),
            "engine": f"sentence-transformers: {self.reason}",
            "device": str(self.model.device),
            "dtype": self.precision,
            "weights digest": self.weights_digest,
        }

    def _check(self, documents: Sequence[Document], task: Task, truncate: Truncate) -> tuple[list[str], list[int]]:
        """The texts, without the far end of a very long one, and their numbers of tokens."""
        for index, document in enumerate(documents):
            if not document.is_whole:
                raise InputError(
                    f"document {index} has spans, but {self.card.label} runs through sentence-transformers, as "
                    f"{self.reason}: late chunking needs a family that Twofold's own encoder supports",
                    index=index,
                )
        length = self._reader(task).max_seq_length
        limit = self.card.max_tokens if length is None else int(min(length, self.card.max_tokens))
        whole = [document.text for document in documents]
        texts = [self._needed(text, task, limit) for text in whole]
        counts = self.count_tokens(texts, task)
        for index, count in enumerate(counts):
            if count > limit and truncate == "error":
                more = len(texts[index]) < len(whole[index])
                raise too_long(f"text {index}", count, limit, index=index, is_least=more)
        return texts, counts

    def _needed(self, text: str, task: Task, limit: int) -> str:
        """The part of a text that decides its vector: all of it, unless it is far longer than the limit."""
        if not is_far(text, limit):
            return text
        tokenizer = self._reader(task).tokenizer
        if getattr(tokenizer, "truncation_side", "right") != "right":
            return text
        tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not isinstance(tokenizer, Tokenizer):
            return text
        with self.loaded.lock:
            apart = Tokenizer.from_str(tokenizer.to_str())  # the model's own has truncation switched on
        apart.no_truncation()
        apart.no_padding()
        return needed(apart, task.prefix + text, limit)[len(task.prefix) :]


@dataclass(frozen=True)
class LoadingReport:
    """What transformers reports of one model that it loaded: weights by name."""

    missing: frozenset[str]
    unexpected: frozenset[str]
    mismatched: frozenset[str]

    def check(self, label: str) -> None:
        """Raise if a weight was filled with random numbers, or was not used, except for poolers and heads.

        Raises:
            ModelError: it names the weights.
        """
        unexpected = {name for name in self.unexpected if not HEADS.search(name)}
        missing = {name for name in self.missing if not POOLERS.search(name)}
        for names, what in (
            (missing, "lacks weights"),
            (self.mismatched, "has weights of a wrong shape"),
            (unexpected, "has weights that transformers' class does not use"),
        ):
            if names:
                raise ModelError(
                    f"{label} {what}: {_listed(names)}. Its vectors would be wrong, so Twofold does not load it"
                )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


_PATCHED = threading.Lock()


@contextmanager
def _reported() -> Iterator[list[LoadingReport]]:
    """Collect the loading reports of the models that this thread loads.

    sentence-transformers does not ask for the report, and fails if it is told to. Inside the block, `from_pretrained`
    of transformers asks for it and keeps it. Other threads that load a model at the same time are not affected.
    """
    from transformers import PreTrainedModel  # noqa: PLC0415

    reports: list[LoadingReport] = []
    here = threading.get_ident()

    def load(kind: type[PreTrainedModel], *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != here or "output_loading_info" in kwargs:
            return original.__func__(kind, *args, **kwargs)
        wanted = {**kwargs, "output_loading_info": True, "ignore_mismatched_sizes": True}
        model, info = original.__func__(kind, *args, **wanted)
        shapes = {found[0] if isinstance(found, tuple) else str(found) for found in info["mismatched_keys"]}
        found = (info["missing_keys"], info["unexpected_keys"], shapes)
        reports.append(LoadingReport(*map(frozenset, found)))
        return model

    with _PATCHED:
        original = vars(PreTrainedModel)["from_pretrained"]
        ours = classmethod(load)
        PreTrainedModel.from_pretrained = ours  # type: ignore[assignment,method-assign]
        try:
            yield reports
        finally:
            if vars(PreTrainedModel)["from_pretrained"] is ours:
                PreTrainedModel.from_pretrained = original  # type: ignore[method-assign]


def _tensors(folder: Path) -> Mapping[str, TensorInfo]:
    """All tensors below the folder, by the path of their file and their name.

    Raises:
        ModelError: no weights, a truncated or corrupt file, or a module with weights only as a pickle.
    """
    files = sorted(folder.rglob("*.safetensors"))
    homes = {file.parent for file in files}
    if pickled := sorted(file for file in folder.rglob("pytorch_model*.bin") if file.parent not in homes):
        weights.weight_files(pickled[0].parent)
    if not files:
        weights.weight_files(folder)
    return {
        f"{file.relative_to(folder).as_posix()}/{name}": info
        for file in files
        for name, info in weights.read_header(file).items()
    }


def _modes(part: object) -> set[str]:
    """The pooling modes of a module. Empty if it does not pool."""
    mode = getattr(part, "pooling_mode", None)
    if isinstance(mode, str):
        return {mode}
    if isinstance(mode, list | tuple):
        return set(mode)
    return {"mean"} if type(part).__name__ == "StaticEmbedding" else set()
