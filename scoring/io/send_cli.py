"""`diastole send`: a confirmed result to a peer of the site file, with the peer's answer to each object."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from scoring.io.associations import PeerFailed
from scoring.io.errors import SeriesError
from scoring.io.peers import read_peer
from scoring.io.send import Parcel, pack
from scoring.io.send import send as send_parcel
from scoring.io.worklist import check_order, find_orders, order_of
from scoring.volume import Refusal

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLE = "Example: diastole send out/case --peer archive --site site.toml"


@app.callback()
def callback() -> None:
    """Send a confirmed result. Research software, no medical device; not for diagnosis."""


@app.command(epilog=EXAMPLE)
def send(
    folder: Annotated[Path, typer.Argument(metavar="RESULT_DIR", help="Folder of a result, with its revisions.")],
    peer: Annotated[str, typer.Option(metavar="NAME", help="The peer, [scoring.peers.NAME] of the site file.")],
    site: Annotated[Path, typer.Option(metavar="FILE.toml", help="The site file.")] = Path("site.toml"),
    worklist: Annotated[
        str | None, typer.Option(metavar="NAME", help="First compare identity with the order that this peer has.")
    ] = None,
) -> None:
    """Send the latest revision. Exit code 0: all taken; 1: refused, here or by the peer; 2: wrong input."""
    try:
        target = read_peer(site, peer)
        parcel = pack(folder)
        if isinstance(parcel, Parcel) and worklist is not None:
            identity = order_of(next(iter(parcel.objects.values())))
            orders = read_peer(site, worklist)
            found = find_orders(
                orders, accession=identity.accession, patient_id="" if identity.accession else identity.patient_id
            )
            parcel = check_order(identity, found) or parcel
        if isinstance(parcel, Refusal):
            _tell(parcel.reasons)
            raise typer.Exit(1)
        answers = send_parcel(parcel, target)
    except PeerFailed as error:
        _tell((f"{error} Nothing is marked as sent; send again.",))
        raise typer.Exit(1) from error
    except SeriesError as error:
        _tell((str(error),))
        raise typer.Exit(2) from error
    for answer in answers:
        sys.stdout.write(f"{answer.name:<20} {'taken' if answer.taken else 'REFUSED'}  ({answer.said})\n")
    refused = [answer.name for answer in answers if not answer.taken]
    if refused:
        _tell((f"{peer} refused {len(refused)} of {len(answers)} objects: {', '.join(refused)}.",))
        raise typer.Exit(1)
    sys.stdout.write(f"Revision {parcel.revision} is with {peer}.\n")


def _tell(reasons: tuple[str, ...]) -> None:
    """Print reasons, one a line."""
    for reason in reasons:
        sys.stderr.write(f"diastole send: {reason}\n")
