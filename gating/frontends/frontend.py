"""What every ECG box has in common: the block of samples it yields, what it declares, and the two halves of its codec.

A decoder turns bytes into sample blocks; an encoder turns samples into the same bytes, for the simulated box. Both are
pure. A decoder is a *total function*: any bytes in any pieces, `feed(a + b) == feed(a) + feed(b)`, never an exception,
never a sample from a frame whose checksum is wrong, back in step within two whole frames, O(n) and with a bounded
buffer (hazards.md I17).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """Consecutive samples as one frame held them. Not comparable by `==`: it holds arrays."""

    leads: tuple[str, ...]
    microvolts: Floats  # [sample, lead]
    rate_hz: float  # nominal
    first_index: int  # counter of the first sample since the decoder began, losses counted
    electrodes: tuple[str, ...]  # those that the flags speak of; () = the box cannot tell
    electrodes_off: Booleans  # [sample, electrode]
    lost_before: int  # samples that never came, just before this block


@dataclass(frozen=True, slots=True)
class DecoderFaults:
    """What a decoder has met so far; all figures only rise."""

    frames: int = 0  # good ones
    crc_errors: int = 0  # frames with the right look and a wrong checksum, or a broken line
    lost_samples: int = 0
    skipped_bytes: int = 0  # bytes that belonged to no frame


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a box is, in numbers that the rooms behind it need."""

    name: str
    title: str
    leads: tuple[str, ...]
    rate_hz: float
    rate_exact: bool  # False: samples come when they come; the arrival is all there is, and GO is refused
    rail_uv: float  # |value| at the converter's rail
    microvolts_per_count: float
    electrodes: tuple[str, ...]  # those with a lead-off flag; () = the box cannot tell
    filter_delay_ns: int  # of the box's own filters: what a sample shows happened so long before it
    block_fill_samples: tuple[int, ...]  # samples that one frame may hold; its first one waits for all the others
    link_floor_ns: int  # the least time from the last sample of a frame to its last byte at our read
    baud: int
    counter_wraps_at: int | None  # samples after which the box's own counter starts again; None: never in practice
    patient_safe: bool
    why_not_safe: str | None
    simulated_samples_per_block: tuple[int, ...]
    start: bytes  # what to send so that it streams
    stop: bytes
    frame: str  # the layout in words, for people

    def block_fill_ns(self, samples: int) -> int:
        """Tell how long the first of so many samples waits for its frame to be full."""
        return round((samples - 1) * 1e9 / self.rate_hz)


class Decoder(Protocol):
    """Bytes in, sample blocks out."""

    @property
    def faults(self) -> DecoderFaults:
        """What went wrong so far."""

    def feed(self, data: bytes) -> tuple[SampleBlock, ...]:
        """Take the next bytes, however cut; give the blocks that they complete."""


class Encoder(Protocol):
    """Samples in, the box's bytes out; the counters are kept inside."""

    def encode(self, microvolts: Floats, electrodes_off: Booleans) -> bytes:
        """Encode samples [sample, lead] and lead-off flags [sample, electrode], in frames of the chosen size."""


@dataclass(frozen=True)
class Frontend:
    """One ECG box: what it declares and how to make both halves of its codec."""

    declaration: Declaration
    make_decoder: Callable[[], Decoder]
    make_encoder: Callable[[int], Encoder]

    def decoder(self) -> Decoder:
        """Make a decoder that has seen nothing yet."""
        return self.make_decoder()

    def encoder(self, samples_per_block: int | None = None) -> Encoder:
        """Make an encoder; `None` is the frame as the box is shipped.

        Raises
        ------
        ValueError
            If the box knows no frame of so many samples.
        """
        allowed = self.declaration.simulated_samples_per_block
        samples = allowed[-1] if samples_per_block is None else samples_per_block
        if samples not in allowed:
            raise ValueError(
                f"{self.declaration.title} sends {allowed[0]}..{allowed[-1]} samples a frame, not {samples}."
            )
        return self.make_encoder(samples)


def locked(block: SampleBlock) -> SampleBlock:
    """Make the arrays of a block read-only: it is handed to several rooms."""
    block.microvolts.setflags(write=False)
    block.electrodes_off.setflags(write=False)
    return block
