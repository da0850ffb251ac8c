"""`diastole receive` as a scanner and an integrator meet it: real processes, real clients."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE

from tests.scoring.receiving import CT, QUICK, ROOT, Line, Node, encoded, send, tool

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
REJECTED, ACCEPTED = 3, 2
CALLED_UNKNOWN, CALLING_UNKNOWN = 7, 3
LIMITS = "[scoring.receiver.limits]\nfaults_per_minute = 1000\n"
CANARIES = ("Secret", "P-1", "1.2.826", "2.25.")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One receiver for this file; each test sends a series of its own."""
    node = Node(tmp_path_factory.mktemp("receiver"), more=LIMITS + QUICK)
    yield node
    assert 0 == node.stop()


@pytest.fixture
def series(ct_slice: Callable[..., Any]) -> Callable[..., list[pydicom.Dataset]]:
    """Make a series of its own: identifiers that no other test uses."""

    def make(slices: int = 6, side: int = 32, **attributes: Any) -> list[pydicom.Dataset]:
        own = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
        made = []
        for index in range(slices):
            hu = np.full((side, side), 40.0)
            hu[10:14, 10:14] = 300.0 if index == 2 else 40.0
            more = {**own, "SOPInstanceUID": generate_uid(), **attributes}
            made.append(ct_slice(hu, 100.0 + 3.0 * index, index + 1, **more))
        return made

    return make


def test_a_series_of_48_slices_becomes_a_draft_once(node: Node, series: Callable[..., Any]) -> None:
    """Sent whole and counted by its headers, it is scored by itself: a draft, with the files of a revision."""
    sent = series(48, ImagesInAcquisition=48)
    assert [0] * 48 == send(node.port, sent)
    told = node.wait_state(sent, "no-total")
    assert 48 == told["images"]
    report = json.loads((node.store / told["result"] / "score.json").read_text())
    assert "draft" == report["review"]["state"]
    assert report["score"]["total"] is None, "there is no chest in it to propose by, and a zero would be a false one"
    assert any("Nothing was proposed" in reason for reason in report["reasons"])
    assert 48 == report["provenance"]["slices"]
    assert told["series"] == report["provenance"]["series"]
    assert (node.store / told["result"] / "report.html").is_file()
    before = node.files()  # and sending it again changes nothing: success, stored once, one revision
    assert [0] * 48 == send(node.port, sent)
    node.wait(lambda: node.status()["counts"].get("object: again") == 48, "counted")
    assert before == node.files()
    assert told["result"] == node.told(sent)["result"]


def test_other_content_under_a_known_uid_is_refused(node: Node, series: Callable[..., Any]) -> None:
    """Same SOPInstanceUID, other pixels: Duplicate SOP Instance; the first stays, and the draft says so."""
    sent = series()
    assert [0] * 6 == send(node.port, sent)
    sent[1].PixelData = bytes(len(sent[1].PixelData))
    assert [0x0111] == send(node.port, sent[1:2])
    told = node.wait_state(sent, "no-total")
    assert 1 == told["refused_objects"]
    notes = json.loads((node.store / told["result"] / "score.json").read_text())["notes"]
    assert any("came again with other content" in note for note in notes)


def test_an_incomplete_series_waits_says_what_is_missing_and_then_completes(
    node: Node, series: Callable[..., Any]
) -> None:
    """A gap in the middle: never scored, named; when the slice comes, scored."""
    sent = series(8)
    assert [0] * 7 == send(node.port, sent[:3] + sent[4:])
    told = node.wait_state(sent, "waiting")
    assert ["1 slice(s) between 106 and 112 mm"] == told["missing"]
    assert told["result"] is None
    assert [0] == send(node.port, sent[3:4])
    assert 8 == node.wait_state(sent, "no-total")["images"]


def test_a_told_number_of_images_is_waited_for(node: Node, series: Callable[..., Any]) -> None:
    """Slices missing at the end leave no gap; the headers tell of them."""
    sent = series(8, ImagesInAcquisition=8)
    assert [0] * 6 == send(node.port, sent[:6])
    assert ["2 of the 8 images that the headers tell of have not come"] == node.wait_state(sent, "waiting")["missing"]


def test_another_patient_inside_a_series_is_refused_and_nothing_is_scored(
    node: Node, series: Callable[..., Any]
) -> None:
    """One slice names another patient: refused, and the whole series with it."""
    sent = series()
    sent[5].PatientID = "P-2"
    assert [0, 0, 0, 0, 0, 0xA900] == send(node.port, sent)
    assert node.wait_state(sent, "identity-conflict")["result"] is None


def test_a_result_never_enters_another_patients_study(node: Node, series: Callable[..., Any]) -> None:
    """A second series of a known study, under another patient: refused."""
    study = generate_uid()
    assert [0] == send(node.port, series(1, StudyInstanceUID=study))
    assert [0xA900] == send(node.port, series(1, StudyInstanceUID=study, PatientID="P-2"))


def test_a_vessel_map_that_fits_gives_the_draft_its_total(
    node: Node, series: Callable[..., Any], write_map: Callable[..., Any], tmp_path: Path
) -> None:
    """Slices first, map after them: the draft without a map is superseded by one with a total, never overwritten."""
    sent = series(ImagesInAcquisition=6)
    assert [0] * 6 == send(node.port, sent)
    first = node.wait_state(sent, "no-total")
    assert first["result"].endswith("revision-0001")
    labels = np.zeros((6, 32, 32), dtype=np.uint8)
    labels[2, 10:14, 10:14] = 2
    segmentation = write_map(tmp_path / "map.dcm", sent, labels)
    with Line(node.port) as line:
        assert ACCEPTED == line.associate(sop_class=SEG)[0]
        assert 0 == line.store(str(segmentation.SOPInstanceUID), encoded(segmentation), SEG)
        line.release()
    node.wait(lambda: str(node.told(sent)["result"]).endswith("revision-0002"), "scored again")
    report = json.loads((node.store / node.told(sent)["result"] / "score.json").read_text())
    assert ["LAD"] == [name for name, part in report["score"]["by_vessel"].items() if part["lesions"]]
    assert ("draft", 2) == (report["review"]["state"], report["review"]["revision"])
    assert report["review"]["supersedes"]
    assert (node.store / first["result"] / "score.json").is_file()


def test_after_a_restart_nothing_is_scored_twice(node: Node, series: Callable[..., Any]) -> None:
    """What is scored stays as it is, what waits goes on where it was."""
    sent = series(4, ImagesInAcquisition=4)
    assert [0] * 3 == send(node.port, sent[:3])
    node.wait_state(sent, "waiting")
    results = [name for name in node.files() if name.startswith("results/")]
    assert 0 == node.stop()
    node.start()
    node.wait_state(sent, "waiting")
    node.wait(lambda: all(one["state"] != "settling" for one in node.status()["series"]), "settled")
    assert results == [name for name in node.files() if name.startswith("results/")]
    assert [0] == send(node.port, sent[3:])
    node.wait_state(sent, "no-total")


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [("STRANGER", "DIASTOLE", CALLING_UNKNOWN), ("SCANNER", "OTHER", CALLED_UNKNOWN), ("", "", CALLED_UNKNOWN)],
)
def test_a_request_of_nobody_or_for_nobody_is_rejected(node: Node, calling: str, called: str, reason: int) -> None:
    """Deny by default: the calling title is a peer's, the called one is ours, or the association is rejected."""
    with Line(node.port) as line:
        answer = line.associate(calling, called)
    assert REJECTED == answer[0]
    assert reason == answer[9]


def test_nobody_may_store_where_no_peer_is_named(tmp_path: Path) -> None:
    """An empty list of peers refuses everybody, and the receiver says so."""
    node = Node(tmp_path, peers="")
    with Line(node.port) as line:
        assert b"" == line.associate()
    node.wait(lambda: node.status()["denied"], "counted")
    assert {"no-peers": 1} == node.status()["denied"]
    assert any("names no peers" in one["event"] for one in node.lines())
    assert 0 == node.stop()
    assert node.status()["running"] is False


def test_an_address_that_is_no_peers_is_refused(node: Node) -> None:
    """The title alone opens nothing: it counts from the peer's own network only."""
    with Line(node.port, "127.128.0.1") as line:
        assert b"" == line.associate()
    with Line(node.port, "127.127.0.1") as line:
        assert ACCEPTED == line.associate()[0]


def test_a_class_that_was_not_offered_gets_no_context(node: Node) -> None:
    """Secondary capture: the association stands, its context is refused, and using it ends the association."""
    capture = "1.2.840.10008.5.1.4.1.1.7"
    with Line(node.port) as line:
        answer = line.associate(sop_class=capture)
        assert ACCEPTED == answer[0]
        where = answer.index(b"\x21\x00")
        assert 3 == answer[where + 6]  # abstract-syntax-not-supported
        assert line.store("1.2.3", b"\0" * 10, capture) is None


def test_pynetdicom_as_a_client_stores_and_echoes(node: Node, series: Callable[..., Any]) -> None:
    """Another implementation of the client, with more contexts than one."""
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context("1.2.840.10008.1.1")
    entity.add_requested_context(CT)
    association = entity.associate("127.0.0.1", node.port, ae_title="DIASTOLE")
    assert association.is_established
    assert 0x0000 == association.send_c_echo().Status
    assert [0x0000] * 3 == [association.send_c_store(series(1)[0]).Status for _ in range(3)]
    association.release()
    assert association.is_released


@pytest.mark.skipif(tool("storescu") is None, reason="dcmtk is not installed")
def test_dcmtk_sends_a_folder(node: Node, series: Callable[..., Any], tmp_path: Path) -> None:
    """What the page for integrators shows: echoscu, then storescu of a folder."""
    sent = series(12, ImagesInAcquisition=13)
    for index, one in enumerate(sent):
        one.save_as(tmp_path / f"{index:02d}.dcm", enforce_file_format=True)
    titles = ["-aet", "SCANNER", "-aec", "DIASTOLE", "127.0.0.1", str(node.port)]
    echo = subprocess.run([str(tool("echoscu")), *titles], capture_output=True, text=True, check=False)
    assert (0, "") == (echo.returncode, echo.stderr)
    stored = subprocess.run(
        [str(tool("storescu")), *titles, "+sd", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (0, "") == (stored.returncode, stored.stderr)
    assert 12 == node.wait_state(sent, "waiting")["images"]


def test_no_log_and_no_name_tells_of_a_patient(node: Node, series: Callable[..., Any]) -> None:
    """Neither names nor identifiers stand in the log, in status.json or in any file's name."""
    send(node.port, series(2))
    texts = [node.log.read_text(), (node.store / "status.json").read_text(), *node.files()]
    assert [] == [text for text in texts for canary in CANARIES if canary in text]


def test_status_says_what_is_missing(node: Node, series: Callable[..., Any]) -> None:
    """`diastole receive --status` prints the state of each series."""
    sent = series(6)
    send(node.port, sent[:2] + sent[3:])
    node.wait_state(sent, "waiting")
    command = [sys.executable, "-m", "diastole", "receive", "--store", str(node.store), "--status"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=None)
    assert 0 == run.returncode
    assert "running" in run.stdout
    assert "1 slice(s) between 103 and 109 mm" in " ".join(run.stdout.split())


def test_encoded_data_sets_are_what_pydicom_reads(series: Callable[..., Any]) -> None:
    """The test's own client encodes as files do."""
    one = series(1)[0]
    assert one.SOPInstanceUID.encode() in encoded(one)
