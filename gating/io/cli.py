"""The commands of the gate's room: gate, broker, keys, arm, disarm, check."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def room() -> None:
    """Gating: keys, the embedded broker, the gate itself, and the operator's word."""


@app.command()
def broker(
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 1883,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    password_file: Annotated[Path | None, typer.Option(help="Users and their hashes.")] = None,
) -> None:
    """Run the embedded MQTT broker."""
    from gating.io.broker import serve_until_told

    asyncio.run(serve_until_told(host, port, password_file=password_file, ready=lambda port: typer.echo(str(port))))
