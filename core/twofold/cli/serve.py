"""`twofold serve`: embedders over HTTP, in the dialects that clients have already."""

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
    host: Annotated[str, typer.Option(help="The address to listen on; this machine alone by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port.", min=0, max=65535)] = 8900,
    api_key_env: Annotated[
        list[str] | None,
        typer.Option(help="A variable that holds a key which clients must show; again for each further key."),
    ] = None,
    insecure: Annotated[bool, typer.Option(help="Serve another address without any key.")] = False,
    queue_seconds: Annotated[
        float, typer.Option(help="Work that may wait, in seconds; what comes beyond it is refused by a 429.")
    ] = 10.0,
) -> None:
    """Serve models over HTTP, in the dialects that clients speak already, with a page to try them."""
    from twofold.server import Limits, create_app  # noqa: PLC0415 - the extra `server`, which help does without
    from twofold.server.running import run  # noqa: PLC0415

    keys = read_keys(api_key_env or ())
    if not keys and not insecure and not is_loopback(host):
        raise InputError(
            f"host {host} can be reached from elsewhere: name the variable that holds a key by --api-key-env, or "
            "say --insecure"
        )
    app = create_app(embedders, api_keys=keys, limits=Limits(queue_seconds=queue_seconds))
    names = ", ".join(served.name for served in app.state.service.models)
    say(f"twofold: serving {names} at http://{host}:{port} (Ctrl-C ends it)")
    run(app, host, port)


def read_keys(variables: Sequence[str]) -> list[str]:
    """The keys that some variables hold.

    Raises:
        InputError: one that is not set, or is no name of a variable; a value is never shown.
    """
    keys = []
    for variable in variables:
        if not variable.isidentifier():
            raise InputError("--api-key-env takes the name of a variable, not a key")
        if not (key := os.environ.get(variable, "").strip()):
            raise InputError(f"the variable {variable} is not set, or empty: put the key into it")
        keys.append(key)
    return keys


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
