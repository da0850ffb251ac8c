"""`diastole monitor`: the page in its own process, with no private key."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gating.errors import SettingsError
from gating.io.bus import Bus, Heard, Refused
from gating.io.keys import Keyring
from gating.io.site import read_site
from gating.messages import OperatorRequest
from gating.monitor.app import address_of, bind, make_app, page_server, serve
from gating.monitor.hub import Hub
from gating.monitor.page import LISTEN
from gating.settings import SiteSettings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Serve the radiographer's page."""


@app.command()
def monitor(
    config: Annotated[Path, typer.Option(help="The site file.")],
    port: Annotated[int | None, typer.Option(help="Serve the page here instead; 0 takes any free port.")] = None,
) -> None:
    """Serve the radiographer's page and print its address; end with Ctrl-C.

    Example: diastole monitor --config site.toml
    """
    site = read_site(config)
    if port is not None:
        site = msgspec.structs.replace(site, monitor=msgspec.structs.replace(site.monitor, port=port))
    token_file = site.monitor.token_file
    token = None if token_file is None else read_token(config.resolve().parent / token_file)
    asyncio.run(run(site, token))


def read_token(path: Path) -> str:
    """Read the token that a page's address must carry.

    Raises
    ------
    SettingsError
        If the file is missing or its first line is no token of at least 16 characters.
    """
    try:
        token = path.read_text(encoding="ascii").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Token file {path} cannot be read ({error}); mend monitor.token_file.") from error
    if len(token) < 16 or not token.isalnum():
        raise SettingsError(f"The page's token in {path} is not 16 or more letters and digits; write a longer one.")
    return token


async def run(site: SiteSettings, token: str | None) -> None:
    """Read the bus and serve the page until a signal ends it."""
    hub = Hub(site.site, time.monotonic_ns)
    keyring = Keyring(Path(site.keys.folder), None)
    bus = Bus(site.mqtt, site.site, keyring, role="monitor", listen=LISTEN, now_ns=time.monotonic_ns)

    async def publish(request: OperatorRequest) -> None:
        """Put a page's request on the bus, unsigned."""
        await bus.publish(request)

    def hear(heard: Heard | Refused) -> None:
        """Hand on what the bus heard, believed or not."""
        if isinstance(heard, Refused):
            hub.refuse(heard)
        else:
            hub.hear(heard)

    def link(up: bool, text: str) -> None:
        """Tell the terminal and the pages of the link to the broker."""
        typer.echo(text, err=True)
        hub.link(up, text)

    listener = bind(site.monitor)
    server = page_server(make_app(hub, publish, site.monitor, token))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    typer.echo(f"Page: {address_of(listener, token)}")
    await serve(server, listener, hub.run(), bus.run(hear, link))
