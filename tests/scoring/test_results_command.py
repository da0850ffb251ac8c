"""Site file, orders and `score --results`: what is typed wrongly is named, with exit code 2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import diastole
from gating.settings import parse_site
from scoring.io.revisions import read_report, revisions
from scoring.io.worklist import Order, check_order
from tests.scoring.result_cases import site_file

BLOCKS = [(1, 5, 2, 5, 2, 250.0)]


def _send(result: Path, site: Path) -> int:
    """Send as a user does."""
    return diastole.main(["send", str(result), "--peer", "archive", "--site", str(site)])


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ({}, "has no [scoring.peers.archive]; it knows: none."),
        ({"other": {"host": "x"}}, "it knows: other."),
        ({"archive": {"host": "x", "url": "y"}}, "either `host` (with `port`) or `url`"),
        ({"archive": {"port": 104}}, "either `host` (with `port`) or `url`"),
        ({"archive": {"host": "x", "aet": "y"}}, "aet"),
        ({"archive": {"host": "x", "called_ae": "A" * 17}}, "called_ae"),
        ({"archive": {"host": "x", "tls_cert_file": "y"}}, "together"),
        ({"archive": {"url": "http://x", "token_file": "y"}}, "https"),
    ],
)
def test_a_wrong_site_file_is_exit_code_two(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], peers: dict[str, Any], words: str
) -> None:
    """The sentence names the key; no traceback reaches the user."""
    assert 2 == _send(tmp_path, site_file(tmp_path, **peers))
    told = capfd.readouterr().err
    assert words in told
    assert 1 == told.count("\n")


def test_a_folder_without_a_result_is_exit_code_two(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No revisions, no site file: named with the cure."""
    site = site_file(tmp_path, archive={"host": "x"})
    assert 2 == _send(tmp_path, site)
    assert "holds no result" in capfd.readouterr().err
    assert 2 == _send(tmp_path, tmp_path / "none.toml")
    assert "cannot be read as TOML" in capfd.readouterr().err


def test_an_order_matches_by_what_it_says() -> None:
    """Its own order passes, another patient's is refused, silence of the order is no mismatch, no order is refused."""
    own = Order("P-1", "A-1", "1.2")
    assert check_order(own, [own]) is None
    assert check_order(own, [Order("P-2", "A-1", "1.2"), own]) is None
    assert check_order(own, [Order("P-1", "A-1", "")]) is None
    refused = check_order(own, [Order("P-2", "A-1", "1.2")])
    assert refused is not None
    assert "patient ID" in refused.reasons[0]
    assert check_order(own, []) is not None


def test_score_results_writes_a_draft_revision(
    write_series: Callable[..., Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`--results` leaves all forms; again, the next revision says what it supersedes; without --out exit code 2."""
    slices, out = tmp_path / "slices", tmp_path / "out"
    write_series(slices, *BLOCKS)
    assert 1 == diastole.main(["score", str(slices), "--out", str(out), "--results"])
    assert 1 == diastole.main(["score", str(slices), "--out", str(out), "--results"])
    first, second = revisions(out)
    named = {"score.json", "report.html", "report.pdf", "report.pdf.dcm", "measurements.sr.dcm", "fhir.json"}
    assert named | {"manifest.json"} == {path.name for path in first.iterdir()}
    review = read_report(second).review
    assert review is not None
    assert ("draft", 2) == (review.state, review.revision)
    assert 1 == _send(out, site_file(tmp_path, archive={"host": "x"}))
    assert 2 == diastole.main(["score", str(slices), "--results"])
    assert "--results needs a folder" in capfd.readouterr().err


def test_the_gate_accepts_a_site_file_with_peers() -> None:
    """One site file serves all processes."""
    site = parse_site('site = "ward"\n[scoring.peers.archive]\nhost = "x"\n', "site.toml")
    assert {"peers": {"archive": {"host": "x"}}} == site.scoring
