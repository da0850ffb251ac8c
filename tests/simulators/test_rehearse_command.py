"""`diastole rehearse` as a person types it: figures, forecasts and one advice; what it refuses."""

import json
from pathlib import Path

import pytest

from diastole import main
from gating.messages import RehearsalReport, decode

STORIES: dict[str, tuple[int, str]] = {
    "steady": (0, "GO: 7 beats in a breath-hold of"),
    "rsa": (0, "GO: "),
    "fast": (1, "WAIT: at 76 bpm the heart hardly rests"),
    "af": (0, "GO: "),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_scenario_is_rehearsed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the heart did, a row for each policy that differs, and the advice; WAIT exits with 1."""
    code, expected = STORIES[name]
    assert code == main(["rehearse", name])
    said = capsys.readouterr().out
    assert expected in said
    assert f"{name}, seed 1: held for 18 s; " in said
    assert 1 == said.count(" this site's ")


def test_json_is_the_message_that_the_gate_would_send(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    assert 0 == main(["rehearse", "steady", "--seed", "3", "--json"])
    report = decode(capsys.readouterr().out.encode())
    assert isinstance(report, RehearsalReport)
    assert "go" == report.advice
    assert report.forecast is not None
    assert 1000 == report.forecast.draws


def test_a_sites_policy_and_plan_are_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A site that gates two sources at 40 % is told to change."""
    site = tmp_path / "site.toml"
    site.write_text(
        'site = "lab"\n[gate.window]\npolicy = "percent_rr"\npercent_rr = 40.0\n'
        "[bridge.plan]\nsources = 2\nrotation_ms = 250.0\n",
        encoding="utf-8",
    )
    assert 0 == main(["rehearse", "steady", "--config", str(site), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert ("change", "percent_rr") == (report["advice"], report["forecast"]["policy"])
    assert "least_blur_dose" in report["change_to"]


def test_a_rehearsal_that_told_too_little_exits_with_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It says why, and gives no advice."""
    story = tmp_path / "odd.toml"
    story.write_text('name = "odd"\nstory = "bigeminy"\n[rhythm]\npvc_every_beats = 1.0\n', encoding="utf-8")
    assert 1 == main(["rehearse", str(story)])
    said = capsys.readouterr().out
    assert "the rehearsal told too little" in said
    assert "were ectopic: wait for a quieter rhythm" in said


def test_what_is_no_heart_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """It exits with 2 and lists the scenarios."""
    assert 2 == main(["rehearse", "nobody"])
    assert "no scenario, record or journal 'nobody'" in capsys.readouterr().err
