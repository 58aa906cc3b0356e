"""Families that the encoder does not know, through sentence-transformers: the same face, its engine."""

from __future__ import annotations

import asyncio
import threading
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import span_counts
from twofold.errors import InputError, ModelError
from twofold.extras import extra
from twofold.local import weights
from twofold.local.backend import choose_device
from twofold.models import ModelCard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentence_transformers import SentenceTransformer

    from twofold.backend import Report
    from twofold.documents import Document
    from twofold.local.checkpoint import Checkpoint
    from twofold.models import Task
    from twofold.settings import Settings
    from twofold.vectors import FloatArray

DOCUMENTS_AT_ONCE = 32


class FallbackBackend:
    """A checkpoint run by sentence-transformers, without code of the checkpoint's own and without pickles.

    It embeds whole texts; spans inside a text need the encoder's own pooling, and are refused.

    Raises:
        MissingExtra: the extra `sentence-transformers` is not installed.
        ModelError: sentence-transformers can not load the checkpoint either.
    """

    provider = None

    def __init__(self, settings: Settings, checkpoint: Checkpoint) -> None:
        """Load the model: its card can be had from nothing less."""
        with extra("sentence-transformers"):
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        self.settings = settings
        self.checkpoint = checkpoint
        dtype = "auto" if settings.dtype == "int8" else settings.dtype
        try:
            self.model: SentenceTransformer = SentenceTransformer(
                str(checkpoint.folder),
                device=str(choose_device(settings.device)),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "torch_dtype": dtype},
            )
        except Exception as error:  # what it raises depends on the family
            raise ModelError(f"{checkpoint.folder} is of no family that can be run here: {error}") from error
        self._lock = threading.Lock()

    @cached_property
    def card(self) -> ModelCard:
        """What sentence-transformers says of the model, by its own conventions."""
        width = self.model.get_embedding_dimension()
        if width is None:
            raise ModelError(f"{self.checkpoint.folder} does not say how wide its vectors are")
        files = self.checkpoint.files
        sides = files.sides() if files.prompts else {}
        return ModelCard(
            name=f"{files.config.get('model_type', 'model')}-{width}",
            width=width,
            max_tokens=self.model.get_max_seq_length() or 512,
            licence=files.licence or "unknown",
            **sides,
        )

    @cached_property
    def weights(self) -> str:
        """A digest of the weights' files."""
        return weights.digest(self.checkpoint.folder.rglob("*.safetensors"))

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text as the model sees it."""
        return [len(self.model.tokenizer(task.prefix + text)["input_ids"]) for text in texts]

    def embed(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, report: Report | None = None
    ) -> FloatArray:
        """One vector for each document, (n, width).

        Raises:
            InputError: a text over the model's length, or spans.
        """
        counts = self._check(documents, task)
        rows = []
        for start in range(0, len(documents), DOCUMENTS_AT_ONCE):
            texts = [task.prefix + document.text for document in documents[start : start + DOCUMENTS_AT_ONCE]]
            with self._lock:
                rows.append(self.model.encode(texts, convert_to_numpy=True, show_progress_bar=False, prompt=""))
            if report is not None:
                report(len(texts), sum(counts[start : start + DOCUMENTS_AT_ONCE]))
        return np.concatenate(rows).astype(np.float32)

    async def aembed(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, report: Report | None = None
    ) -> FloatArray:
        """`embed` in a thread."""
        return await asyncio.to_thread(self.embed, documents, task, dimensions, report=report)

    def describe(self) -> dict[str, str]:
        """What runs where, for people."""
        return {
            "folder": str(self.checkpoint.folder),
            "engine": "sentence-transformers",
            "device": str(self.model.device),
            "dtype": f"{self.model.dtype}".removeprefix("torch."),
            "weights digest": self.weights,
        }

    def _check(self, documents: Sequence[Document], task: Task) -> list[int]:
        for index, count in enumerate(span_counts(documents)):
            if count > 1 or documents[index].spans != ((0, len(documents[index].text)),):
                raise InputError(
                    f"document {index} has spans, but {self.card.name} runs through sentence-transformers: "
                    "late chunking needs a family that Twofold's own encoder knows",
                    index=index,
                )
        counts = self.count_tokens([document.text for document in documents], task)
        for index, count in enumerate(counts):
            if count > self.card.max_tokens and self.settings.truncate == "error":
                raise InputError(
                    f"text {index} has {count} tokens, the model takes {self.card.max_tokens}. Split it, or cut it "
                    "with truncate='end'",
                    index=index,
                )
        return counts
