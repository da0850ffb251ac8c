"""Rules that propose coronary candidates: each artery in its place, each exclusion by its own reason, doubts told."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pydicom.dataset import FileDataset

import diastole
from scoring.candidates import CandidateFinder, Proposal
from scoring.coronary_finder import SURE, Proposed, RuleFinder, propose
from scoring.io.receiver.records import DraftJob
from scoring.io.receiver.scorer import draft
from scoring.islands import find_islands
from scoring.lesions import find_lesions
from scoring.round_vessels import NotFound
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Volume, axial_volume
from tests.references.thoraces import Build, Dense, Field, paint, stretch

SETTINGS = ScoreSettings()
HERE = Field(slices=46)
USUAL = Build(noise_hu=12.0)
SMALL = (2.2, 2.2, 2.2)


@cache
def volume_with(*dense: Dense) -> Volume:
    """Paint the usual body with some dense things."""
    return paint(replace(USUAL, dense=dense), HERE, 1).volume


def proposed(volume: Volume) -> tuple[Proposal, ...]:
    """Propose for all lesions of a volume."""
    lesions = find_lesions(volume, find_islands(volume, SETTINGS), None, SETTINGS)
    proposals = RuleFinder().propose(volume, lesions, SETTINGS)
    assert tuple(one.lesion for one in proposals) == lesions, "one for each, in their order"
    return proposals


def of_thing(dense: Dense, volume: Volume | None = None) -> Proposal:
    """Give the proposal for the lesion nearest to a dense thing."""

    def away(one: Proposal) -> float:
        return float(np.linalg.norm(np.subtract(one.lesion.centre_mm, dense.centre_mm)))

    nearest = min(proposed(volume or volume_with(dense)), key=away)
    assert away(nearest) < 5.0, "the thing is a lesion"
    return nearest


PLACES = [
    ("LM", 0.5), ("LAD", 0.25), ("LAD", 0.5), ("LAD", 0.8), ("LCX", 0.3), ("LCX", 0.7), ("RCA", 0.15), ("RCA", 0.4),
    ("RCA", 0.8),
]  # fmt: skip


@pytest.mark.parametrize(("vessel", "along"), PLACES)
def test_calcium_on_an_artery_is_proposed_for_it(vessel: str, along: float) -> None:
    """A plaque of 700 HU on each artery, at its beginning, middle and end."""
    proposal = of_thing(Dense(vessel, USUAL.course(vessel, along), SMALL, 700.0))
    assert proposal.vessel == vessel
    assert proposal.confidence > 0.3
    assert vessel in proposal.why


AORTA = USUAL.aorta_mm
ROOT_HIGH = USUAL.place((-14.0, -2.0, 46.0))
EXCLUDED = {
    "aortic valve": (Dense("aortic valve", USUAL.place((-14.0, -2.0, 10.0)), SMALL, 800.0), "deep in blood"),
    "mitral ring": (Dense("mitral annulus", USUAL.place((-15.0, 13.0, -10.0)), SMALL, 800.0), "ring of a valve"),
    "mitral ring, in fat": (Dense("mitral annulus", USUAL.place((-14.0, 2.0, -2.0)), SMALL, 800.0), "In the middle"),
    "bulging wall of the descending aorta": (
        Dense("descending wall", (AORTA[0] - 2.0, AORTA[1] - 15.5, 0.0), (2.5, 1.8, 4.0), 800.0),
        "On the circle of the descending aorta",
    ),
    "wall of the descending aorta": (
        Dense("descending wall", (AORTA[0] + 12.0, AORTA[1], 0.0), (1.4, 2.0, 5.0), 900.0),
        "descending aorta",
    ),
    "wall of the ascending aorta": (
        Dense("ascending wall", (ROOT_HIGH[0] + 14.0, ROOT_HIGH[1], ROOT_HIGH[2]), (1.6, 2.0, 4.0), 900.0),
        "ascending aorta",
    ),
    "metal": (Dense("lead", USUAL.course("RCA", 0.4), (2.0, 2.0, 3.0), 6000.0), "metal"),
    "node behind the heart": (Dense("node", (4.0, USUAL.spine_mm[1] - 30.0, 20.0), SMALL, 700.0), "heart and spine"),
    "nodule in the lung": (Dense("nodule", (-80.0, 0.0, 10.0), (3.0, 3.0, 3.0), 700.0), "Outside the heart"),
}


@pytest.mark.parametrize("what", EXCLUDED)
def test_what_is_no_coronary_calcium_is_left_out_for_its_own_reason(what: str) -> None:
    """No vessel, and the words name the rule: each case passes by one rule only."""
    dense, words = EXCLUDED[what]
    proposal = of_thing(dense)
    assert proposal.vessel is None
    assert words in proposal.why
    assert proposal.confidence > 0.0


def test_a_nodule_that_touches_the_heart_is_known_by_the_lung_around_it() -> None:
    """Half of it inside the heart's rim, but air on most sides."""
    volume = volume_with()
    row = round((10.0 - float(volume.corners_mm[0, 1])) / volume.row_mm)
    page = volume.hu[23, row]
    middle = int((10.0 - volume.corners_mm[0, 0]) / volume.column_mm)
    edge = middle + int(np.flatnonzero(page[middle:] < -600.0)[0])
    hu = volume.hu.copy()
    hu[22:25, row : row + 2, edge - 1 : edge + 1] = 600.0
    hu[22:25, row - 6 : row + 8, edge + 1 : edge + 8] = -850.0
    hu[22:25, row - 6 : row, edge - 3 : edge + 8] = -850.0
    hu[22:25, row + 2 : row + 8, edge - 3 : edge + 8] = -850.0
    at = volume.to_patient_mm(23, row + 0.5, edge - 0.5)
    proposal = of_thing(Dense("nodule", at, SMALL, 600.0), replace(volume, hu=hu))
    assert proposal.vessel is None
    assert "Lung" in proposal.why


def test_ribs_sternum_and_spine_are_left_out() -> None:
    """A body without any calcium has many lesions of bone; none is proposed."""
    proposals = proposed(volume_with())
    assert len(proposals) >= 5
    assert {None} == {one.vessel for one in proposals}
    assert all("Outside the heart" in one.why for one in proposals)


def _with_speck(build: Build, at: tuple[float, float, float]) -> Volume:
    """Set one pixel of 1.4 mm2 to 133 HU, in noise of 20 HU."""
    volume = paint(replace(build, noise_hu=20.0), replace(HERE, matrix=200), 1).volume
    hu = volume.hu.copy()
    n = int(np.abs(volume.positions_mm - at[2]).argmin())
    row = round((at[1] - float(volume.corners_mm[0, 1])) / volume.row_mm)
    column = round((at[0] - float(volume.corners_mm[0, 0])) / volume.column_mm)
    hu[n, row, column] = 133.0
    return replace(volume, hu=hu)


def test_a_speck_no_higher_than_noise_is_left_out() -> None:
    """In the muscle of the heart 133 HU are what noise reaches."""
    at = USUAL.place((20.0, 14.0, -6.0))
    proposal = of_thing(Dense("LCX", at, SMALL, 133.0), _with_speck(USUAL, at))
    assert proposal.vessel is None
    assert "noise" in proposal.why


def test_the_same_speck_in_fat_is_proposed() -> None:
    """There 133 HU stand far above noise: a small plaque."""
    at = USUAL.course("LAD", 0.6)
    speck = _with_speck(replace(USUAL, sheath_mm=5.0), at)
    assert of_thing(Dense("LAD", at, SMALL, 133.0), speck).vessel == "LAD"


def test_what_may_be_a_stent_is_proposed_in_doubt() -> None:
    """A long even rod of 1000 HU may be a plaque: proposed, with low confidence and the word."""
    rod = stretch(USUAL, "LAD", list(np.arange(0.35, 0.55, 0.02)), 1.8, 1100.0)
    proposal = of_thing(rod[5], volume_with(*rod))
    assert proposal.vessel == "LAD"
    assert proposal.confidence < SURE
    assert "stent" in proposal.why


def test_a_lesion_that_reaches_from_one_artery_into_another_is_proposed_in_doubt() -> None:
    """From the left main down the circumflex: one vessel, the other is named, the confidence is lower."""
    rod = (
        *stretch(USUAL, "LM", [0.5, 0.75, 1.0], 2.2, 500.0),
        *stretch(USUAL, "LCX", list(np.arange(0.0, 0.4, 0.05)), 2.2, 500.0),
    )
    touching = [one for one in proposed(volume_with(*rod)) if one.vessel is not None]
    assert len(touching) == 1
    assert "reaches into" in touching[0].why
    assert touching[0].confidence < SURE


def test_proposals_do_not_depend_on_how_a_volume_is_stored() -> None:
    """Rows for columns and head for feet: the same vessels, confidences and words, lesion by lesion."""
    volume = volume_with(*(Dense(one, USUAL.course(one, 0.5), SMALL, 700.0) for one in ("LM", "LAD", "LCX", "RCA")))
    other = replace(
        volume,
        hu=np.array(volume.hu.swapaxes(1, 2)[::-1], dtype=np.float32),
        positions_mm=-volume.positions_mm[::-1],
        corners_mm=volume.corners_mm[::-1],
        orientation=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0),
    )

    def told(of: Volume) -> list[tuple[object, ...]]:
        return sorted((one.lesion.pixels, str(one.vessel), one.confidence, one.why) for one in proposed(of))

    assert told(volume) == told(other)


def test_the_rules_are_a_candidate_finder() -> None:
    """They stand behind the Protocol, so that a site's own model may take their place."""
    finder: CandidateFinder = RuleFinder()
    assert finder.name == "rules 1"


NOTHING = axial_volume(np.full((20, 64, 64), 200.0), row_mm=2.0, column_mm=2.0, z_mm=3.0 * np.arange(20.0))


def test_without_landmarks_nothing_is_judged_and_no_map_is_made() -> None:
    """Confidence 0 with the reason; and no empty map, which would be a false zero."""
    proposals = proposed(NOTHING)
    assert [(None, 0.0)] == [(one.vessel, one.confidence) for one in proposals]
    assert "Not judged" in proposals[0].why
    outcome = propose(NOTHING, SETTINGS)
    assert isinstance(outcome, NotFound)
    assert "lungs" in outcome.reasons[0]


def test_a_draft_scores_what_was_proposed_and_says_so() -> None:
    """The map carries the plaques and not the valve; its origin and notes say that no person has looked."""
    plaque = Dense("RCA", USUAL.course("RCA", 0.4), SMALL, 700.0)
    volume = volume_with(plaque, EXCLUDED["aortic valve"][0])
    alone = volume_with(plaque)
    both, one = propose(volume, SETTINGS), propose(alone, SETTINGS)
    assert isinstance(both, Proposed)
    assert isinstance(one, Proposed)
    assert "PROPOSED by rules 1, not reviewed by a person." in both.labels.notes
    outcome = score_volume(volume, both.labels, SETTINGS)
    expected = score_volume(alone, one.labels, SETTINGS)
    assert isinstance(outcome, Score)
    assert isinstance(expected, Score)
    assert outcome.agatston["RCA"] == expected.agatston["RCA"] == outcome.agatston["total"]
    assert float(outcome.agatston["RCA"] or 0.0) > 0.0


def _write(folder: Path, volume: Volume, ct_slice: Callable[..., FileDataset]) -> None:
    """Write a volume as DICOM slices."""
    folder.mkdir()
    for number, (page, corner) in enumerate(zip(volume.hu, volume.corners_mm, strict=True), 1):
        dataset = ct_slice(
            page,
            float(corner[2]),
            number,
            ImagePositionPatient=[float(value) for value in corner],
            PixelSpacing=[volume.row_mm, volume.column_mm],
        )
        dataset.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)


def test_the_command_proposes_a_draft(
    tmp_path: Path, ct_slice: Callable[..., FileDataset], capfd: pytest.CaptureFixture[str]
) -> None:
    """`diastole score --propose` scores without a map, says PROPOSED, and leaves a draft."""
    _write(tmp_path / "slices", volume_with(Dense("LAD", USUAL.course("LAD", 0.4), SMALL, 700.0)), ct_slice)
    assert diastole.main(["score", str(tmp_path / "slices"), "--propose", "--out", str(tmp_path / "out")]) == 0
    assert "PROPOSED by rules 1, not reviewed by a person" in capfd.readouterr().out
    found = json.loads((tmp_path / "out" / "score.json").read_bytes())
    assert found["review"]["state"] == "draft"
    assert found["score"]["by_vessel"]["LAD"]["agatston"] == found["score"]["total"]["agatston"] > 0.0
    assert found["provenance"]["vessel_map"] == "proposed by rules 1, not reviewed"


def test_the_command_gives_no_total_where_nothing_can_be_judged(
    tmp_path: Path, ct_slice: Callable[..., FileDataset], capfd: pytest.CaptureFixture[str]
) -> None:
    """No chest: exit 1, no total, and the reason; never a zero."""
    _write(tmp_path / "slices", NOTHING, ct_slice)
    assert diastole.main(["score", str(tmp_path / "slices"), "--propose"]) == 1
    told = capfd.readouterr()
    assert "No total." in told.out
    assert "Nothing was proposed: No lungs are seen" in told.err


def test_a_received_series_is_drafted_as_the_command_drafts_it(
    tmp_path: Path, ct_slice: Callable[..., FileDataset]
) -> None:
    """The same rules, landmarks and refusals: the child of the receiver gives the score of `--propose`."""
    _write(tmp_path / "slices", volume_with(Dense("LAD", USUAL.course("LAD", 0.4), SMALL, 700.0)), ct_slice)
    job = DraftJob(
        slices=str(tmp_path / "slices"),
        results=str(tmp_path / "results"),
        vessel_map=None,
        settings=msgspec.json.encode(SETTINGS),
    )
    (tmp_path / "results").mkdir()
    assert "scored" == draft(job).state
    received = json.loads((tmp_path / "results" / "revision-0001" / "score.json").read_bytes())
    assert diastole.main(["score", str(tmp_path / "slices"), "--propose", "--out", str(tmp_path / "out")]) == 0
    commanded = json.loads((tmp_path / "out" / "score.json").read_bytes())
    assert commanded["score"] == received["score"]
    assert commanded["quality"] == received["quality"]
    assert received["quality"]["measured"]["aorta"] is not None


def test_the_command_takes_a_map_or_proposes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Both at once is refused by name."""
    assert diastole.main(["score", str(tmp_path), "--propose", "--labels", "x.dcm"]) == 2
    assert "--propose makes the map itself" in capfd.readouterr().err
