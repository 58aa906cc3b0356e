"""A provider for Daft's AI functions: any `Embedder`, for either side or any task.

from daft.functions import embed_text
frame.with_column("vector", embed_text(frame["text"], provider=TwofoldProvider(Embedder("fake:"))))
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from twofold.embedder import Embedder
from twofold.errors import InputError, TwofoldError
from twofold.extras import extra
from twofold.jobs.distributed.answers import is_of_a_row
from twofold.jobs.distributed.places import places, send
from twofold.jobs.distributed.way import SideOrTask

with extra("daft"):
    from daft import DataType
    from daft.ai.protocols import TextEmbedderDescriptor
    from daft.ai.provider import Provider
    from daft.ai.typing import EmbeddingDimensions, UDFOptions
    from daft.runners import get_or_infer_runner_type

if TYPE_CHECKING:
    from daft.ai.protocols import TextEmbedder

    from twofold.jobs.distributed.places import Sent
    from twofold.jobs.distributed.way import Side
    from twofold.vectors import FloatArray

OnError = Literal["raise", "log", "ignore"]

log = logging.getLogger("twofold.daft")


class TwofoldProvider(Provider):
    """A provider for `daft.functions.embed_text`. Pass the object, or attach it to Daft's session and pass its name.

    Args:
        embedder: computes the vectors; None creates one from the `model` given to `embed_text`.
        side: "document" or "query".
        task: any task of the model, instead of a side.
        name: its name in Daft's session.

    Raises:
        InputError: the side or the task is unknown.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        *,
        side: Side = "document",
        task: str | None = None,
        name: str = "twofold",
    ) -> None:
        way = SideOrTask(side, task)
        if task is not None and embedder is not None:
            embedder.card.task(task)
        self._embedder, self._way, self._name = embedder, way, name

    @property
    def name(self) -> str:
        return self._name

    def get_text_embedder(
        self, model: str | None = None, dimensions: int | None = None, **options: Any
    ) -> TextEmbedderDescriptor:
        """The descriptor that Daft puts into a plan. It holds settings but no key.

        Args:
            model: overrides the embedder's model.
            dimensions: overrides the embedder's dimensions.
            options: Daft's `batch_size`, `concurrency` and `num_gpus`; and `on_error`: "raise" ends the query at a text
                that cannot be embedded, "log" and "ignore" return null for that row only.

        Raises:
            InputError: the model is missing, an option is unknown, or the embedder has a key that cannot be sent.
        """
        own: dict[str, Any] = {
            name: value for name, value in (("model", model), ("dimensions", dimensions)) if value is not None
        }
        if self._embedder is None and model is None:
            raise InputError("no model: give TwofoldProvider an embedder, or embed_text a model")
        if self._embedder is None:
            embedder = Embedder(**own)
        else:
            embedder = self._embedder.with_options(**own) if own else self._embedder
        on_error = options.pop("on_error", "raise")
        if on_error not in ("raise", "log", "ignore"):
            raise InputError(f"on_error={on_error!r}: choose 'raise', 'log' or 'ignore'")
        try:
            udf = UDFOptions(**{**options, "max_retries": 0, "on_error": "raise"})
        except TypeError:
            raise InputError(
                f"options {', '.join(sorted(options))}: Daft's are batch_size, concurrency, num_gpus"
            ) from None
        return _descriptor(self._name, embedder, self._way, on_error, udf)


def _descriptor(name: str, embedder: Embedder, way: SideOrTask, on_error: OnError, udf: UDFOptions) -> _Descriptor:
    """Where the function runs decides whether the embedder is sent and how a quota is shared."""
    cluster = get_or_infer_runner_type() == "ray"
    if cluster or udf.concurrency is not None:
        embedder.check_travels()
    sent = send(embedder, part=1 / (udf.concurrency or (_nodes() if cluster else 1)))
    return _Descriptor(name, embedder.settings.model, embedder.dimensions, sent, way, on_error, udf)


def _nodes() -> int:
    import ray  # noqa: PLC0415 - loaded already by Daft's runner

    nodes: list[dict[str, Any]] = ray.nodes() if ray.is_initialized() else []  # type: ignore[no-untyped-call]
    return max(1, sum(bool(node["Alive"] and node["Resources"].get("CPU", 0) >= 1) for node in nodes))


@dataclass
class _Descriptor(TextEmbedderDescriptor):
    """What a plan contains."""

    provider: str
    model: str
    dimensions: int
    sent: Sent
    way: SideOrTask
    on_error: OnError
    udf: UDFOptions

    def get_provider(self) -> str:
        return self.provider

    def get_model(self) -> str:
        return self.model

    def get_options(self) -> dict[str, Any]:
        return {"side": self.way.side, "task": self.way.task, "on_error": self.on_error}

    def get_dimensions(self) -> EmbeddingDimensions:
        return EmbeddingDimensions(self.dimensions, DataType.float32())

    def get_udf_options(self) -> UDFOptions:
        return self.udf

    def instantiate(self) -> TextEmbedder:
        return _TextEmbedder(self)  # type: ignore[return-value] # Daft passes nulls and accepts them back


class _TextEmbedder:
    """Embeds batches, in the process that Daft chose."""

    def __init__(self, descriptor: _Descriptor) -> None:
        self._is = descriptor

    def embed_text(self, text: list[str | None]) -> list[FloatArray | None]:
        """The vector of each text, shape (dimensions,); None for null and for a skipped text.

        Raises:
            TwofoldError: a text cannot be embedded and `on_error` is "raise", or the error is about no particular text.
        """
        there = [number for number, one in enumerate(text) if one is not None]
        some = [one for one in text if one is not None]
        with places(self._is.sent).one() as embedder:
            answers = self._is.way.embed_each(embedder, some)
        found: list[FloatArray | None] = [None] * len(text)
        for number, answer in zip(there, answers, strict=True):
            if not isinstance(answer, TwofoldError):
                found[number] = answer[0]
            elif self._is.on_error == "raise" or not is_of_a_row(answer):
                if isinstance(answer, InputError):
                    answer.renumber(there)
                raise answer
            elif self._is.on_error == "log":
                log.warning("skipped a row: %s", answer)
        return found
