"""How LangChain's stores over Chroma and Weaviate are made, and what they need of a collection that is new."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias

from twofold import InputError
from twofold.adapters import extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.vectorstores import VectorStore

Made: TypeAlias = "tuple[Callable[[str], VectorStore], dict[str, Any]]"
"""What makes the store over a collection that is there, by its name, and the native options for one that is new."""


def host_of(client: Any, embeddings: Any, options: Mapping[str, Any]) -> Made:
    """See `Made`; `options` are those of LangChain's store.

    Raises:
        InputError: a client of no host, or an asynchronous one, or an option that its store does not have.
        MissingExtra: LangChain's package for the host is not installed.
    """
    host = type(client).__module__.partition(".")[0]
    if host == "chromadb":
        _check(client.heartbeat, options, ("collection_metadata", "collection_configuration", "relevance_score_fn"))
        return _chroma(client, embeddings, options)
    if host == "weaviate":
        _check(client.is_ready, options, (*_WEAVIATE, "text_key", "use_multi_tenancy"))
        return _weaviate(client, embeddings, options)
    raise InputError(f"where is of type {type(client).__name__}: expected a client of chromadb or of weaviate")


_WEAVIATE = ("attributes", "client_async", "relevance_score_fn")


def _check(method: Any, options: Mapping[str, Any], known: Sequence[str]) -> None:
    if iscoroutinefunction(method):
        raise InputError("an asynchronous client was given: LangChain's stores want the synchronous one")
    if unknown := sorted(set(options).difference(known)):
        raise InputError(f"not an option here: {', '.join(unknown)}; the options are {', '.join(sorted(known))}")


def _chroma(client: Any, embeddings: Any, options: Mapping[str, Any]) -> Made:
    with extra(package="langchain-chroma"):
        from langchain_chroma import Chroma  # noqa: PLC0415 - each host needs its own package alone

    def make(name: str) -> VectorStore:
        return Chroma(name, embeddings, client=client, create_collection_if_not_exists=False, **options)

    native = {"metadata": "collection_metadata", "configuration": "collection_configuration"}
    return make, {own: options.get(theirs) for own, theirs in native.items()}


def _weaviate(client: Any, embeddings: Any, options: Mapping[str, Any]) -> Made:
    with extra(package="langchain-weaviate"):
        from langchain_weaviate import WeaviateVectorStore  # noqa: PLC0415
    text = options.get("text_key", "text")
    own = {option: options[option] for option in _WEAVIATE if option in options}

    def make(name: str) -> VectorStore:
        return WeaviateVectorStore(client, name, text, embeddings, **own)

    return make, {"vectorize": text, "tenants": bool(options.get("use_multi_tenancy"))}
