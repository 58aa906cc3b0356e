"""A job left with a provider's batch API: its vectors come into the cache, for less, and what needs them finds them.

embedder = Embedder("openai:text-embedding-3-small", cache="paid-for")
batch(embedder, texts)                   # hours; may be killed at any moment, and called again
embedder.embed_documents(texts)          # from the cache
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twofold.backend import Batching
from twofold.errors import InputError
from twofold.jobs.batches.arrivals import Arrivals, prefix_of
from twofold.jobs.batches.run import BatchRun, Stopped
from twofold.jobs.batches.submissions import Submissions
from twofold.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twofold.backend import BatchAPI
    from twofold.embedder import Embedder


@dataclass(slots=True)
class Batched:
    """What became of the texts.

    Attributes:
        there: in the cache already, or twice among the texts.
        done: new in the cache.
        refused: by the provider; embedding them by a single request says why, or does it.
        submitted: batches of this run.
        under_way: texts that are still with the provider; another run goes on after them.
        stopped: whether `stop` ended it.
    """

    there: int = 0
    done: int = 0
    refused: int = 0
    submitted: int = 0
    under_way: int = 0
    stopped: bool = False


def batch(
    embedder: Embedder,
    texts: Iterable[str],
    *,
    progress: bool = False,
    stop: Callable[[], bool] | None = None,
) -> Batched:
    """Have the vectors of `texts`, as documents, made by the provider's batch API and put into the embedder's cache.

    What is in the cache is not asked for. A batch is written down, beside the cache, before it is submitted: a run
    that is killed, or stopped, leaves its batches with the provider, and the next one goes on with them; nothing is
    submitted twice. Texts of a batch that expired or was cancelled are submitted again, those that the provider
    refuses are not. Each batch holds a text of which a single request has shown the vector: where the two differ,
    nothing of the batch is kept.

    Args:
        embedder: of a hosted model whose provider has a batch API, with `cache`.
        texts: read again where something has to be submitted again: a list, or what `texts_to_embed` gives.
        progress: draw a bar.
        stop: asked several times a second; True leaves the batches with the provider.

    Raises:
        InputError: no cache, no batch API for the model, an iterator, a text that is none; or another process is at
            work on the batches of this cache.
        ProviderError: the provider refuses a batch, or is away for longer than `max_outage`.
        SpaceMismatch: the batch API gives other vectors than single requests.
    """
    api = check_batch(embedder)
    if isinstance(texts, str) or iter(texts) is texts:
        raise InputError("expected a list of texts, or what can be read twice: some may have to be submitted again")
    folder = str(embedder.settings.cache)
    total = len(texts) if isinstance(texts, Sized) else None
    with (
        Submissions(folder, f"{prefix_of(embedder)} {embedder.settings.base_url or ''}") as kept,
        reporting(total, "batches", shown=progress) as report,
    ):
        run = BatchRun(api, kept, Arrivals(embedder, folder, api, kept), stop or (lambda: False), report)
        made = Batched()
        try:
            run.carry_out(texts)
        except Stopped:
            made.stopped = True
        made.there, made.done, made.refused, made.submitted = run.there, run.done, run.refused, run.submitted
        made.under_way = sum(one.lines for one in kept.open())
        return made


def check_batch(embedder: Embedder) -> BatchAPI:
    """The batch API that `batch` would use; nothing is sent.

    Raises:
        InputError: no cache, no batch API for the model, no key.
    """
    if embedder.settings.cache is None:
        raise InputError("a batch needs cache: the folder in which its vectors are kept")
    if not isinstance(embedder.backend, Batching):
        raise InputError(f"{embedder.settings.model}: only hosted models have a batch API")
    return embedder.backend.batch_api(embedder.document_task, embedder.dimensions, embedder.settings.truncate)
