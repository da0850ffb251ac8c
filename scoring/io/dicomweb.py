"""A series of a DICOMweb archive -> a folder that is scored like any other, and removed after.

The archive is asked for the list of the series (QIDO-RS), then for its objects (WADO-RS); what came must be what was
listed. UIDs and counts of the answer are checked, and no text of it is used as a path.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scoring.io.errors import SeriesError

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient

UID = re.compile(r"[0-9.]{1,64}")
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
MAX_OBJECTS = 4000
MAX_BYTES = 4 * 2**30
MAX_TOKEN_BYTES = 16_384
TIMEOUT_S = 30.0  # to connect, and between two pieces of an answer


@contextmanager
def retrieved(url: str, study: str, series: str, token_file: Path | None = None) -> Iterator[Path]:
    """Fetch a series into a folder of its own, which is there for the time of the `with`.

    Parameters
    ----------
    url
        Base of the DICOMweb services, `https://...`; certificates are verified, by those of REQUESTS_CA_BUNDLE when the
        site has its own authority.
    study, series
        UIDs.
    token_file
        Holds a bearer token; it is sent over https only, or to this machine.

    Raises
    ------
    SeriesError
        If an argument is wrong, the archive does not answer, refuses, does not know the series, or gives other objects
        than it lists.
    """
    for name, uid in (("--study", study), ("--series", series)):
        if not UID.fullmatch(uid):
            raise SeriesError(f"{name} is no DICOM UID; take it from the archive.")
    client = _client(url, token_file)
    with tempfile.TemporaryDirectory(prefix="diastole-") as place:
        folder = Path(place)
        with _told_apart(url):
            listed = _listed(client, study, series)
            came = _fetch(client, study, series, folder)
        if listed != came:
            raise SeriesError(
                f"The archive lists {len(listed)} objects and gave {len(listed & came)} of them"
                f"{f' and {len(came - listed)} others' if came - listed else ''}: the answer was cut off; try again."
            )
        yield folder


def _client(url: str, token_file: Path | None) -> "DICOMwebClient":
    """Make a client that verifies certificates and does not try again by itself."""
    from dicomweb_client.web import DICOMwebClient

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise SeriesError("--dicomweb is no address of a DICOMweb service; write https://host/path.")
    headers = {}
    if token_file is not None:
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise SeriesError("A token is never sent without encryption; give an https address.")
        headers["Authorization"] = f"Bearer {_token(token_file)}"
    try:
        client = DICOMwebClient(url.rstrip("/"), headers=headers, timeout=TIMEOUT_S)
    except ValueError as error:
        raise SeriesError("--dicomweb is no address of a DICOMweb service; write https://host/path.") from error
    client.set_http_retry_params(retry=False)
    return client


def _token(path: Path) -> str:
    """Read a token; it is told to nobody."""
    try:
        token = path.read_bytes()[:MAX_TOKEN_BYTES].decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SeriesError(f"The token file {path.name} cannot be read; give a file with one token.") from error
    if not token or not token.isprintable() or " " in token:
        raise SeriesError(f"The token file {path.name} does not hold one token.")
    return token


@contextmanager
def _told_apart(url: str) -> Iterator[None]:
    """Say in one sentence what went wrong, and on whose side; an answer's text is not repeated."""
    import requests

    host = urlsplit(url).hostname
    try:
        yield
    except requests.HTTPError as error:
        code = 0 if error.response is None else error.response.status_code
        told = {
            401: "wants to know who asks; give --token-file with a valid token",
            403: "does not allow this; ask its keeper for the right to read",
            404: "does not know this series; check --dicomweb, --study and --series",
        }.get(code, f"answers {code}; try again, or ask its keeper")
        raise SeriesError(f"The archive at {host} {told}.") from error
    except requests.exceptions.SSLError as error:
        raise SeriesError(
            f"The certificate of {host} is not trusted; point REQUESTS_CA_BUNDLE to your site's authority."
        ) from error
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
        raise SeriesError(f"The answer of {host} was cut off; try again.") from error
    except requests.RequestException as error:
        raise SeriesError(
            f"No DICOMweb service answers at {host} ({type(error).__name__}); mend --dicomweb."
        ) from error
    except SeriesError:
        raise
    except Exception as error:  # the client raises what it meets in an answer: that answer is at fault
        raise SeriesError(
            f"The answer of {host} is damaged, cut off or no DICOM ({type(error).__name__}); try again."
        ) from error


def _listed(client: "DICOMwebClient", study: str, series: str) -> set[str]:
    """SOP instance UIDs of the series, as the archive lists them."""
    listed: set[str] = set()
    while True:  # page by page; an archive that gives the same page for ever ends it too
        page = client.search_for_instances(study, series, fields=["00080018"], offset=len(listed) or None)
        new = {str(one["00080018"]["Value"][0]) for one in page} - listed
        listed |= new
        if not new or len(listed) > MAX_OBJECTS:
            break
    if not listed:
        raise SeriesError("The archive does not know this series; check --study and --series.")
    if len(listed) > MAX_OBJECTS:
        raise SeriesError(f"The series has {len(listed)} objects, more than {MAX_OBJECTS}; it is no calcium scan.")
    return listed


def _fetch(client: "DICOMwebClient", study: str, series: str, folder: Path) -> set[str]:
    """Write the objects of a series as they come, each under a number, and give their SOP instance UIDs."""
    came: set[str] = set()
    size = 0
    for number, dataset in enumerate(client.iter_series(study, series, media_types=(("application/dicom", "*"),))):
        path = folder / f"{number:05d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        size += path.stat().st_size
        if number >= MAX_OBJECTS or size > MAX_BYTES:
            raise SeriesError("The archive gives more than it lists, or more than a series has; ask its keeper.")
        if str(dataset.SeriesInstanceUID) != series or str(dataset.StudyInstanceUID) != study:
            raise SeriesError("The archive gave an object of another series; ask its keeper.")
        came.add(str(dataset.SOPInstanceUID))
    return came
