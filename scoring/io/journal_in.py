"""A Diastole journal beside the slices -> the true beat of each exposure."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gating.messages import AnyMessage, Beat, ExposureReport
from scoring.gating_quality import TrueBeat
from scoring.io.errors import SeriesError

MAX_BYTES = 512 * 2**20


class _Line(msgspec.Struct, frozen=True):
    """What is read of a journal's line; the rest is passed over."""

    message: AnyMessage | None = None
    out: tuple[AnyMessage, ...] = ()


def read_beats(path: Path) -> dict[int, TrueBeat]:
    """Read the beat of each exposed step, by its number from 1; the last attempt of a step counts.

    Raises
    ------
    SeriesError
        If the file cannot be read, or is no journal.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SeriesError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB; give the journal of one scan.")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SeriesError(f"{path} cannot be read ({error.strerror}); give the journal of this scan.") from error
    if not lines or b"diastole-journal/" not in lines[0]:
        raise SeriesError(f"{path.name} is no Diastole journal; give the journal of this scan, or leave it out.")
    return _true_beats(_messages(lines[1:], path.name))


def _messages(lines: Iterable[bytes], name: str) -> Iterator[AnyMessage]:
    """Give all messages of a journal, heard or sent, in their order."""
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(lines, 2):
        try:
            read = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise SeriesError(f"Line {number} of {name} is damaged; give the whole journal or none.") from error
        if read.message is not None:
            yield read.message
        yield from read.out


def _true_beats(messages: Iterable[AnyMessage]) -> dict[int, TrueBeat]:
    """Join each exposure with its beat and the beat after it."""
    r_at_ns: dict[int, int] = {}
    exposures: dict[int, ExposureReport] = {}
    for message in messages:
        if isinstance(message, Beat) and message.stage == "confirmed":
            r_at_ns[message.number] = message.r_at_ns
        elif isinstance(message, ExposureReport) and message.opened_at_ns is not None:
            exposures[message.step] = message
    ordered = sorted(r_at_ns.values())
    found = {}
    for step, one in exposures.items():
        begun = r_at_ns.get(one.beat)
        after = next((at for at in ordered if begun is not None and at > begun), None)
        if begun is None or after is None or one.opened_at_ns is None or one.closed_at_ns is None:
            continue
        centre_ns = (one.opened_at_ns + one.closed_at_ns) / 2
        found[step + 1] = TrueBeat((centre_ns - begun) / 1e6, (after - begun) / 1e6)
    return found
