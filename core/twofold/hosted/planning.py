"""Plans a call: checks the input before any request, and decides what is sent and which answers are accepted."""

from __future__ import annotations

import time
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from twofold.documents import Document
from twofold.errors import InputError
from twofold.hosted.call import Call
from twofold.hosted.counting import Counter
from twofold.hosted.packing import pack
from twofold.hosted.piece import PROBE, Limits, Piece
from twofold.wires.wire import BINARY, Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.hosted.endpoint import Endpoint
    from twofold.hosted.provider import HostedModel, Provider
    from twofold.hosted.sizes import Sizes
    from twofold.models import Task
    from twofold.settings import Settings, Truncate


class Planner:
    """Plans calls to one model at one provider."""

    def __init__(self, row: Provider, model: str, hosted: HostedModel, settings: Settings, endpoint: Endpoint) -> None:
        self._row, self._model, self._hosted = row, model, hosted
        self._settings, self._endpoint = settings, endpoint

    @cached_property
    def counter(self) -> Counter:
        return Counter(self._hosted.card)

    def plan(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        truncate: Truncate,
        *,
        proved: bool,
        sizes: Sizes,
    ) -> Call:
        """A call that returns one vector for each span.

        Raises:
            InputError: the provider does not support the request, or a text is too long.
        """
        size = self._hosted.asked_size(dimensions)
        width = (self._hosted.default or self._hosted.card.width) if size is None else size
        self._check(documents, task, width)
        started = time.monotonic()
        add = not self._row.instructs or self._has_own_instruction(task)
        limits = self._limits(truncate, says_tokens=sizes.says_tokens)
        pieces = pack(documents, self.counter, limits, task.prefix, add=add)
        ask = self._ask(task, size, truncate)
        return self._call(documents, pieces, ask, width, started=started, proved=proved, sizes=sizes)

    def first_word(self, task: Task, sizes: Sizes) -> Call:
        """A call for one word, to learn the width of an unknown model."""
        piece = Piece((PROBE._replace(documents=(0,), rows=(0,)),))
        ask = self._ask(task, None, "error")
        document = Document.whole(PROBE.text)
        return self._call([document], [piece], ask, None, started=time.monotonic(), proved=False, sizes=sizes)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _call(
        self,
        documents: Sequence[Document],
        pieces: Sequence[Piece],
        ask: Ask,
        width: int | None,
        *,
        started: float,
        proved: bool,
        sizes: Sizes,
    ) -> Call:
        endpoint, settings = self._endpoint, self._settings
        return Call(
            name=f"{self._row.name}:{self._model}",
            host=urlsplit(endpoint.url).netloc or endpoint.url,
            documents=documents,
            pieces=pieces,
            ask=ask,
            wire=endpoint.wire,
            late_wire=endpoint.late_wire,
            width=width,
            unit=self._unit(),
            echoes=self._echoes,
            at_once=settings.concurrency,
            deadline=started + settings.timeout,
            timeout=settings.timeout,
            max_outage=inf if settings.max_outage is None else settings.max_outage,
            late_limit=self._row.late_tokens,
            busy=self._row.busy,
            proved=proved,
            sizes=sizes,
        )

    def _ask(self, task: Task, size: int | None, truncate: Truncate) -> Ask:
        accepts = self._hosted.accepts
        return Ask(
            model=self._model,
            texts=(),
            task=task.name if "task" in accepts else None,
            dimensions=size,
            normalize=self._settings.normalize if "normalize" in accepts else None,
            truncate=truncate == "end" if "truncate" in accepts else None,
            encoding=self._endpoint.encoding,
        )

    def _check(self, documents: Sequence[Document], task: Task, width: int) -> None:
        """Reject what the provider does not support."""
        hosted, name = self._hosted, self._row.name
        if task.name is None and not hosted.bare and hosted.card.tasks:
            raise InputError(f"{name} does not serve {hosted.card.name} without a task: choose a task of the model")
        if self._row.instructs and task.name is not None and self._has_own_instruction(task):
            raise InputError(
                f"{name} itself puts the instruction of task {task.name!r} before each text, and yours cannot replace "
                "it: choose no task (None) for that side"
            )
        if self._endpoint.encoding in BINARY and width % 8:
            raise InputError(f"encoding={self._endpoint.encoding!r} needs a multiple of 8 dimensions, not {width}")
        late = next((index for index, document in enumerate(documents) if not document.is_whole), None)
        if late is not None:
            self._check_late(late, task)

    def _check_late(self, index: int, task: Task) -> None:
        card = self._hosted.card
        if "late" not in self._hosted.accepts:
            why = f"it pools the {card.pooling} token" if card.pooling != "mean" else "the API does not offer it"
            raise InputError(
                f"document {index} needs late chunking, but {self._model} at {self._row.name} has no late chunking: "
                f"{why}",
                index=index,
            )
        if task.name == card.query_task != card.document_task:
            raise InputError(f"document {index} needs late chunking, but queries are never late-chunked", index=index)

    def _has_own_instruction(self, task: Task) -> bool:
        """Whether the user replaced the task's instruction."""
        return task.prefix != self._hosted.card.task(task.name).prefix

    def _limits(self, truncate: Truncate, *, says_tokens: bool) -> Limits:
        """How much a request may hold, and how long a text may be.

        Raises:
            InputError: texts must be cut, but the model's length is unknown.
        """
        settings, card, row = self._settings, self._hosted.card, self._row
        window, overlap = card.late_policy(settings.late_window, settings.late_overlap)
        we_cut = truncate == "end" and "truncate" not in self._hosted.accepts
        if we_cut and row.find(self._model) is None:
            raise InputError(
                f"truncate='end': {row.name} does not cut texts, and the maximum length of {self._model} is unknown: "
                "use truncate='error'"
            )
        return Limits(
            items=min(settings.batch_items or row.max_items, row.max_items),
            tokens=settings.batch_tokens or row.max_tokens,
            size=settings.batch_bytes or row.max_bytes,
            late_items=row.late_items,
            late_tokens=row.late_tokens,
            length=card.max_tokens,
            window=window,
            overlap=overlap,
            long="cut" if we_cut else truncate,
            counted=row.counts and (settings.base_url is None or row.base_url is None),
            says_tokens=says_tokens,
        )

    def _unit(self) -> bool:
        """Whether vectors must have unit length: it was requested, or the public API guarantees it."""
        if self._endpoint.encoding in BINARY or not self._settings.normalize:
            return False
        return "normalize" in self._hosted.accepts or (self._row.unit and self._settings.base_url is None)

    def _echoes(self, model: str) -> bool:
        """Whether this names the requested model, with or without its organisation."""
        model = self._row.aliases.get(model, model)
        names = {_bare(name) for name in (self._model, self._settings.served_as) if name}
        return _bare(model) in names


def _bare(model: str) -> str:
    return model.rpartition("/")[2].casefold()
