"""A real archive for the tests: Orthanc with its DICOMweb plugin, where it is installed."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGINS = Path("/usr/lib/orthanc")
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Archive:
    """Where it listens."""

    dicom_port: int
    http_port: int
    ae_title: str = "ORTHANC"

    @property
    def dicomweb_url(self) -> str:
        """Root of its DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str) -> Any:
        """Ask its own REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def instances(self) -> list[dict[str, Any]]:
        """List the tags of everything that it holds."""
        return [self.ask(f"/instances/{one}/simplified-tags") for one in self.ask("/instances")]


def why_not() -> str | None:
    """Say why there is no archive to test with; None when there is."""
    if shutil.which("Orthanc") is None:
        return "Orthanc is not installed (Debian: apt-get install orthanc-dicomweb)"
    if not list(PLUGINS.glob("libOrthancDicomWeb.so*")):
        return "Orthanc has no DICOMweb plugin (Debian: apt-get install orthanc-dicomweb)"
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def archive(folder: Path) -> Iterator[Archive]:
    """Run an empty archive until the block ends."""
    one = Archive(_free_port(), _free_port())
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "Name": "test",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "DicomAet": one.ae_title,
        "DicomPort": one.dicom_port,
        "HttpPort": one.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [str(path) for path in sorted(PLUGINS.glob("libOrthancDicomWeb.so*"))[:1]],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
        try:
            _await(one, process, folder / "log")
            yield one
        finally:
            process.terminate()
            process.wait(15)


def _await(one: Archive, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until it answers."""
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            one.ask("/system")
            return
        time.sleep(0.1)
    raise AssertionError(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")
