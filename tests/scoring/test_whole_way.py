"""The whole way of a result: drafted, labelled, cut, confirmed, opened again, corrected, sent to a real archive."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

import diastole
from scoring.io.dicom_in import read_series
from scoring.io.evidence import read_evidence
from scoring.io.labels_in import read_labels
from scoring.io.revisions import read_report, revisions
from scoring.labelling import Cut, Give
from scoring.review.desk import Desk
from scoring.review.opening import Told, open_review
from scoring.score import Score, score_volume
from scoring.volume import Volume
from tests.scoring.enhanced_copy import enhanced_copy
from tests.scoring.orthanc import Archive, archive, why_not

NOW = "2026-03-04T10:11:12+01:00"
# a bar of 6 x 12 pixels of weight 2, and a spot of 4 x 4 of weight 4: 72 x 0.25 x 2 = 36, 16 x 0.25 x 4 = 16
BAR, SPOT = (1, 4, 6, 4, 12, 250.0), (3, 20, 4, 20, 4, 420.0)
BAR_AT, SPOT_AT = (1, 4, 4), (3, 20, 20)


@pytest.fixture
def desk_at() -> Iterator[Callable[[Path], Desk]]:
    """Open a review that is closed after the test."""
    desks: list[Desk] = []

    def desk_at(folder: Path) -> Desk:
        desks.append(Desk(open_review(Told(folder)), lambda: NOW))
        return desks[-1]

    yield desk_at
    for desk in desks:
        desk.close()


@pytest.fixture
def confirmed(tmp_path: Path, write_series: Callable[..., Any], desk_at: Callable[[Path], Desk]) -> Path:
    """Label a series, draft it, cut the bar in two, and confirm it; gives the folder of the result."""
    write_series(tmp_path / "study" / "slices", BAR, SPOT)
    desk = desk_at(tmp_path / "study")
    desk.step(desk.state().number, Give(islands=(BAR_AT,), vessel="LAD"))
    desk.save(desk.state().number, "draft", "", rest_stays=False)
    column = tuple((row, 10) for row in range(4, 10))
    desk.step(desk.state().number, Cut(slice=1, points=column))
    desk.step(desk.state().number, Give(islands=(SPOT_AT,), vessel="RCA"))
    desk.save(desk.state().number, "confirmed", "Dr Ada Žižka", rest_stays=True)
    return tmp_path / "study" / "review"


def test_a_draft_says_what_waits_and_a_confirmation_supersedes_it(confirmed: Path) -> None:
    """The draft's score is so far; the confirmed one has the cut: 66 x 0.25 x 2 = 33 and 16, by name."""
    draft, final = (read_report(one) for one in revisions(confirmed))
    assert draft.draft
    assert any("1 lesion(s) wait for a decision" in note for note in draft.notes)
    assert ("49", "confirmed") == (final.score.shown, final.review and final.review.state)
    assert {"LM": 0.0, "LAD": 33.0, "LCX": 0.0, "RCA": 16.0} == {
        name: part.agatston for name, part in final.score.by_vessel.items()
    }
    assert not any("wait" in note for note in final.notes)
    assert any("drew a cut: 6 pixel(s)" in note for note in final.notes)


def test_the_stored_map_and_settings_score_to_the_same_number(confirmed: Path) -> None:
    """A SEG and `score.json` are enough: cut, vessels and total come back."""
    volume = read_series(confirmed.parent / "slices")
    assert isinstance(volume, Volume)
    final = revisions(confirmed)[-1]
    report = read_report(final)
    again = score_volume(volume, read_labels(final / "vessels.seg.dcm", volume), report.settings)
    assert isinstance(again, Score)
    assert report.score.total is not None
    assert report.score.total.agatston == again.agatston["total"] == 49.0


def test_a_correction_is_a_further_revision(confirmed: Path, desk_at: Callable[[Path], Desk]) -> None:
    """Opened again it shows the same score; what is changed becomes revision 3, and the second stays."""
    before = (revisions(confirmed)[1] / "score.json").read_bytes()
    desk = desk_at(confirmed.parent)
    opened = desk.state().totals.total
    assert opened is not None
    assert "49" == opened.shown
    desk.step(desk.state().number, Give(islands=(SPOT_AT,), vessel=None))
    desk.save(desk.state().number, "confirmed", "Dr Ada", rest_stays=True)
    assert ["49", "33"] == [read_report(one).score.shown for one in revisions(confirmed)[1:]]
    assert before == (revisions(confirmed)[1] / "score.json").read_bytes()


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Archive]:
    """Run a real archive."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with archive(tmp_path / "orthanc") as one:
        yield one


@pytest.mark.parametrize("way", ["C-STORE", "STOW"])
def test_a_real_archive_takes_what_was_confirmed(
    way: str, confirmed: Path, orthanc: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All objects arrive with the patient, study and order of the slices; sent again nothing is doubled."""
    site = tmp_path / "site.toml"
    c_store = f'host = "127.0.0.1"\nport = {orthanc.dicom_port}\ncalled_ae = "{orthanc.ae_title}"'
    stow = f'url = "{orthanc.dicomweb_url}"'
    site.write_text(f"[scoring.peers.archive]\n{c_store if way == 'C-STORE' else stow}\n")
    for _ in range(2):
        assert 0 == diastole.main(["send", str(confirmed), "--peer", "archive", "--site", str(site)])
    assert "Revision 2 is with archive." in capsys.readouterr().out
    first = pydicom.dcmread(confirmed.parent / "slices" / "slice000.dcm")
    taken = orthanc.instances()
    assert ["DOC", "SEG", "SR"] == sorted(one["Modality"] for one in taken)
    assert {(first.PatientID, first.StudyInstanceUID)} == {(one["PatientID"], one["StudyInstanceUID"]) for one in taken}


def test_a_draft_is_never_sent(confirmed: Path, desk_at: Callable[[Path], Desk], tmp_path: Path) -> None:
    """Once the latest revision is a draft again, nothing leaves."""
    desk = desk_at(confirmed.parent)
    desk.step(desk.state().number, Give(islands=(SPOT_AT,), vessel="LM"))
    desk.save(desk.state().number, "draft", "", rest_stays=False)
    site = tmp_path / "site.toml"
    site.write_text('[scoring.peers.archive]\nhost = "127.0.0.1"\nport = 1\n')
    assert 1 == diastole.main(["send", str(confirmed), "--peer", "archive", "--site", str(site)])


def test_a_multi_frame_object_gets_every_form(tmp_path: Path, write_series: Callable[..., Any]) -> None:
    """Each frame is a slice at its own place, for the map, the report and whoever scores again."""
    slices = [(str(index), one) for index, one in enumerate(write_series(tmp_path / "plain", BAR, SPOT))]
    ((_, whole),) = enhanced_copy(slices)
    whole.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    volume = read_series(tmp_path / "enhanced.dcm")
    assert isinstance(volume, Volume)
    headers = read_evidence(tmp_path / "enhanced.dcm", volume)
    assert volume.corners_mm.tolist() == [[float(value) for value in one.ImagePositionPatient] for one in headers]
    arguments = ["score", str(tmp_path / "enhanced.dcm"), "--all-islands", "--results", "--out", str(tmp_path / "case")]
    assert 0 == diastole.main(arguments)
    assert "measurements.sr.dcm" in {path.name for path in revisions(tmp_path / "case")[0].iterdir()}
