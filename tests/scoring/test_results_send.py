"""`diastole send` and `score --results` as an integrator meets them: real receivers, refusals, exit codes."""

import contextlib
import email
import email.policy
import gc
import io
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pydicom
import pytest
from pydicom.dataset import Dataset

import diastole
from scoring.io.dicom_in import read_series
from scoring.io.labels_in import read_labels
from scoring.io.results.bundle import make_results
from scoring.io.revisions import read_report, write_revision
from scoring.io.scored_series import score_again
from scoring.volume import Volume
from tests.scoring.result_cases import BLOCKS, CONFIRMED, MakeCase, site_file, two_vessels


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, make_case: MakeCase) -> Any:
    """A scored series with an order, and its evidence."""
    folder = tmp_path_factory.mktemp("case")
    scored, evidence = make_case(folder / "slices", *BLOCKS, labels=two_vessels(), AccessionNumber="ACC-77")
    return scored, evidence, folder / "slices"


@pytest.fixture(scope="module")
def result(case: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder, only read: a draft, and the revision that a person confirmed."""
    scored, evidence, _ = case
    folder = tmp_path_factory.mktemp("result")
    write_revision(folder, 1, make_results(scored, evidence))
    review = msgspec.structs.replace(CONFIRMED, revision=2)
    write_revision(folder, 2, make_results(score_again(scored, scored.labels, review), evidence))
    return folder


def _free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """Run a receiver until the end of the block, from when its port answers."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def _send(result: Path, site: Path, *more: str) -> int:
    """Send as a user does."""
    return diastole.main(["send", str(result), "--peer", "archive", "--site", str(site), *more])


needs_dcmtk = pytest.mark.skipif(shutil.which("storescp") is None, reason="dcmtk is not installed")


@needs_dcmtk
def test_storescp_takes_every_object_and_twice_is_once(
    result: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What arrives is what was made; sending again brings no second object."""
    port, store = _free_port(), tmp_path / "store"
    store.mkdir()
    site = site_file(tmp_path, archive={"host": "127.0.0.1", "port": port, "called_ae": "STORE"})
    with _running(["storescp", "-od", str(store), "-aet", "STORE", str(port)], port, tmp_path):
        assert 0 == _send(result, site)
        told = capfd.readouterr().out
        assert 3 == told.count("taken  (status 0000h)")
        assert "Revision 2 is with archive." in told
        assert 0 == _send(result, site)
    arrived = {one.SOPInstanceUID: one for one in (pydicom.dcmread(path) for path in store.iterdir())}
    made = [pydicom.dcmread(path) for path in (result / "revision-0002").glob("*.dcm")]
    assert {one.SOPInstanceUID for one in made} == set(arrived)
    for one in made:
        other = arrived[one.SOPInstanceUID]
        if one.Modality == "SEG":  # dcmtk writes OW where highdicom wrote OB: the same bytes
            assert one.PixelData == other.PixelData
            del one.PixelData, other.PixelData
        assert one == other


@needs_dcmtk
def test_what_storescp_got_scores_to_the_same_number(case: Any, result: Path, tmp_path: Path) -> None:
    """The segmentation in the archive and the settings in the report are enough to score again."""
    scored, _, slices = case
    port, store = _free_port(), tmp_path / "store"
    store.mkdir()
    with _running(["storescp", "-od", str(store), str(port)], port, tmp_path):
        assert 0 == _send(result, site_file(tmp_path, archive={"host": "127.0.0.1", "port": port}))
    path = next(path for path in store.iterdir() if pydicom.dcmread(path).Modality == "SEG")
    volume = read_series(slices)
    assert isinstance(volume, Volume)
    again = score_again(replace(scored, volume=volume), read_labels(path, volume), None).report
    assert read_report(result / "revision-0002").score == again.score


def test_a_draft_is_never_sent(case: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 with the cure, and no connection is tried; a later draft holds back an earlier result too."""
    scored, evidence, _ = case
    folder = tmp_path / "result"
    site = site_file(tmp_path, archive={"host": "127.0.0.1", "port": 1})
    write_revision(folder, 1, make_results(score_again(scored, scored.labels, CONFIRMED), evidence))
    write_revision(folder, 2, make_results(scored, evidence))
    assert 1 == _send(folder, site)
    assert "Revision 2 is a draft: it is never sent until a named person confirms it." in capfd.readouterr().err


def test_an_object_of_another_patient_stays_here(case: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Swapped or edited after it was made: refused by name of the file, without an identifier in the sentence."""
    scored, evidence, _ = case
    files = make_results(score_again(scored, scored.labels, CONFIRMED), evidence)
    other = pydicom.dcmread(io.BytesIO(files["vessels.seg.dcm"]))
    other.PatientID = "P-2"
    target = io.BytesIO()
    other.save_as(target)
    site = site_file(tmp_path, archive={"host": "127.0.0.1", "port": 1})
    write_revision(tmp_path / "edited", 1, {**files, "vessels.seg.dcm": target.getvalue()})
    assert 1 == _send(tmp_path / "edited", site)
    assert "vessels.seg.dcm is not what was made for revision 1" in capfd.readouterr().err
    from scoring.io.results.manifest import make_manifest

    swapped = {name: data for name, data in files.items() if name != "manifest.json"}
    swapped["vessels.seg.dcm"] = target.getvalue()
    swapped["manifest.json"] = make_manifest(swapped, evidence)
    write_revision(tmp_path / "swapped", 1, swapped)
    assert 1 == _send(tmp_path / "swapped", site)
    told = capfd.readouterr().err
    assert "vessels.seg.dcm is of another patient, study or order" in told
    assert "P-2" not in told
    missing = {name: data for name, data in files.items() if name != "vessels.seg.dcm"}
    write_revision(tmp_path / "missing", 1, missing)
    assert 1 == _send(tmp_path / "missing", site)


def test_a_peer_that_refuses_is_told_object_by_object(
    result: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An archive without segmentations and out of space: exit code 1, each object with the peer's own answer."""
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import EncapsulatedPDFStorage, EnhancedSRStorage  # type: ignore[attr-defined]

    def store(event: Any) -> int:
        return 0xA700 if event.request.AffectedSOPClassUID == EncapsulatedPDFStorage else 0x0000

    entity = AE()
    for uid in (EncapsulatedPDFStorage, EnhancedSRStorage):
        entity.add_supported_context(uid)
    port = _free_port()
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    try:
        assert 1 == _send(result, site_file(tmp_path, archive={"host": "127.0.0.1", "port": port}))
    finally:
        server.shutdown()
    told = capfd.readouterr()
    assert "measurements.sr.dcm  taken  (status 0000h)" in told.out
    assert "report.pdf.dcm       REFUSED  (status A700h)" in told.out
    assert "vessels.seg.dcm      REFUSED  (the peer does not take this kind" in told.out
    assert "archive refused 2 of 3 objects: report.pdf.dcm, vessels.seg.dcm." in told.err


class _Archive(BaseHTTPRequestHandler):
    """A small STOW-RS receiver: takes what `refused` does not name."""

    stored: dict[str, bytes]
    refused: str

    def do_POST(self) -> None:
        """Read the multipart body with the standard library's mail parser."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        answer, failed = Dataset(), False
        for part in message.iter_parts():
            data = part.get_payload(decode=True)
            assert isinstance(data, bytes)
            dataset = pydicom.dcmread(io.BytesIO(data))
            assert "application/dicom" == part.get_content_type()
            assert self.path.endswith(f"/studies/{dataset.StudyInstanceUID}")
            failed = self.refused == dataset.Modality
            if not failed:
                self.stored[dataset.SOPInstanceUID] = dataset.PatientID
        item = Dataset()
        item.ReferencedSOPInstanceUID = "1.2"
        setattr(answer, "FailedSOPSequence" if failed else "ReferencedSOPSequence", [item])
        told = json.dumps(answer.to_json_dict()).encode()
        self.send_response(409 if failed else 200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


@pytest.mark.parametrize(("refused", "code"), [("", 0), ("SEG", 1)])
def test_stow_reaches_an_archive_over_the_web(
    result: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], refused: str, code: int
) -> None:
    """Each object in its own request; one that is refused is named, and the others are there."""

    class Archive(_Archive):
        """The receiver of this test."""

    Archive.stored, Archive.refused = {}, refused
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/dicom-web"
            assert code == _send(result, site_file(tmp_path, archive={"url": url}))
        finally:
            server.shutdown()
            thread.join()
    assert (3 if code == 0 else 2) == len(Archive.stored)
    if refused:
        assert "vessels.seg.dcm      REFUSED  (HTTP 409)" in capfd.readouterr().out


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_peer_that_is_not_there_is_exit_code_one(
    result: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By C-STORE and by STOW: one sentence, nothing marked as sent."""
    port = _free_port()
    peers: list[dict[str, object]] = [{"host": "127.0.0.1", "port": port}, {"url": f"http://127.0.0.1:{port}"}]
    for peer in peers:
        assert 1 == _send(result, site_file(tmp_path, archive=peer))
        told = capfd.readouterr().err
        assert "Nothing is marked as sent; send again." in told
        assert 1 == told.count("\n")
    gc.collect()  # pynetdicom leaves the socket of a connection that failed to the collector: here, where it is known


@pytest.fixture
def worklist(tmp_path: Path) -> Iterator[int]:
    """A worklist of dcmtk with the order ACC-77 of P-1, and its port."""
    if shutil.which("wlmscpfs") is None:
        pytest.skip("dcmtk is not installed")
    folder, port = tmp_path / "lists" / "WLM", _free_port()
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    order, step = Dataset(), Dataset()
    order.SpecificCharacterSet, order.AccessionNumber, order.PatientID = "ISO_IR 100", "ACC-77", "P-1"
    order.PatientName, order.StudyInstanceUID, order.RequestedProcedureID = "Secret^Name", "1.2.3", "R1"
    order.PatientBirthDate, order.PatientSex, order.RequestedProcedureDescription = "19500102", "F", "CaScore"
    step.Modality, step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate = "CT", "CT1", "20260302"
    step.ScheduledProcedureStepStartTime, step.ScheduledProcedureStepID = "101112", "1"
    step.ScheduledProcedureStepDescription = "CaScore"
    order.ScheduledProcedureStepSequence = [step]
    order.file_meta = pydicom.dataset.FileMetaDataset()
    order.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    order.file_meta.MediaStorageSOPClassUID, order.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.276.0.7230010.3.1.0.1",
        "1.2",
    )
    order.save_as(folder / "order.wl", enforce_file_format=True)
    with _running(["wlmscpfs", "-dfp", str(folder.parent), str(port)], port, tmp_path):
        yield port


def test_the_worklist_gives_an_order_by_accession_or_patient(worklist: int) -> None:
    """What is found is identity; what is not there is not found; asking for everybody is refused."""
    from scoring.io.peers import Peer
    from scoring.io.worklist import Order, find_orders

    peer = Peer(host="127.0.0.1", port=worklist, called_ae="WLM")
    assert (Order("P-1", "ACC-77", "1.2.3"),) == find_orders(peer, accession="ACC-77")
    assert (Order("P-1", "ACC-77", "1.2.3"),) == find_orders(peer, patient_id="P-1")
    assert () == find_orders(peer, accession="ACC-78")
    with pytest.raises(ValueError, match="accession number or patient ID"):
        find_orders(peer)


def test_a_series_that_is_not_its_orders_is_not_sent(
    result: Path, worklist: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The study UID of the slices is not that of the order: exit code 1 before anything leaves."""
    peers = {
        "archive": {"host": "127.0.0.1", "port": 1},
        "orders": {"host": "127.0.0.1", "port": worklist, "called_ae": "WLM"},
    }
    assert 1 == _send(result, site_file(tmp_path, **peers), "--worklist", "orders")
    told = capfd.readouterr().err
    assert "they differ in StudyInstanceUID" in told
    assert "P-1" not in told
