"""`diastole score --dicomweb`: a series out of an archive, and every way in which the archive can fail."""

import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import diastole
from scoring.io.dicomweb import retrieved
from scoring.io.errors import SeriesError
from tests.scoring import orthanc
from tests.scoring.dicom_files import SERIES, STUDY, write_map

BLOCKS = [(1, 5, 2, 5, 2, 250.0), (2, 5, 2, 5, 3, 410.0), (4, 20, 2, 20, 2, 150.0)]  # 9 in all
TOKEN = "abc.def"
BOUNDARY = "diastole-boundary"
UIDS = ["--study", STUDY, "--series", SERIES]


class _Dropped(Response):
    """An answer whose connection ends before the answer does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise more than is sent."""
        kind = f"multipart/related; boundary={BOUNDARY}".encode()
        headers = [(b"content-type", kind), (b"content-length", b"999999")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[:3000], "more_body": True})


@dataclass
class Archive:
    """A small DICOMweb archive that can be told to misbehave."""

    files: list[bytes]
    uids: list[str]
    address: str = ""
    mode: str = "good"
    asked: list[str] = field(default_factory=list)

    async def search(self, request: Request) -> Response:
        """QIDO-RS: the instances of a series."""
        self.asked.append(request.headers.get("authorization", ""))
        if self.mode == "token" and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return PlainTextResponse("who is Secret^Name", 401)
        if self.mode == "broken":
            return PlainTextResponse("Secret^Name fell over", 500)
        if self.mode == "odd":
            return JSONResponse([{"00080018": {"vr": "UI"}}], media_type="application/dicom+json")
        if request.path_params["series"] != SERIES:
            return PlainTextResponse("", 404)
        found = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in self.uids]
        offset = int(request.query_params.get("offset", 0))
        return JSONResponse(found[offset:] if self.mode != "empty" else [], media_type="application/dicom+json")

    async def retrieve(self, request: Request) -> Response:
        """WADO-RS: all instances of a series in one multipart answer."""
        files = self.files[:-1] if self.mode == "fewer" else self.files
        if self.mode == "stranger":
            other = pydicom.dcmread(pydicom.filebase.DicomBytesIO(files[0]))
            other.SeriesInstanceUID = "1.2.3"
            buffer = pydicom.filebase.DicomBytesIO()
            other.save_as(buffer)
            files = [*files, buffer.getvalue()]
        if self.mode == "garbage":
            files = [b"Secret^Name", *files]
        head = b"Content-Type: application/dicom\r\n\r\n"
        body = b"".join(b"\r\n--" + BOUNDARY.encode() + b"\r\n" + head + one for one in files)
        body += b"\r\n--" + BOUNDARY.encode() + b"--\r\n"
        body = body[: len(body) // 2] if self.mode == "cut" else body
        if self.mode == "dropped":
            return _Dropped(body)
        return Response(body, media_type=f'multipart/related; type="application/dicom"; boundary={BOUNDARY}')


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, write_series: Callable[..., list[pydicom.Dataset]]) -> Path:
    """The same series on the disk, with a map."""
    folder = tmp_path_factory.mktemp("study")
    sources = write_series(folder / "slices", *BLOCKS)
    write_map(folder / "labels.seg.dcm", sources, np.full((6, 32, 32), 2, dtype=np.uint8))
    return folder


@pytest.fixture(scope="module")
def running(study: Path) -> Iterator[Archive]:
    """Serve the archive on a free port."""
    paths = sorted((study / "slices").iterdir())
    archive = Archive([path.read_bytes() for path in paths], [pydicom.dcmread(p).SOPInstanceUID for p in paths])
    base = "/dicom-web/studies/{study}/series/{series}"
    app = Starlette(routes=[Route(f"{base}/instances", archive.search), Route(base, archive.retrieve)])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        until = time.monotonic() + 20.0
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        archive.address = f"http://127.0.0.1:{listening.getsockname()[1]}/dicom-web"
        yield archive
        server.should_exit = True
        thread.join(20.0)


@pytest.fixture
def archive(running: Archive) -> Iterator[Archive]:
    """The archive, in good health again after each test."""
    running.asked.clear()
    yield running
    running.mode = "good"


def test_a_series_is_fetched_and_scored_like_a_folder(archive: Archive, study: Path, tmp_path: Path) -> None:
    """The same score.json, byte for byte, as from the files themselves."""
    labels = ["--labels", str(study / "labels.seg.dcm")]
    out = ["--out", str(tmp_path / "web")]
    assert 0 == diastole.main(["score", "--dicomweb", archive.address, *UIDS, *labels, *out])
    assert 0 == diastole.main(["score", str(study / "slices"), *labels, "--out", str(tmp_path / "disk")])
    assert (tmp_path / "disk" / "score.json").read_bytes() == (tmp_path / "web" / "score.json").read_bytes()


def test_nothing_of_a_series_is_left(archive: Archive) -> None:
    """The folder of the images is gone when the score is done."""
    with retrieved(archive.address, STUDY, SERIES) as folder:
        assert 6 == len(list(folder.iterdir()))
        assert all(path.stem.isdecimal() for path in folder.iterdir()), "no text of the answer is a name"
    assert not folder.exists()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("token", "wants to know who asks"),
        ("broken", "answers 500"),
        ("empty", "does not know this series"),
        ("odd", "damaged, cut off or no DICOM"),
        ("fewer", "lists 6 objects and gave 5"),
        ("cut", "damaged, cut off or no DICOM"),
        ("dropped", "was cut off; try again"),
        ("stranger", "an object of another series"),
        ("garbage", "damaged, cut off or no DICOM"),
    ],
)
def test_an_archive_that_fails_is_told_in_one_sentence(
    archive: Archive, mode: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; what the archive wrote, perhaps a name, is not repeated; nothing is scored."""
    archive.mode = mode
    assert 2 == diastole.main(["score", "--dicomweb", archive.address, *UIDS])
    told = capfd.readouterr()
    assert words in told.err
    assert 1 == told.err.count("\n")
    assert "Secret" not in told.err + told.out


def test_a_series_that_is_not_there(archive: Archive) -> None:
    """404 names the three options."""
    with pytest.raises(SeriesError, match="does not know this series"), retrieved(archive.address, STUDY, "1.2.3"):
        pass


def test_nobody_answers() -> None:
    """A port where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(SeriesError, match="No DICOMweb service answers at 127"), retrieved(address, STUDY, SERIES):
            pass


def test_a_token_opens_the_archive_and_is_told_to_nobody(
    archive: Archive, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is read from a file and sent as a bearer; without a map the score has no total, which is exit code 1."""
    archive.mode = "token"
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    arguments = ["score", "--dicomweb", archive.address, *UIDS, "--token-file", str(tmp_path / "token")]
    assert 1 == diastole.main(arguments)
    assert [f"Bearer {TOKEN}"] == list(dict.fromkeys(archive.asked))
    told = capfd.readouterr()
    assert TOKEN not in told.out + told.err


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("ftp://host", None, "no address"),
        ("https://user:password@host", None, "no address"),
        ("http://pacs.example/dicom-web", TOKEN, "never sent without encryption"),
        ("https://pacs.example/dicom-web", "two tokens", "does not hold one token"),
    ],
)
def test_what_is_wrong_before_anybody_is_asked(url: str, token: str | None, words: str, tmp_path: Path) -> None:
    """Addresses and tokens are judged first."""
    path = None
    if token is not None:
        path = tmp_path / "token"
        path.write_text(token)
    with pytest.raises(SeriesError, match=words), retrieved(url, STUDY, SERIES, path):
        pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dicomweb", "https://host"], "needs --study"),
        (["--dicomweb", "https://host", "--study", "../..", "--series", SERIES], "--study is no DICOM UID"),
        (["slices", "--dicomweb", "https://host", *UIDS], "no PATH"),
        (["slices", "--series", "1.2.3"], "is no number"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 before anything is sent."""
    assert 2 == diastole.main(["score", *arguments])
    assert words in capfd.readouterr().err


@pytest.mark.skipif(orthanc.why_not() is not None, reason=orthanc.why_not() or "")
def test_a_real_archive_gives_the_same_score(study: Path, tmp_path: Path) -> None:
    """Orthanc with its DICOMweb plugin: what was put in is fetched and scored as from the disk."""
    labels = ["--labels", str(study / "labels.seg.dcm")]
    with orthanc.archive(tmp_path / "orthanc") as real:
        for path in sorted((study / "slices").iterdir()):
            url = f"http://127.0.0.1:{real.http_port}/instances"
            with urllib.request.urlopen(urllib.request.Request(url, path.read_bytes()), timeout=20) as answer:
                assert 200 == answer.status
        arguments = ["score", "--dicomweb", real.dicomweb_url, *UIDS, *labels, "--out", str(tmp_path / "web")]
        assert 0 == diastole.main(arguments)
    assert 0 == diastole.main(["score", str(study / "slices"), *labels, "--out", str(tmp_path / "disk")])
    assert (tmp_path / "disk" / "score.json").read_bytes() == (tmp_path / "web" / "score.json").read_bytes()
