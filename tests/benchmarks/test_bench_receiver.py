"""The receiver in figures: slices to a written report, what hostile bytes cost, how many were tried.

Run by `make bench BENCH="-k receiver"`; the tables stand in docs/receive.md.
"""

import hashlib
import os
import random
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scoring.io.receiver.children import Examiners
from scoring.io.receiver.examine import valid_uid
from scoring.io.receiver.intake import Intake, Sender, Taken
from scoring.io.receiver.jail import Jail
from scoring.io.receiver.settings import ExamineSettings, ReceiverSettings
from scoring.volume import Volume
from tests.benchmarks.limits import at_most, hold, table
from tests.references.thoraces import Build, Dense, Field, paint
from tests.scoring.attacks import HUGE, besieged, deflated_bomb, nested_sequences, peak_kib, pour
from tests.scoring.receiver_seeds import TYPED, campaign, damaged, seeds
from tests.scoring.receiving import CT, DEFLATED, EXPLICIT, PEER, Line, Node, encoded, send, tool

ROUNDS = 5
BETWEEN_S = 4.0  # from one patient to the next; the next scoring process gets ready
SLICES, SIDE = 48, 512
DAMAGED = int(os.environ.get("DIASTOLE_BENCH_OBJECTS", "20000"))
HOSTILE_NAMES = 10_000
PIECES = ["../", "/", "\0", ".", "..", "1.2", "é", "\\", "\n", "%2e", "~", "x" * 200, "9" * 70, "CON", " "]
LIMITS = "[scoring.receiver.limits]\nassociations = 40\n[scoring.receiver.draft]\nquiet_s = 1.0\n"


def image(hu: Any, z_mm: float, number: int, **attributes: Any) -> pydicom.Dataset:
    """Make one CT image as a scanner writes it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CT
    meta.MediaStorageSOPInstanceUID = generate_uid()
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    fields: dict[str, Any] = {
        "SOPClassUID": CT, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "PatientID": "P-1", "PatientName": "A^B",
        "Modality": "CT", "KVP": 120, "SliceThickness": 3, "InstanceNumber": number, "PixelSpacing": [0.5, 0.5],
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [-100, -100, z_mm], "Rows": hu.shape[0], "Columns": hu.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1, "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU",
        "StudyDate": "", "StudyTime": "", "StudyID": "", "AccessionNumber": "", "ReferringPhysicianName": "",
        "PatientBirthDate": "", "PatientSex": "", "SeriesNumber": 1, "Manufacturer": "Test",
        "PositionReferenceIndicator": "", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4",
        "FrameOfReferenceUID": "1.2.5", "PixelData": np.rint(hu + 1024).astype("<i2").tobytes(),
    }  # fmt: skip
    for name, value in {**fields, **attributes}.items():
        setattr(made, name, value)
    return made


@cache
def chest(slices: int) -> Volume:
    """Paint a chest with calcium in two arteries: a draft of it has a map, so that every form of result is made."""
    usual = Build(noise_hu=12.0)
    dense = (
        Dense("LAD", usual.course("LAD", 0.4), (2.2, 2.2, 4.2), 700.0),
        Dense("RCA", usual.course("RCA", 0.4), (2.2, 2.2, 3.2), 500.0),
    )
    return paint(replace(usual, dense=dense), Field(matrix=SIDE, slices=slices), 1).volume


def study(seed: int, slices: int = SLICES) -> list[pydicom.Dataset]:
    """Make the series of another patient, counted by its headers."""
    own = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    noise, volume = np.random.default_rng(seed), chest(slices)
    made = []
    for index, corner in enumerate(volume.corners_mm):
        hu = volume.hu[index] + noise.normal(0.0, 3.0, (SIDE, SIDE))
        where = {"ImagePositionPatient": corner.tolist(), "PixelSpacing": [volume.row_mm, volume.column_mm]}
        made.append(image(hu, corner[2], index + 1, ImagesInAcquisition=slices, **where, **own))
    return made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One receiver with its default limits."""
    node = Node(tmp_path_factory.mktemp("receiver"), peers=PEER, more=LIMITS)
    yield node
    assert 0 == node.stop()


def revision(node: Node, sent: list[pydicom.Dataset]) -> Path:
    """Folder of the draft of a series."""
    name = hashlib.sha256(str(sent[0].SeriesInstanceUID).encode()).hexdigest()
    return node.store / "results" / name / "revision-0001"


def written(node: Node, sent: list[pydicom.Dataset]) -> float:
    """Wait for the report of a series and return the instant."""
    node.wait((revision(node, sent) / "report.html").is_file, "written")
    return time.monotonic()


def made(node: Node, sent: list[pydicom.Dataset]) -> set[str]:
    """Names of the files of a draft."""
    return {path.name for path in revision(node, sent).iterdir()}


def test_slices_to_report(node: Node, tmp_path: Path) -> None:
    """48 slices of 512 x 512 on loopback, from the start of the client to the report in its folder."""
    rows, medians = [], {}
    clients: dict[str, Callable[[list[pydicom.Dataset], Path], object]] = {
        "this bench's own": lambda sent, _: send(node.port, sent)
    }
    if tool("storescu") is not None:
        titles = ["-aet", "SCANNER", "-aec", "DIASTOLE", "127.0.0.1", str(node.port)]
        clients["dcmtk storescu"] = lambda _, folder: subprocess.run(
            [str(tool("storescu")), *titles, "+sd", str(folder)], check=True
        )
    send(node.port, study(99))  # the first one also starts the children
    for name, client in clients.items():
        stored, whole = [], []
        for number in range(ROUNDS):
            sent = study(number)
            folder = tmp_path / f"{name}-{number}"
            folder.mkdir()
            for index, one in enumerate(sent):
                one.save_as(folder / f"{index:03d}.dcm", enforce_file_format=True)
            began = time.monotonic()
            client(sent, folder)
            stored.append(time.monotonic() - began)
            whole.append(written(node, sent) - began)
            assert {"vessels.seg.dcm", "measurements.sr.dcm", "report.pdf"} <= made(node, sent)
            time.sleep(BETWEEN_S)
        medians[name] = statistics.median(whole)
        cells = [statistics.median(stored), max(stored), medians[name], max(whole)]
        rows.append((name, ROUNDS, *(f"{value:.2f}" for value in cells)))
    table(
        f"{SLICES} slices of {SIDE} x {SIDE}, seconds",
        ("client", "runs", "stored, median", "stored, max", "report, median", "report, max"),
        rows,
    )
    hold([at_most(f"slices to report, {name}", 3.0, value, " s") for name, value in medians.items()])


def test_memory_of_a_huge_pdu(node: Node) -> None:
    """600 MiB declared and streamed, before and inside an association."""
    added: dict[str, float] = {}
    for inside in (False, True):
        for kind in (1, 4):

            def attack(inside: bool = inside, kind: int = kind) -> None:
                with Line(node.port) as line:
                    if inside:
                        assert line.associate()[0] == 2
                    assert pour(line, bytes([kind, 0]) + HUGE.to_bytes(4, "big"), HUGE) < HUGE

            where = "inside" if inside else "before"
            added[f"type {kind}, {where} an association"] = peak_kib(node, attack) / 1024
    hold([at_most(f"extra memory, {name}", 8.0, value, " MiB") for name, value in added.items()])


def test_bombs_are_refused_soon(node: Node) -> None:
    """A deflated bomb, deep sequences, a lying product: the time to the refusal."""
    one = image(np.full((16, 16), 40.0), 0.0, 1)
    plain, name = encoded(one), str(one.SOPInstanceUID)
    lie = encoded(image(np.full((16, 16), 40.0), 0.0, 1, Rows=65535, Columns=65535, SOPInstanceUID=name))
    bombs = {
        "deflated, 400 MiB": (DEFLATED, deflated_bomb(plain), 0xC002),
        "sequences 199 deep": (EXPLICIT, nested_sequences(199) + plain, 0xC001),
        "sequences 5000 deep": (EXPLICIT, nested_sequences(5000) + plain, 0xC001),
        "Rows x Columns of 8 GiB": (EXPLICIT, lie, 0xC003),
    }
    took = {}
    for what, (syntax, data, status) in bombs.items():
        with Line(node.port) as line:
            line.associate(syntax=syntax)
            began = time.monotonic()
            assert status == line.store(name, data)
            took[what] = time.monotonic() - began
    hold([at_most(f"refused, {what}", 1.0, value, " s") for what, value in took.items()])


def test_damaged_objects(tmp_path: Path, node: Node) -> None:
    """Many damaged objects before the examiners, some over the wire: outcomes by type, and none without one."""
    examiners = Examiners(ExamineSettings())
    began = time.monotonic()
    outcomes = campaign(examiners, tmp_path, seeds(image), DAMAGED, 0)
    took_s, deaths = time.monotonic() - began, examiners.deaths
    examiners.end()
    title = f"{DAMAGED} damaged objects ({DAMAGED / took_s:.0f} a second)"
    table(title, ("outcome", "objects"), outcomes.most_common())
    plain, statuses = seeds(image)["plain"], Counter[str]()
    for number in range(300):
        random_ = random.Random(number)
        with Line(node.port, f"127.0.1.{number % 250 + 1}") as line:
            line.associate()
            name = f"{plain[2][:-4]}{number:04d}"
            data = plain[3].replace(plain[2].encode(), name.encode())
            status = line.store(name, damaged(data, random_))
            statuses["line cut" if status is None else f"0x{status:04X}"] += 1
    table("300 of them over the wire", ("status", "objects"), statuses.most_common())
    untyped = sum(count for name, count in outcomes.items() if name not in {*TYPED, "examined"})
    alive = node.process.poll() is None
    limits = [at_most("outcomes without a type", 0, untyped), at_most("examiners that died", 0, deaths)]
    hold([*limits, at_most("receivers that ended", 0, 0 if alive else 1)])


def test_hostile_names(tmp_path: Path) -> None:
    """Hostile identifiers in request and data set: what was written outside the store, and what inside."""
    examiners = Examiners(ExamineSettings())
    store = tmp_path / "jail" / "store"
    intake = Intake(Jail(store), ReceiverSettings(), examiners, time.monotonic)
    random_, taken, reasons = random.Random(1), 0, Counter[str]()
    plain = image(np.full((16, 16), 40.0), 0.0, 1)
    for number in range(HOSTILE_NAMES):
        name = "".join(random_.choice(PIECES) for _ in range(random_.randint(1, 6)))
        if number % 20:
            outcome = intake.take(Sender(1), EXPLICIT, CT, name, memoryview(b"x"))
        else:
            plain.SOPInstanceUID = generate_uid()
            plain[random_.choice(["SeriesInstanceUID", "StudyInstanceUID"])]._value = name
            outcome = intake.take(Sender(1), EXPLICIT, CT, str(plain.SOPInstanceUID), memoryview(encoded(plain)))
        taken += isinstance(outcome, Taken) and not valid_uid(name)
        reasons["taken" if isinstance(outcome, Taken) else outcome.reason] += 1
    examiners.end()
    table(f"{HOSTILE_NAMES} hostile identifiers", ("outcome", "objects"), reasons.most_common())
    outside = [path for path in (tmp_path / "jail").iterdir() if path != store]
    hold([at_most("files outside the store", 0, len(outside)), at_most("objects with a hostile name taken", 0, taken)])


def test_a_good_peer_among_hostile_ones(node: Node) -> None:
    """The same series alone and among 19 hostile peers: how much slower its objects are stored."""
    took: dict[bool, list[float]] = {False: [], True: []}
    data = encoded(image(np.full((16, 16), 40.0), 0.0, 1))
    for number in range(3):
        for attacked in (False, True):
            sent = study(number, slices=24)
            began = time.monotonic()
            if attacked:
                with besieged(node.port, data):
                    began = time.monotonic()
                    assert [0] * 24 == send(node.port, sent, source="127.0.0.200")
                    took[attacked].append(time.monotonic() - began)
            else:
                assert [0] * 24 == send(node.port, sent, source="127.0.0.200")
                took[attacked].append(time.monotonic() - began)
            written(node, sent)
    alone, among = statistics.median(took[False]), statistics.median(took[True])
    table("24 slices stored, seconds", ("alone", "among 19 hostile peers"), [(f"{alone:.2f}", f"{among:.2f}")])
    hold([at_most("slower among hostile peers", 2.0, among / alone, " x")])
