"""`twofold serve`."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twofold.cli.options import several_embedders
from twofold.cli.say import say
from twofold.embedder import Embedder
from twofold.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


@several_embedders
def serve(
    embedders: dict[str, Embedder],
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8900,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(help="Environment variable with a key that clients must send. Repeatable."),
    ] = None,
    api_key_file: Annotated[
        list[Path] | None,
        typer.Option(help="File with keys that clients must send, one per line; SIGHUP reads it again. Repeatable."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Site whose pages may use the server (https://example.org), or * for all. Repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name that clients may use, besides localhost and IP addresses. Without keys, a server on this "
            "machine refuses all other names. Repeatable."
        ),
    ] = None,
    insecure: Annotated[bool, typer.Option(help="Allow other machines to connect without a key.")] = False,
    queue_seconds: Annotated[
        float, typer.Option(help="Seconds of work that may wait. Further requests get status 429.")
    ] = 10.0,
) -> None:
    """Serve models over HTTP for existing clients, with a page to try them.

    Clients of Jina, OpenAI, Cohere, text-embeddings-inference and Weaviate work unchanged. Needs the extra server.
    """
    from twofold.server import Limits, create_app  # noqa: PLC0415 - the extra `server`, which help does not need
    from twofold.server.running import run  # noqa: PLC0415

    def all_keys() -> list[str]:
        return [*read_keys(api_key_env or ()), *read_key_files(api_key_file or ())]

    keys = all_keys()
    if not keys and not insecure and not is_loopback(host):
        raise InputError(
            f"other machines can reach host {host}: name a variable or a file with a key (--api-key-env, "
            "--api-key-file), or add --insecure"
        )
    app = create_app(
        embedders,
        api_keys=keys,
        limits=Limits(queue_seconds=queue_seconds),
        allow_origins=allow_origin or (),
        allow_hosts=allow_host if allow_host or keys or not is_loopback(host) else (),
    )
    service = app.state.service

    def listening(at: int) -> None:
        names = ", ".join(served.name for served in service.models)
        say(f"twofold: serving {names} at http://{host}:{at} (stop with Ctrl-C)")

    def reload_keys() -> None:
        try:
            found = all_keys()
            service.guard.set_keys(found)
        except InputError as error:
            say(f"twofold: the keys were not changed: {error}")
        else:
            say(f"twofold: {len(found)} keys are accepted now")

    run(app, host, port, on_listening=listening, on_hangup=reload_keys)


def read_keys(variables: Sequence[str]) -> list[str]:
    """Read keys from environment variables.

    Raises:
        InputError: a variable is not set, or its name is invalid. The message never shows a value.
    """
    keys = []
    for variable in variables:
        if not variable.isidentifier():
            raise InputError("--api-key-env expects the name of a variable, not a key")
        if not (key := os.environ.get(variable, "").strip()):
            raise InputError(f"the variable {variable} is not set or empty: set it to the key")
        keys.append(key)
    return keys


def read_key_files(files: Sequence[Path]) -> list[str]:
    """Read keys from files with one key per line. Blank lines and lines that begin with # are skipped.

    Raises:
        InputError: a file cannot be read, or has no key. The message never shows a line of it.
    """
    keys: list[str] = []
    for file in files:
        try:
            lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"the file of keys {file} cannot be read: {reason}") from None
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise InputError(f"the file of keys {file} has no key")
        keys += found
    return keys


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
