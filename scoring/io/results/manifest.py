"""`manifest.json`: what left the house whole, by digests alone; `diastole send` sends nothing that differs from it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from pydicom.dataset import Dataset

BELONGS = (
    "PatientID",
    "StudyInstanceUID",
    "AccessionNumber",
)  # what every object has from the scored slices, unchanged


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `manifest.json`; no identifier stands in it."""

    schema: Literal["diastole.manifest/1"] = "diastole.manifest/1"
    files: dict[str, str]  # SHA-256 of each file, by its name
    belongs_to: str  # SHA-256 over patient, study and order of the scored slices; empty when there were none


def make_manifest(files: Mapping[str, bytes], evidence: Sequence[Dataset]) -> bytes:
    """Write the manifest of some files."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    manifest = Manifest(files=digests, belongs_to=belonging(evidence[0]) if evidence else "")
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def belonging(header: Dataset) -> str:
    """SHA-256 over patient, study and order of an object."""
    values = [str(header.get(name) or "") for name in BELONGS]
    return hashlib.sha256("\n".join(values).encode()).hexdigest()
