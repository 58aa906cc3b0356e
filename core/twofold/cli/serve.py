"""`twofold serve`."""

from __future__ import annotations

import ipaddress
import os
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

    keys = read_keys(api_key_env or ())
    if not keys and not insecure and not is_loopback(host):
        raise InputError(
            f"other machines can reach host {host}: name a variable that holds a key with --api-key-env, or add "
            "--insecure"
        )
    app = create_app(embedders, api_keys=keys, limits=Limits(queue_seconds=queue_seconds))
    names = ", ".join(served.name for served in app.state.service.models)
    say(f"twofold: serving {names} at http://{host}:{port} (stop with Ctrl-C)")
    run(app, host, port)


def read_keys(variables: Sequence[str]) -> list[str]:
    """Read keys from environment variables.

    Raises:
        InputError: a variable is not set, or its name is invalid. The message never shows a value.
    """
    keys = []
    for variable in variables:
        if not variable.isidentifier():
            raise InputError("--api-key-env takes the name of a variable, not a key")
        if not (key := os.environ.get(variable, "").strip()):
            raise InputError(f"the variable {variable} is not set or empty: set it to the key")
        keys.append(key)
    return keys


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
