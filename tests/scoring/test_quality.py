"""What is measured in the images, what it means for the number, and the true phases that a journal knows."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gating.messages import Beat, ExposureReport
from scoring.gating_quality import TrueBeat, gating_of
from scoring.io.errors import SeriesError
from scoring.io.html import render
from scoring.io.journal_in import read_beats
from scoring.io.scored_series import told_of
from scoring.io.words import headline, quality_rows
from scoring.lesions import Labels
from scoring.person import Person
from scoring.quality import Measured, Region, quality_of
from scoring.report import make_report
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Cardiac, Refusal, SliceRecord, Volume, build_volume


def _measured(noise: float = 15.0, aorta: float = 45.0, pool: float = 45.0, cut: bool = False) -> Measured:
    region = Region(mean_hu=aorta, sd_hu=noise, pixels=500)
    pool_region = Region(mean_hu=pool, sd_hu=noise, pixels=900)
    return Measured(aorta=region, blood_pool=pool_region, coverage="incomplete" if cut else "complete")


def _bright(where: str, mean_hu: float) -> Measured:
    return _measured(aorta=mean_hu) if where == "aorta" else _measured(pool=mean_hu)


def _score(volume: Volume, labels: Labels, measured: Measured, **more: object) -> Score | Refusal:
    return score_volume(volume, labels, ScoreSettings(**more), measured=measured)  # type: ignore[arg-type]  # the tests name real fields


@pytest.mark.parametrize("where", ["aorta", "pool"])
def test_bright_blood_is_refused(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels], where: str
) -> None:
    """More than 100 HU in aorta or blood pool is contrast agent, whatever the tag says; 100 HU is not."""
    volume = make_volume()
    refused = _score(volume, whole_map(volume), _bright(where, 100.5))
    assert isinstance(refused, Refusal)
    assert "contrast agent" in refused.reasons[0]
    assert isinstance(_score(volume, whole_map(volume), _bright(where, 100.0)), Score)
    declared = _score(volume, whole_map(volume), _bright(where, 300.0), contrast_check="tag-only")
    assert isinstance(declared, Score)
    assert any("by the tag only, as the settings ask" in note for note in declared.notes)


def test_a_heart_that_is_cut_gets_no_class(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """The score stands as a lower bound; class and CAC-DRS do not."""
    volume = make_volume((1, 2, 4, 2, 4, 300.0))
    score = _score(volume, whole_map(volume), _measured(cut=True))
    assert isinstance(score, Score)
    assert (12.0, None, None) == (score.agatston["total"], score.category, score.cac_drs)
    assert any("Incomplete coverage" in note for note in score.notes)


def test_what_rests_on_a_class_does_not_stand_for_a_heart_that_is_cut(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """No way to the next class, no chance of another one, no class by any definition, no percentile, age or risk."""
    volume = make_volume((1, 2, 4, 2, 4, 300.0))
    labels = whole_map(volume)
    score = _score(volume, labels, _measured(cut=True))
    report = make_report(score, volume, labels, version="1")
    assert report.score.total is not None
    assert (None, None, None) == (report.category, report.margin, report.uncertainty)
    assert [None] * 5 == [row.category for row in report.by_definition]
    assert "Agatston 12, a lower bound without a class: the heart is cut." == headline(report)
    means = told_of(report, Person(age_years=60.0, sex="M", group="white")).standing
    assert means is not None
    assert (None, None, None) == (means.band, means.arterial_age_years, means.risk)
    assert "The heart is cut" in means.reasons[0]
    assert "lower bound" in render(report, score, volume)


def test_a_person_who_sees_the_heart_whole_gives_the_score_its_class(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """The declaration is a setting, so that it is printed with the number; what the images say stays beside it."""
    volume = make_volume((1, 2, 4, 2, 4, 300.0))
    score = _score(volume, whole_map(volume), _measured(cut=True), coverage_check="person")
    assert isinstance(score, Score)
    assert (12.0, "11-100") == (score.agatston["total"], score.category)
    assert any("A person has seen the whole heart" in note for note in score.notes)
    assert not any("Incomplete coverage" in note for note in score.notes)


@pytest.mark.parametrize(
    ("noise", "size", "noisy", "uncertain"),
    [(20.0, 2, False, False), (20.5, 2, True, False), (23.5, 2, True, True), (23.5, 9, True, False)],
)
def test_noise_is_told_and_a_small_score_in_it_is_uncertain(
    make_volume: Callable[..., Volume],
    whole_map: Callable[..., Labels],
    noise: float,
    size: int,
    noisy: bool,
    uncertain: bool,
) -> None:
    """Above 20 HU there is a warning; above 23 HU a positive score of ten or less is called uncertain."""
    volume = make_volume((1, 2, size, 2, size, 150.0))
    score = _score(volume, whole_map(volume), _measured(noise=noise))
    assert isinstance(score, Score)
    assert noisy == any("noise alone can reach 130 HU" in note for note in score.notes)
    assert uncertain == any("uncertain" in note for note in score.notes)


def _tagged(make_records: Callable[..., list[SliceRecord]], percents: list[float | None]) -> Volume:
    """Make slices of which each was exposed in an exposure of its own."""
    changes = {
        index: {"cardiac": Cardiac(acquisition=index + 1, phase_percent=percent, rr_interval_ms=percent and 1000.0)}
        for index, percent in enumerate(percents)
    }
    volume = build_volume(make_records(slices=len(percents), changes=changes))
    assert isinstance(volume, Volume)
    return volume


def test_planned_and_true_phase_stand_side_by_side(make_records: Callable[..., list[SliceRecord]]) -> None:
    """Planned 70 % of 1000 ms; the beats came after 1000 and 875 ms: 70 and 80 %, 10 points off at most."""
    volume = _tagged(make_records, [70.0, 70.0, None])
    gating = gating_of(volume, {1: TrueBeat(700.0, 1000.0), 2: TrueBeat(700.0, 875.0)})
    assert gating is not None
    assert [70.0, 80.0, None] == [one.true_percent for one in gating.slices]
    assert (10.0, 5.0) == (gating.worst_error_percent, gating.mean_error_percent)
    assert (1, (60.0, 60.0), (70.0, 70.0)) == (gating.untagged, gating.heart_rate_bpm, gating.planned_percent)


def test_without_tags_and_journal_nothing_is_said(make_volume: Callable[..., Volume]) -> None:
    """A series that knows nothing of beats has no gating quality, and the block says so."""
    volume = make_volume()
    assert gating_of(volume) is None
    quality = quality_of(volume, _measured(), None, ScoreSettings())
    assert ("Gating", "the images say nothing of the beats") in quality_rows(quality)


def _beat(number: int, r_at_ms: int) -> Beat:
    return Beat(
        number=number,
        stage="confirmed",
        r_at_ns=r_at_ms * 1_000_000,
        uncertainty_ns=0,
        beat_kind="normal",
        confidence=1.0,
        lead="II",
        rr_interval_ms=None,
        sample_arrived_at_ns=0,
        decided_at_ns=0,
    )


def _exposure(step: int, beat: int, opened_ms: int, attempt: int = 1) -> ExposureReport:
    return ExposureReport(
        session="s",
        sequence=1,
        beat=beat,
        step=step,
        attempt=attempt,
        outcome="exposed",
        reasons=(),
        planned_open_at_ns=0,
        planned_close_at_ns=0,
        opened_at_ns=opened_ms * 1_000_000,
        closed_at_ns=(opened_ms + 200) * 1_000_000,
        table_mm=None,
        start_angle_deg=None,
        at_ns=0,
    )


def _journal(path: Path, heard: list[ExposureReport], sent: list[Beat]) -> Path:
    """Write a journal as the gate does: a head, then calls with what was heard and sent."""
    lines = [b'{"format":"diastole-journal/1"}']
    lines += [msgspec.json.encode({"call": "hear", "now_ns": 0, "message": message}) for message in heard]
    lines.append(msgspec.json.encode({"call": "wake", "now_ns": 0, "out": sent}))
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_a_journal_gives_the_true_beat_of_each_exposure(tmp_path: Path) -> None:
    """The last attempt of a step counts; an exposure after the last beat has no true phase."""
    heard = [_exposure(0, 1, 1500), _exposure(0, 2, 2600, attempt=2), _exposure(1, 3, 3700)]
    beats = read_beats(_journal(tmp_path / "journal.jsonl", heard, [_beat(1, 1000), _beat(2, 2000), _beat(3, 3100)]))
    assert {1: TrueBeat(700.0, 1100.0)} == beats


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"format":"diastole-journal/1"}\n{broken\n'])
def test_what_is_no_journal_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """An empty, foreign or damaged file is named with a cure."""
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(SeriesError, match=r"other\.jsonl"):
        read_beats(path)
    with pytest.raises(SeriesError, match="cannot be read"):
        read_beats(tmp_path / "absent.jsonl")
