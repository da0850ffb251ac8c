"""The simulated ECG box: bytes leave when a frame is full, and go wrong as the story says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.frontends import FRONTENDS, SampleBlock
from gating.units import NS_PER_S
from simulators.ecg_box import EcgBox, patient_source
from simulators.heart import true_beats
from simulators.scenario import Box, Fault, Scenario

START_NS = 5_000_000_000


def a_box(frontend: str = "healthypi6", *faults: Fault, samples_per_block: int = 16, drift_ppm: float = 20.0) -> EcgBox:
    """Make a box on the steady patient."""
    box = Box(frontend=frontend, samples_per_block=samples_per_block, drift_ppm=drift_ppm)
    scenario = Scenario(name="t", story="t", box=box, faults=faults)
    beats = true_beats(scenario, 22.0, np.random.default_rng(1))
    source = patient_source(scenario, FRONTENDS[frontend], beats)
    return EcgBox(source, FRONTENDS[frontend], box, faults, START_NS)


def run(box: EcgBox, until_s: float, first: bytes = b"") -> list[tuple[int, bytes]]:
    """Wake a box whenever it asks for it; give what left and when."""
    left = [(START_NS, box.receive(first, START_NS))]
    while (wake_ns := box.wake_at_ns) is not None and wake_ns <= START_NS + until_s * NS_PER_S:
        left.append((wake_ns, box.wake(wake_ns)))
    return left


def decoded(frontend: str, data: bytes) -> tuple[SampleBlock, ...]:
    """Decode with the gate's own decoder."""
    return FRONTENDS[frontend].decoder().feed(data)


@pytest.mark.parametrize(("frontend", "start"), [("healthypi6", b""), ("cyton", b"b"), ("ad8232", b"")])
def test_the_gates_decoder_reads_what_the_box_sends(frontend: str, start: bytes) -> None:
    """Ten seconds of bytes decode to ten seconds of samples, close to those of the source."""
    box = a_box(frontend)
    data = b"".join(piece for _, piece in run(box, 10.0, start))
    blocks = decoded(frontend, data)
    got = np.concatenate([block.microvolts for block in blocks])
    declaration = FRONTENDS[frontend].declaration
    want, _ = box._source.samples(0, len(got))
    assert 0 == sum(block.lost_before for block in blocks)
    np.testing.assert_allclose(got, want, atol=declaration.microvolts_per_count)
    assert 10.0 * declaration.rate_hz == pytest.approx(len(got), rel=0.08)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 400_000_000), min_size=1, max_size=20), st.sampled_from(["healthypi6", "ad8232"]))
def test_the_bytes_do_not_depend_on_when_the_box_is_woken(steps_ns: list[int], frontend: str) -> None:
    """Waking early, late or often gives the same bytes in the end."""
    one, other = a_box(frontend), a_box(frontend)
    now_ns, pieces = START_NS, b""
    for step_ns in steps_ns:
        now_ns += step_ns
        pieces += one.wake(now_ns)
    assert other.wake(now_ns) == pieces


@pytest.mark.parametrize("samples_per_block", [1, 8, 16])
def test_a_frame_leaves_when_its_last_sample_is_converted(samples_per_block: int) -> None:
    """A frame of n samples leaves n - 1 sample periods plus the link delay after its first sample."""
    box = a_box(samples_per_block=samples_per_block, drift_ppm=0.0)
    leaves_ns = [at_ns for at_ns, data in run(box, 1.0) if data]
    assert START_NS + (samples_per_block - 1) * 2_000_000 + 1_000_000 == leaves_ns[0]
    assert {samples_per_block * 2_000_000} == set(np.diff(leaves_ns).tolist())


def test_the_filter_delay_that_a_box_declares_is_really_there() -> None:
    """A Cyton's first packet leaves its declared 6 ms and its link floor after what it shows."""
    box = a_box("cyton", drift_ppm=0.0)
    declaration = box.frontend.declaration
    assert START_NS + declaration.filter_delay_ns + declaration.link_floor_ns == run(box, 0.1, b"b")[1][0]


def test_a_fast_converter_sends_early() -> None:
    """At 1000 ppm the frames of 10 s are 10 ms early at the end."""
    exact, fast = (run(a_box(drift_ppm=ppm), 10.0) for ppm in (0.0, 1000.0))
    assert 10e6 == pytest.approx(exact[300][0] - fast[300][0], rel=0.05)


def test_a_cyton_is_silent_until_told_to_start_and_after_stop() -> None:
    """`b` starts the stream and `s` ends it."""
    box = a_box("cyton")
    assert b"" == box.wake(START_NS + NS_PER_S)
    assert b"" == box.receive(b"b", (START_NS + NS_PER_S))
    assert 250 == pytest.approx(len(box.receive(b"s", (START_NS + 2 * NS_PER_S))) / 33, abs=1)
    assert b"" == box.wake(START_NS + 3 * NS_PER_S)


def test_an_ad8232_sends_lines_at_an_uneven_rate() -> None:
    """Lines leave about 180 times a second, with jitter, and an open electrode is a `!`."""
    box = a_box("ad8232", Fault(kind="electrode-off", at_s=5.0))
    left = run(box, 6.0)
    gaps_ms = np.diff([at_ns for at_ns, data in left if data][1:]) / 1e6
    assert 1000.0 / 180.0 == pytest.approx(gaps_ms.mean(), rel=0.01)
    assert 0.1 < gaps_ms.std() < 1.0
    lines = b"".join(data for _, data in left).split(b"\r\n")
    assert b"!" not in lines[:890]
    assert {b"!"} == set(lines[910:-1])


def test_a_stall_holds_bytes_back_and_lets_them_go_in_a_burst() -> None:
    """Nothing leaves between 2 and 3 s; all that was held leaves at 3 s, and no sample is lost."""
    left = run(a_box("healthypi6", Fault(kind="stall", at_s=2.0, until_s=3.0)), 4.0)
    during = [at_ns for at_ns, data in left if data and 2.0 <= (at_ns - START_NS) / NS_PER_S < 3.0]
    burst = [data for at_ns, data in left if at_ns == START_NS + 3 * NS_PER_S]
    assert [] == during
    assert 31 == pytest.approx(len(decoded("healthypi6", burst[0])), abs=1)
    assert 0 == sum(block.lost_before for block in decoded("healthypi6", b"".join(data for _, data in left)))


def test_a_stall_without_an_end_is_silence_for_good() -> None:
    """The box never wakes again in the life of a scan."""
    box = a_box("healthypi6", Fault(kind="stall", at_s=2.0))
    assert 1.9 < (run(box, 10.0)[-1][0] - START_NS) / NS_PER_S < 2.0


def test_garbage_yields_no_sample_and_the_decoder_comes_back() -> None:
    """Half frames and noise from 2 to 3 s lose that second and nothing else."""
    data = b"".join(piece for _, piece in run(a_box("healthypi6", Fault(kind="garbage", at_s=2.0, until_s=3.0)), 5.0))
    decoder = FRONTENDS["healthypi6"].decoder()
    blocks = decoder.feed(data)
    assert 500 == pytest.approx(sum(block.lost_before for block in blocks), abs=32)
    assert decoder.faults.skipped_bytes > 5_000


def test_an_unplugged_box_gives_no_more_bytes_and_asks_for_no_wake_up() -> None:
    """After the plug was pulled nothing is due any more."""
    box = a_box("healthypi6", Fault(kind="unplug", at_s=2.0))
    assert (run(box, 10.0)[-1][0] - START_NS) / NS_PER_S < 2.0
    assert box.wake_at_ns is None
    assert b"" == box.wake(START_NS + 9 * NS_PER_S)
    assert START_NS + 2 * NS_PER_S == box.unplugged_at_ns


def test_a_source_with_other_leads_is_refused() -> None:
    """A box cannot send leads that it does not have."""
    with pytest.raises(ValueError, match="AD8232"):
        EcgBox(a_box()._source, FRONTENDS["ad8232"], Box(), (), START_NS)
