"""Which slices make one regular volume, and which are refused with what reason."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scoring.lesions import Labels
from scoring.score import ScanFacts, Score, score_volume
from scoring.volume import Refusal, SliceRecord, Volume, axial_volume, build_volume

BLOCKS = [(1, 5, 2, 5, 2, 250.0), (2, 5, 2, 5, 3, 410.0)]  # 4 pixels x 2 + 6 x 4 = 32, times 0.25 mm2 = 8


def _total(volume: Volume | Refusal, whole_map: Callable[..., Labels]) -> float | None:
    """Agatston total with the whole volume given to one vessel."""
    assert isinstance(volume, Volume)
    score = score_volume(volume, whole_map(volume))
    assert isinstance(score, Score)
    return score.agatston["total"]


def test_a_plain_series_becomes_a_volume(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """Sorted, rescaled, with the increment from the positions; the thickness tag plays no part."""
    volume = build_volume(make_records(*BLOCKS, thickness_mm=2.5))
    assert isinstance(volume, Volume)
    assert (3.0, 0.25, 120.0, 2.5) == (volume.increment_mm, volume.pixel_area_mm2, volume.kvp, volume.thickness_mm)
    assert [100.0 + 3.0 * index for index in range(6)] == list(volume.positions_mm)
    assert (40.0, 410.0) == (volume.hu[0, 0, 0], volume.hu.max())
    assert () == volume.notes
    assert _total(volume, whole_map) == 8.0


def test_the_order_of_the_files_plays_no_part(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """All orders of a short series give the same array and score."""
    records = make_records(*BLOCKS, slices=4)
    first = build_volume(records)
    assert isinstance(first, Volume)
    for shuffled in itertools.permutations(records):
        volume = build_volume(shuffled)
        assert isinstance(volume, Volume)
        assert np.array_equal(first.hu, volume.hu)
        assert _total(volume, whole_map) == 8.0


def test_each_file_has_its_own_rescale(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """Slice 1 is stored doubled, slice 2 with a slope of a half: the HU and the score are the same."""
    records = make_records(*BLOCKS)
    plain = build_volume(records)
    stored = [record.stored for record in records]
    changes = {
        1: {"stored": (stored[1].astype(np.int32) - 1024) // 2, "slope": 2.0, "intercept": 0.0},
        2: {"stored": stored[2].astype(np.int32) * 2, "slope": 0.5, "intercept": -1024.0},
    }
    volume = build_volume(make_records(*BLOCKS, changes=changes))
    assert isinstance(volume, Volume)
    assert isinstance(plain, Volume)
    assert np.array_equal(plain.hu, volume.hu)
    assert _total(volume, whole_map) == 8.0


def test_hounsfield_units_are_not_rounded(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """A slope of 0.1 gives 129.9 HU, which stays below the threshold, and 199.5 HU, which stays weight 1."""
    stored = np.full((16, 16), 400, dtype=np.int16)
    stored[2:4, 2:4], stored[8:10, 8:10] = 1299, 1995
    changes = {1: {"stored": stored, "slope": 0.1, "intercept": 0.0}}
    assert _total(build_volume(make_records(changes=changes)), whole_map) == 1.0


def test_padding_is_never_calcium(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """Pixels outside the reconstructed field lie at minus infinity, whatever number stands for them."""
    stored = make_records()[1].stored.copy()
    stored[:4] = 32000
    volume = build_volume(make_records(*BLOCKS[1:], changes={1: {"stored": stored}}, padding=32000))
    assert _total(volume, whole_map) == 6.0


def test_a_byte_identical_duplicate_is_dropped_with_a_note(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """The same file twice under two names counts once, and the reader is told."""
    records = make_records(*BLOCKS)
    twin = make_records(*BLOCKS, changes={2: {"name": "copy.dcm"}})[2]
    volume = build_volume([twin, *records])
    assert isinstance(volume, Volume)
    assert "1 byte-identical duplicate(s) dropped" in volume.notes[0]
    assert _total(volume, whole_map) == 8.0


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_missing_slice_is_refused(make_records: Callable[..., list[SliceRecord]], missing: int) -> None:
    """A gap is never averaged away; the reason says where it is."""
    records = make_records(*BLOCKS)
    del records[missing]
    refused = build_volume(records)
    assert isinstance(refused, Refusal)
    assert f"{100 + 3 * (missing - 1)} to {100 + 3 * (missing + 1)} mm" in refused.reasons[0]


def test_every_second_slice_missing_is_refused(make_records: Callable[..., list[SliceRecord]]) -> None:
    """Even gaps of 6 mm between slices of 3 mm are no stack either."""
    refused = build_volume(make_records(*BLOCKS)[::2])
    assert isinstance(refused, Refusal)
    assert "do not touch" in refused.reasons[0]


def test_two_different_images_at_one_position_are_refused(make_records: Callable[..., list[SliceRecord]]) -> None:
    """Two reconstructions of one series cannot be told apart, so neither is chosen."""
    other = make_records(changes={2: {"name": "other.dcm", "digest": "another"}})[2]
    refused = build_volume([*make_records(*BLOCKS), other])
    assert isinstance(refused, Refusal)
    assert "Two different images lie at one position, 106 mm (002.dcm, other.dcm)" in refused.reasons[0]


TILT_2_DEG = (1.0, 0.0, 0.0, 0.0, float(np.cos(np.radians(2))), float(np.sin(np.radians(2))))
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    # name, what is common to all slices, what differs in slice 3, words of the reason
    ("two series", {}, {"series_uid": "9.9"}, "second series"),
    ("two frames of reference", {}, {"frame_uid": "9.9"}, "another frame of reference"),
    ("other rows", {}, {"stored": np.zeros((8, 16), dtype=np.int16)}, "rows or columns"),
    ("other spacing", {}, {"row_mm": 0.6}, "pixel spacing"),
    ("other orientation", {}, {"orientation": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)}, "another orientation"),
    ("other kV", {}, {"kvp": 100.0}, "another kV"),
    ("kV missing in one", {}, {"kvp": None}, "another kV"),
    ("no slope in one", {}, {"slope": None}, "No rescale"),
    ("no intercept", {"intercept": None}, {}, "No rescale"),
    ("slope of zero", {"slope": 0.0}, {}, "No rescale"),
    ("not HU", {"rescale_type": "US"}, {}, "not HU"),
    ("MR", {"modality": "MR"}, {}, "Not CT but MR"),
    ("tilted by 2 degrees", {"orientation": TILT_2_DEG}, {}, "tilted by 2.0 degrees"),
    ("coronal", {"orientation": CORONAL}, {}, "Not axial"),
    ("field of view moved", {}, {"position_mm": (-45.0, -60.0, 109.0)}, "do not lie above each other"),
]


@pytest.mark.parametrize(("common", "third", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_an_irregular_series_is_refused(
    make_records: Callable[..., list[SliceRecord]], common: dict[str, Any], third: dict[str, Any], words: str
) -> None:
    """One odd slice is enough, and the reason says what is odd."""
    refused = build_volume(make_records(*BLOCKS, changes={3: third}, **common))
    assert isinstance(refused, Refusal)
    assert any(words in reason for reason in refused.reasons)


def test_all_reasons_are_given_at_once(make_records: Callable[..., list[SliceRecord]]) -> None:
    """Who mends a series wants the whole list, and the odd file by name."""
    refused = build_volume(make_records(changes={3: {"kvp": 80.0, "series_uid": "9", "slope": None}}))
    assert isinstance(refused, Refusal)
    assert len(refused.reasons) == 3
    assert all("003.dcm" in reason for reason in refused.reasons)


@pytest.mark.parametrize("count", [0, 1])
def test_a_series_without_an_increment_is_refused(make_records: Callable[..., list[SliceRecord]], count: int) -> None:
    """No slice has no score, and one slice has no increment."""
    assert isinstance(build_volume(make_records()[:count]), Refusal)


def test_a_tilt_below_one_degree_is_scored(make_records: Callable[..., list[SliceRecord]]) -> None:
    """Half a degree changes the increment by 0.004 %: 3 mm along the patient become 2.99989 mm along the normal."""
    angle = np.radians(0.5)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))
    volume = build_volume(make_records(*BLOCKS, orientation=orientation))
    assert isinstance(volume, Volume)
    assert pytest.approx(3.0 * np.cos(angle)) == volume.increment_mm


def test_the_increment_comes_from_positions_not_from_the_thickness(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """Slices of 3 mm every 1.5 mm score half of what slices every 3 mm do."""
    changes = {index: {"position_mm": (-50.0, -60.0, 100.0 + 1.5 * index)} for index in range(6)}
    assert _total(build_volume(make_records(*BLOCKS, changes=changes)), whole_map) == 4.0


def test_a_contrast_agent_is_refused(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """Bright blood would be scored as calcium."""
    volume = build_volume(make_records(*BLOCKS, contrast_agent="IOHEXOL"))
    assert isinstance(volume, Volume)
    refused = score_volume(volume, whole_map(volume))
    assert isinstance(refused, Refusal)
    assert "contrast agent" in refused.reasons[0]


def test_an_incomplete_scan_has_no_total_but_lists_what_was_seen(
    make_records: Callable[..., list[SliceRecord]], whole_map: Callable[..., Labels]
) -> None:
    """Slabs missing by the scan's own word: the gap is a note, lesions are listed, there is no number."""
    records = make_records(*BLOCKS, (4, 5, 2, 5, 2, 410.0))
    del records[3]
    assert isinstance(build_volume(records), Refusal)
    volume = build_volume(records, missing_allowed=True)
    assert isinstance(volume, Volume)
    score = score_volume(volume, whole_map(volume), scan=ScanFacts(complete=False, simulated=True))
    assert isinstance(score, Score)
    assert score.agatston["total"] is None
    assert "Incomplete scan: slabs missing" in score.reasons[0]
    assert [2, 1] == [len(lesion.islands) for lesion in score.lesions], "no lesion is joined across the gap"
    assert isinstance(score_volume(volume, whole_map(volume)), Refusal), "without the scan's word the gap refuses"


@pytest.mark.parametrize(
    ("facts", "whole"),
    [
        (ScanFacts(complete=True), True),
        (ScanFacts(complete=False), False),
        (ScanFacts(complete=True, steps_exposed=(0, 1, 2, 3), steps_planned=4), True),
        (ScanFacts(complete=True, steps_exposed=(0, 1, 1, 3), steps_planned=4), False),
        (ScanFacts(complete=False, steps_exposed=(0, 1, 2, 3), steps_planned=4), False),
    ],
)
def test_a_scan_is_whole_only_when_both_accounts_agree(facts: ScanFacts, whole: bool) -> None:
    """The flag and the list of steps are both believed when they say that something is missing."""
    assert whole == facts.whole


def test_two_breath_holds_are_told() -> None:
    """A scan that was resumed says so beside its score."""
    volume = axial_volume(np.full((3, 8, 8), 40.0), row_mm=0.5, column_mm=0.5, z_mm=[0.0, 3.0, 6.0])
    labels = Labels(np.ones((3, 8, 8), dtype=np.uint8))
    score = score_volume(volume, labels, scan=ScanFacts(complete=True, breath_holds=2, notes=("Slab 2 twice.",)))
    assert isinstance(score, Score)
    assert ("Acquired in 2 breath-holds.", "Slab 2 twice.") == score.notes[-2:]


def test_arrays_that_do_not_fit_are_the_callers_slip() -> None:
    """A volume cannot be built from arrays of different lengths, nor from falling positions."""
    with pytest.raises(ValueError, match="do not fit"):
        axial_volume(np.zeros((3, 4, 4)), row_mm=1, column_mm=1, z_mm=[0.0, 3.0])
    with pytest.raises(ValueError, match="ascend"):
        axial_volume(np.zeros((2, 4, 4)), row_mm=1, column_mm=1, z_mm=[3.0, 0.0])
