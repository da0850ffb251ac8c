"""The simulated ECG box: a pure device. Bytes and the time go in; bytes and the next wake-up come out.

A frame leaves when its last sample has been converted, filtered and sent: sample `i` shows what the heart did `i /
rate_hz` after the start, and its frame leaves `filter_delay + link` after its last sample. So what a frontend declares
is true of its simulated box.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gating.frontends import Declaration, Frontend
from gating.units import NS_PER_S, ns_from_ms
from simulators.ecg import EcgSignal
from simulators.heart import TrueBeat
from simulators.scenario import Box, Fault, Scenario

TEXT_RATE_HZ = 180.0  # of a box whose rate is not exact: what the AD8232 sketch manages, below what it declares
TEXT_JITTER_NS = 400_000  # its lines leave so much early or late
PATIENCE_BLOCKS = 4096  # frames made at one wake-up, at most; the rest at the next


class Source(Protocol):
    """Where the samples come from: a simulated patient or a recording."""

    @property
    def rate_hz(self) -> float:
        """The true rate, drift of the converter included: sample `i` is taken `i / rate_hz` after the start."""

    @property
    def leads(self) -> tuple[str, ...]:
        """The columns of the samples."""

    def samples(self, first: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Give microvolts [sample, lead] and flags [sample, electrode]."""


class EcgBox:
    """One ECG box on a source.

    Parameters
    ----------
    source
        Its leads are those of the frontend; its true `rate_hz` holds the drift already.
    frontend
        The codec and what it declares.
    box
        Block size and link delay.
    faults
        `stall`, `garbage` and `unplug` are the box's; the others are the source's. A pulled plug stays out.
    started_at_ns
        Host time of patient time 0, the first sample.
    """

    def __init__(
        self, source: Source, frontend: Frontend, box: Box, faults: Sequence[Fault], started_at_ns: int
    ) -> None:
        declaration = frontend.declaration
        if source.leads != declaration.leads:
            raise ValueError(f"{declaration.title} sends {declaration.leads}, and the source has {source.leads}.")
        allowed = declaration.simulated_samples_per_block
        self.samples_per_block = min(max(box.samples_per_block, allowed[0]), allowed[-1])
        self.frontend = frontend
        self.started_at_ns = started_at_ns
        self._source = source
        self._encoder = frontend.encoder(self.samples_per_block)
        self._link_ns = declaration.filter_delay_ns + max(ns_from_ms(box.link_delay_ms), declaration.link_floor_ns)
        self._jitter_ns = 0 if declaration.rate_exact else TEXT_JITTER_NS
        self._faults = {kind: [f for f in faults if f.kind == kind] for kind in ("stall", "garbage", "unplug")}
        self._block = 0  # the next one
        self._streaming = not declaration.start

    @property
    def wake_at_ns(self) -> int | None:
        """When the next bytes are due, or `None` after the plug was pulled."""
        due_ns = self._due_ns(self._block)
        pulled_at_ns = self.unplugged_at_ns
        if pulled_at_ns is not None and due_ns >= pulled_at_ns:
            return None
        return self._released_ns(due_ns)

    @property
    def unplugged_at_ns(self) -> int | None:
        """When the line goes away for good, if this story has it."""
        pulled = [fault.at_s for fault in self._faults["unplug"]]
        return self._host_ns(min(pulled)) if pulled else None

    def receive(self, data: bytes, now_ns: int) -> bytes:
        """Take bytes from the host: the start and stop bytes of the frontend count, all others are ignored."""
        due = self.wake(now_ns)
        declaration = self.frontend.declaration
        for byte in data:
            if declaration.start and byte in declaration.start:
                self._streaming = True
            elif declaration.stop and byte in declaration.stop:
                self._streaming = False
        return due

    def wake(self, now_ns: int) -> bytes:
        """Give the bytes that have become due."""
        pieces = []
        for _ in range(PATIENCE_BLOCKS):
            due_ns = self._due_ns(self._block)
            pulled_at_ns = self.unplugged_at_ns
            if self._released_ns(due_ns) > now_ns or (pulled_at_ns is not None and due_ns >= pulled_at_ns):
                break
            first = self._block * self.samples_per_block
            frame = self._encoder.encode(*self._source.samples(first, self.samples_per_block))
            if self._streaming:
                pieces.append(self._spoiled(frame, due_ns))
            self._block += 1
        return b"".join(pieces)

    def _due_ns(self, block: int) -> int:
        """Tell when a block leaves, if nothing holds it up."""
        last = (block + 1) * self.samples_per_block - 1
        due_ns = self.started_at_ns + round(last / self._source.rate_hz * NS_PER_S) + self._link_ns
        if self._jitter_ns:
            due_ns += round((2.0 * _hashed(b"jitter", block, 4)[0] / 255.0 - 1.0) * self._jitter_ns)
        return due_ns

    def _released_ns(self, due_ns: int) -> int:
        """Tell when bytes that are due leave in truth: at the end of a stall that they fall into."""
        for fault in self._faults["stall"]:
            if self._within(fault, due_ns) and fault.until_s is not None:
                due_ns = self._host_ns(fault.until_s)
            elif self._within(fault, due_ns):
                due_ns = 2**62  # for good
        return due_ns

    def _spoiled(self, frame: bytes, due_ns: int) -> bytes:
        """Give the frame, or while there is garbage half of it and then bytes that mean nothing."""
        if not any(self._within(fault, due_ns) for fault in self._faults["garbage"]):
            return frame
        half = len(frame) // 2
        return frame[:half] + _hashed(b"garbage", self._block, len(frame) - half)

    def _within(self, fault: Fault, at_ns: int) -> bool:
        """Tell whether a fault rules at a host time."""
        until_ns = None if fault.until_s is None else self._host_ns(fault.until_s)
        return self._host_ns(fault.at_s) <= at_ns and (until_ns is None or at_ns < until_ns)

    def _host_ns(self, patient_s: float) -> int:
        """Turn patient time into host time."""
        return self.started_at_ns + round(patient_s * NS_PER_S)


def patient_source(scenario: Scenario, frontend: Frontend, beats: tuple[TrueBeat, ...]) -> EcgSignal:
    """Make the signal of a scenario's patient as a box of this frontend converts it: its leads, flags and true rate."""
    declaration = frontend.declaration
    rate_hz = converter_rate_hz(declaration)
    return EcgSignal(scenario, beats, scenario.seed, rate_hz, declaration.leads, declaration.electrodes)


def converter_rate_hz(declaration: Declaration) -> float:
    """Give the rate of the simulated converter without its drift: the declared one, if the box keeps it at all."""
    return declaration.rate_hz if declaration.rate_exact else TEXT_RATE_HZ


def _hashed(purpose: bytes, number: int, count: int) -> bytes:
    """Give bytes that mean nothing, the same ones for the same number."""
    return hashlib.shake_128(purpose + number.to_bytes(8, "little")).digest(count)
