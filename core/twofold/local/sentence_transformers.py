"""The backend for families that Twofold's encoder does not support. It runs sentence-transformers."""

from __future__ import annotations

import asyncio
import threading
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from twofold.documents import BLANK, too_long
from twofold.errors import DeviceError, InputError, ModelError
from twofold.extras import extra
from twofold.local.device import choose_device
from twofold.local.files import weights
from twofold.local.files.card import POOLING, SANE_LENGTH, OwnFiles
from twofold.models import ModelCard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from twofold.backend import Report
    from twofold.documents import Document
    from twofold.local.files.weights import TensorInfo
    from twofold.models import Pooling, Task
    from twofold.settings import Settings, Truncate
    from twofold.vectors import FloatArray

DOCUMENTS_AT_ONCE = 32


class SentenceTransformersBackend:
    """A checkpoint run by sentence-transformers. Code in the checkpoint is never run, and pickles are never opened.

    It embeds whole texts only. Spans need the pooling of Twofold's encoder and are rejected.

    Raises:
        MissingExtra: the extra `sentence-transformers` is not installed.
        ModelError: sentence-transformers cannot load the checkpoint.
    """

    provider = None

    def __init__(self, settings: Settings, folder: Path, reason: str) -> None:
        """Load the model, which its card requires. `reason` says why Twofold's encoder does not run it."""
        with extra("sentence-transformers"):
            import sentence_transformers  # noqa: F401, PLC0415 - report a missing library before reading files
        self.settings = settings
        self.folder = folder
        self.reason = reason
        self.files = OwnFiles.read(folder)
        self.tensors = _tensors(folder)
        self.model = self._load()
        self._lock = threading.Lock()

    def _load(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        if self.settings.dtype == "int8":
            raise InputError("dtype='int8' needs a family that Twofold's own encoder supports: use bfloat16 or float32")
        try:
            model = SentenceTransformer(
                str(self.folder),
                device=str(choose_device(self.settings.device)),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": self.settings.dtype},
            )
        except DeviceError:
            raise
        except Exception as error:  # what it raises depends on the family
            raise ModelError(f"{self.folder} has a family that cannot run here ({self.reason}): {error}") from error
        while len(model) > 1 and type(model[-1]).__name__ == "Normalize":  # the embedder normalises after cutting
            del model[-1]
        return model

    @cached_property
    def card(self) -> ModelCard:
        """The card, from what sentence-transformers reports of the loaded model."""
        width = self.model.get_embedding_dimension()
        if width is None:
            raise ModelError(f"{self.folder} does not state the width of its vectors")
        sides = self.files.sides() if self.files.prompts else {}
        return ModelCard(
            name=f"{self.files.config.get('model_type', 'model')}-{width}",
            width=width,
            max_tokens=self._longest(),
            pooling=self._pooling(),
            licence=self.files.licence or "unknown",
            **sides,
        )

    def _longest(self) -> int:
        length = self.model.max_seq_length
        return int(length) if length is not None and length < SANE_LENGTH else SANE_LENGTH

    def _pooling(self) -> Pooling:
        modes = {mode for part in self.model for mode in _modes(part)}
        return POOLING.get(modes.pop(), "other") if len(modes) == 1 else "other"

    @cached_property
    def weights_digest(self) -> str:
        """A digest of the weights and the module list."""
        return weights.digest(self.tensors, [self.files.config.get("model_type"), *self.files.modules])

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The number of tokens of each text, with its instruction and special tokens."""
        tokenizer = self.model.tokenizer
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
        counts = self._check(documents, task, truncate)
        rows = []
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            some = slice(start, start + DOCUMENTS_AT_ONCE)
            pairs = zip(documents[some], counts[some], strict=True)
            texts = [task.prefix + (document.text if count else BLANK) for document, count in pairs]
            with self._lock:
                rows.append(self.model.encode(texts, convert_to_numpy=True, show_progress_bar=False, prompt=""))
            if report is not None:
                report(len(texts), sum(counts[some]))
        return np.concatenate(rows).astype(np.float32)

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

    def _check(self, documents: Sequence[Document], task: Task, truncate: Truncate) -> list[int]:
        for index, document in enumerate(documents):
            if not document.is_whole:
                raise InputError(
                    f"document {index} has spans, but {self.card.name} runs through sentence-transformers, as "
                    f"{self.reason}: late chunking needs a family that Twofold's own encoder supports",
                    index=index,
                )
        counts = self.count_tokens([document.text for document in documents], task)
        for index, count in enumerate(counts):
            if count > self.card.max_tokens and truncate == "error":
                raise too_long(f"text {index}", count, self.card.max_tokens, index=index)
        return counts


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
