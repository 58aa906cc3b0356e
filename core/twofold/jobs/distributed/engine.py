"""Maps documents to vectors with Daft, on this machine or a Ray cluster. Everything else stays in the driver."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twofold.errors import EngineError, InputError
from twofold.extras import extra
from twofold.jobs.distributed.ahead import Ahead
from twofold.jobs.distributed.answers import FAILURE, VECTORS, embed_each, pack, unpack
from twofold.jobs.distributed.places import places, send

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.jobs.distributed.answers import Answer
    from twofold.jobs.distributed.places import Sent

BATCHES = 8
"""Batches in a query for each place. Small batches make the wait for the last one short, and a crash loses little."""

MOST_DOCUMENTS = 512
"""The most documents in a batch."""

SECONDS = 10.0
"""How long to wait for a connection to the cluster."""


class Engine:
    """Runs embedding on Daft: with its native runner on this machine, or its Ray runner on a cluster.

    The engine only maps documents to vectors. Comparing, checking, writing and resuming work as in a local run. A
    process has one runner, which the first `Engine` selects.

    Args:
        address: the Ray cluster: `auto` for the one that this machine belongs to, or an address such as
            `10.0.0.1:6379`. None selects Daft's native runner on this machine.
        at_once: how many batches each process embeds at the same time. None means one for each visible GPU, or one for
            each group of threads on a CPU.

    Raises:
        MissingExtra: the extra `daft` or `ray` is not installed.
        InputError: an option is invalid.
        EngineError: no cluster answers, or this process already uses the other runner.
    """

    def __init__(self, address: str | None = None, *, at_once: int | None = None) -> None:
        if at_once is not None and at_once < 1:
            raise InputError(f"at_once={at_once}: it must be at least 1")
        os.environ.setdefault("DAFT_PROGRESS_BAR", "0")  # we show our own progress bar
        with extra("daft"):
            import daft  # noqa: PLC0415 - optional
            import pyarrow as pa  # noqa: F401, PLC0415 - optional
        self.address, self.at_once, self._daft = address, at_once, daft
        self._run_on(address)

    def calls(self, embedder: Embedder) -> Ahead:
        """The `Calls` of a job: a context manager that computes its vectors on this engine.

        Raises:
            InputError: the embedder has a key or client that cannot be sent to other machines.
        """
        if self.address is not None:
            embedder.check_travels()
        return Ahead(embedder, partial(self.map, embedder), self.batches)

    @property
    def processes(self) -> int:
        """How many processes embed: the live nodes of the cluster, or 1 on this machine."""
        return len(self._nodes()) if self.address is not None else 1

    @property
    def places(self) -> int:
        """About how many batches are embedded at the same time."""
        if self.address is None:
            return self.at_once or os.cpu_count() or 1
        nodes = self._nodes()
        if self.at_once is not None:
            return self.at_once * len(nodes)
        return int(sum(node.get("GPU", 0) for node in nodes) or sum(node["CPU"] for node in nodes))

    @property
    def batches(self) -> int:
        """How many batches a query is split into."""
        return BATCHES * self.places

    def map(self, embedder: Embedder, documents: Sequence[Document]) -> Iterator[list[Answer]]:
        """The answers for `documents`, in order, some at a time as they arrive. Blocks. Several threads may call it.

        Errors about documents are among the answers. An exception means that the engine failed.
        """
        import pyarrow as pa  # noqa: PLC0415 - an extra brings it

        size = min(MOST_DOCUMENTS, -(-len(documents) // self.batches))
        tables = [
            pa.table({"text": texts(some), "spans": spans(some)})
            for some in (documents[start : start + size] for start in range(0, len(documents), size))
        ]
        sent = send(embedder, self.at_once, 1 / self.processes)
        frame = self._daft.from_arrow(tables)
        mapped = self._mapper(sent, size)(self._daft.col("text"), self._daft.col("spans"))
        found = 0
        for some in frame.select(mapped.alias("answer")).to_arrow_iter(results_buffer_size=None):
            answers = unpack(some.column("answer"), embedder.dimensions)
            found += len(answers)
            yield answers
        if found != len(documents):
            raise EngineError(f"Daft returned {found} rows for {len(documents)} documents")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _mapper(self, sent: Sent, size: int) -> Any:
        """The function that Daft calls, in the process that runs a node's part of the query."""
        kinds = self._daft.DataType
        answer = kinds.struct({VECTORS: kinds.binary(), FAILURE: kinds.string()})
        decorate = self._daft.func.batch(
            return_dtype=answer, use_process=False, max_retries=0, on_error="raise", batch_size=size
        )

        def embed_documents(text: Any, spans: Any) -> Any:
            return embed_columns(sent, text.to_arrow(), spans.to_arrow())

        return decorate(embed_documents)

    def _run_on(self, address: str | None) -> None:
        try:
            if address is None:
                with suppress(self._daft.exceptions.DaftCoreException):  # a runner is set already and checked below
                    self._daft.set_runner_native()
            else:
                with extra("ray"):
                    import ray  # noqa: PLC0415 - optional
                if not ray.is_initialized():
                    reach(address)
                    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
                with suppress(self._daft.exceptions.DaftCoreException):
                    self._daft.set_runner_ray(noop_if_initialized=True)
        except OSError as error:
            raise EngineError(
                f"no Ray cluster at {address!r}: start one with `ray start --head`, or leave out the address to use "
                f"only this machine ({error})"
            ) from None
        except ValueError as error:
            raise InputError(
                f"address={address!r}: expected 'auto' or an address like '10.0.0.1:6379' ({error})"
            ) from None
        runner = self._daft.runners.get_or_infer_runner_type()
        wanted = "native" if address is None else "ray"
        if runner != wanted:
            raise EngineError(
                f"this process already uses Daft's {runner} runner: start another process for the {wanted} runner"
            )
        import pyarrow as pa  # noqa: PLC0415 - an extra brings it

        self._daft.from_arrow(
            pa.table({"": ["the first query starts Daft, which two threads must not do at once"]})
        ).collect()

    def _nodes(self) -> list[dict[str, float]]:
        """The resources of each live node with a CPU."""
        import ray  # noqa: PLC0415 - optional

        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call] # the library's
        found = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        if not found:
            raise EngineError(f"the Ray cluster at {self.address!r} has no node with a free CPU")
        return found


def reach(address: str) -> None:
    """Check that a host and port accept connections, because Ray itself waits minutes for them.

    Raises:
        OSError: the connection fails.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname is not None and place.port is not None:
        socket.create_connection((place.hostname, place.port), SECONDS).close()


def texts(documents: Sequence[Document]) -> Any:
    """The texts as an Arrow column."""
    import pyarrow as pa  # noqa: PLC0415 - an extra brings it

    return pa.array([document.text for document in documents], pa.large_string())


def spans(documents: Sequence[Document]) -> Any:
    """The spans as an Arrow column: one flat list of offsets for each document, null for a whole text."""
    import pyarrow as pa  # noqa: PLC0415 - an extra brings it

    flat = [None if each.is_whole else [offset for span in each.spans for offset in span] for each in documents]
    return pa.array(flat, pa.large_list(pa.int64()))


def embed_columns(sent: Sent, text: Any, spans: Any) -> Any:
    """Embed a batch in a worker. Returns the answers of its rows as an Arrow column."""
    from twofold.documents import Document  # noqa: PLC0415 - a worker starts without our modules

    documents = [
        Document.whole(one) if flat is None else Document(one, tuple(zip(flat[::2], flat[1::2], strict=True)))
        for one, flat in zip(text.to_pylist(), spans.to_pylist(), strict=True)
    ]
    with places(sent).one() as embedder:
        return pack(embed_each(embedder.embed_late, documents))
