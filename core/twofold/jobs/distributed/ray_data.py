"""`EmbedBatch`: the callable class that Ray Data's `map_batches` takes.

dataset.map_batches(EmbedBatch, fn_constructor_args=[embedder], compute=ActorPoolStrategy(size=4), batch_size=256)
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import TwofoldError
from twofold.extras import extra
from twofold.jobs.distributed.answers import is_of_a_row
from twofold.jobs.distributed.places import Sent, places
from twofold.jobs.distributed.way import Way

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from twofold.embedder import Embedder
    from twofold.jobs.distributed.way import Side


class EmbedBatch:
    """Adds the vectors of a column of texts to batches; one instance is one of Ray Data's actors.

    A text that cannot be embedded costs its row alone: that has null in place of a vector, and says why.

    Args:
        embedder: what embeds. It travels as its settings: an actor reads a key from its own environment.
        column: of the texts, read.
        vector, error: the columns that are added: the vectors, and what is wrong with a row that has none.
        side: "document" or "query".
        task: under this task of the model's, in place of a side.
        actors: how many share a hosted model's quota: each uses its part.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        column: str = "text",
        vector: str = "vector",
        error: str = "error",
        side: Side = "document",
        task: str | None = None,
        actors: int = 1,
    ) -> None:
        """Make the actor's own embedder; weights are loaded at the first batch."""
        self._sent = Sent(pickle.dumps(embedder), part=1 / actors)
        self._column, self._vector, self._error, self._way = column, vector, error, Way(side, task)

    def __call__(self, batch: Mapping[str, Any] | pa.Table) -> pa.Table:
        """The batch with both columns, in Arrow whatever it came in.

        Raises:
            TwofoldError: what is of no row: a key that is refused, a model that is not there.
        """
        with extra("ray"):
            import pyarrow as pa  # noqa: PLC0415 - optional
        table = batch if isinstance(batch, pa.Table) else pa.table({name: _plain(each) for name, each in batch.items()})
        texts = table.column(self._column).to_pylist()
        with places(self._sent).one() as embedder:
            width = embedder.dimensions
            answers = self._way.embed_each(embedder, texts)
        for answer in answers:
            if isinstance(answer, TwofoldError) and not is_of_a_row(answer):
                raise answer
        rows = [None if isinstance(one, TwofoldError) else one[0] for one in answers]
        errors = [str(one) if isinstance(one, TwofoldError) else None for one in answers]
        added = {
            self._vector: pa.array(rows, pa.list_(pa.float32(), width)),
            self._error: pa.array(errors, pa.string()),
        }
        for name, each in added.items():
            table = table.append_column(name, each)
        return table


def _plain(values: Any) -> Any:
    """A column that Arrow takes: rows of an array of more dimensions become lists."""
    return values if not isinstance(values, np.ndarray) or values.ndim == 1 else list(values)
