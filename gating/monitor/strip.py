"""The strip frames: one block of ECG as a WebSocket's binary message, 32 bytes of head, lead names, float32 samples."""

import struct
from collections.abc import Iterable, Mapping

from gating.messages import EcgBlock, LeadStatus
from gating.units import NS_PER_MS

MAX_LEADS = 8

ELECTRODES_OF_LEAD: Mapping[str, frozenset[str]] = {
    "I": frozenset({"RA", "LA"}),
    "II": frozenset({"RA", "LL"}),
    "III": frozenset({"LA", "LL"}),
    **{lead: frozenset({"RA", "LA", "LL"}) for lead in ("aVR", "aVL", "aVF")},
    **{f"V{n}": frozenset({"RA", "LA", "LL", f"V{n}"}) for n in range(1, 7)},  # V against Wilson's terminal
}


def untrusted_leads(block: EcgBlock, leads: Iterable[LeadStatus]) -> int:
    """Tell, one bit per lead, which leads of a block are not to be trusted: its flags first, then the gate's word."""
    distrusted = {lead.lead for lead in leads if not lead.trusted}
    off = frozenset(block.electrodes_off)
    bits = 0
    for i, lead in enumerate(block.leads[:MAX_LEADS]):
        if off & ELECTRODES_OF_LEAD.get(lead, off) or lead in distrusted:
            bits |= 1 << i
    return bits


STRIP_HEAD = struct.Struct("<BBBBHHIfdd")
"""Frame kind (1), lead count, untrusted bits, length of names, samples, reserved, sequence, rate, first and now in ms.

Then the names, comma-separated, padded with spaces to a multiple of four; then float32 microvolts [lead][sample].
float32 and not int16: an electrode's offset may be 300 mV, and the page takes it out itself.
"""


def encode_strip(block: EcgBlock, untrusted: int, now_ms: float) -> bytes:
    """Encode one block of ECG: 32 bytes of head, the names, the samples."""
    names = ",".join(block.leads[:MAX_LEADS]).encode("ascii", "replace")[:252]
    names += b" " * (-len(names) % 4)
    leads = block.microvolts[:MAX_LEADS]
    count = min((len(lead) for lead in leads), default=0)
    head = STRIP_HEAD.pack(
        1, len(leads), untrusted, len(names), count, 0, block.sequence & 0xFFFFFFFF, block.rate_hz,
        block.first_at_ns / NS_PER_MS, now_ms,
    )  # fmt: skip
    samples = struct.pack(f"<{len(leads) * count}f", *(value for lead in leads for value in lead[:count]))
    return head + names + samples
