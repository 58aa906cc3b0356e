"""Where a server is, what a collection is called there, and Weaviate's errors as ours."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from twofold import InputError, StoreError
from twofold.adapters import extra

with extra("weaviate"):
    import weaviate
    from weaviate.classes.init import Auth
    from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateBaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weaviate import WeaviateClient

KEY = "WEAVIATE_API_KEY"
"""The environment variable with the server's key, if it needs one."""

GRPC_PORT = 50051


@contextmanager
def weaviate_errors(what: str) -> Iterator[None]:
    """Turn what Weaviate raises into a `StoreError` whose message begins with `what`."""
    try:
        yield
    except WeaviateBaseError as error:
        missing = isinstance(error, UnexpectedStatusCodeError) and error.status_code == 404
        raise StoreError(f"{what}: {'there is none of that name' if missing else error}") from error


def class_name(collection: str) -> str:
    """Return a name that Weaviate accepts: `collection` itself, or a unique one made from it."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", collection):
        return collection
    digest = hashlib.sha256(collection.encode()).hexdigest()[:8]
    return f"C_{re.sub(r'[^A-Za-z0-9]+', '_', collection)[:200]}_{digest}"


def connect(address: str) -> WeaviateClient:
    """Return a client of the server at `address`; its key, if it needs one, is in WEAVIATE_API_KEY.

    The address can end in `?grpc_port=…` and `&grpc_host=…` if these are not 50051 and the same host.

    Raises:
        InputError: not an http or https address, or one that contains a key.
        StoreError: no server answers there.
    """
    try:
        parts = urlsplit(address)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        port, grpc_port = parts.port, int(asked.get("grpc_port", GRPC_PORT))
    except ValueError:
        raise InputError("the port in the address of the Weaviate server is not a number up to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"{address!r} is not the address of a Weaviate server: write http://localhost:8080, or https://…"
        )
    if "@" in parts.netloc:
        raise InputError(f"the address of {parts.hostname} holds a user or a key: put the key into {KEY}")
    if grpc_port == port and "grpc_host" not in asked:
        raise InputError(f"port {port} cannot be the server's gRPC port, too: name that one as ?grpc_port=…")
    secure, key = parts.scheme == "https", os.environ.get(KEY)
    where = f"{parts.hostname}, gRPC port {grpc_port} (another is named as ?grpc_port=…)"
    with weaviate_errors(f"no Weaviate server answers at {where}"):
        return weaviate.connect_to_custom(
            http_host=parts.hostname,
            http_port=port or (443 if secure else 8080),
            http_secure=secure,
            grpc_host=asked.get("grpc_host", parts.hostname),
            grpc_port=grpc_port,
            grpc_secure=secure,
            auth_credentials=Auth.api_key(key) if key else None,
        )
