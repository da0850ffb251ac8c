"""The store: idempotent, bounded, never half written, never through a link, and the same after a crash."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from scoring.io.receiver.children import Examiners
from scoring.io.receiver.errors import JailError, ReceiverError
from scoring.io.receiver.intake import Intake, Sender, Taken
from scoring.io.receiver.jail import Jail
from scoring.io.receiver.records import Examined, Job, Rejected, digest
from scoring.io.receiver.settings import ExamineSettings, LimitSettings, ReceiverSettings
from tests.scoring.receiving import CT, EXPLICIT, encoded

SENDER = Sender(connection=1)


@pytest.fixture(scope="module")
def examiners() -> Iterator[Examiners]:
    """Real child processes, for the whole file."""
    examiners = Examiners(ExamineSettings())
    yield examiners
    examiners.end()


@pytest.fixture
def make_intake(tmp_path: Path, examiners: Examiners) -> Callable[..., Intake]:
    """Open the store of a test, with some limits."""

    def make(**limits: Any) -> Intake:
        settings = ReceiverSettings(limits=LimitSettings(**{"free_mib": 0, **limits}))
        return Intake(Jail(tmp_path / "store"), settings, examiners, lambda: 0.0)

    return make


@pytest.fixture
def image(ct_slice: Callable[..., Any]) -> pydicom.Dataset:
    """Make one slice with identifiers of its own."""
    names = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    made: pydicom.Dataset = ct_slice(np.full((16, 16), 40.0), 3.0, 1, **{name: generate_uid() for name in names})
    return made


def take(intake: Intake, dataset: pydicom.Dataset) -> Taken | Rejected:
    """Give a data set to an intake."""
    return intake.take(SENDER, EXPLICIT, CT, str(dataset.SOPInstanceUID), memoryview(encoded(dataset)))


def below(store: Path) -> list[str]:
    """Files of a store, without its folders."""
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if not path.is_dir())


def test_an_object_lies_under_hashes_and_reads_back_equal(
    make_intake: Callable[..., Intake], image: pydicom.Dataset, tmp_path: Path
) -> None:
    """The stored file is the object, its name says nothing, and only its owner may read it."""
    taken = take(make_intake(), image)
    series, instance = digest(str(image.SeriesInstanceUID)), digest(str(image.SOPInstanceUID))
    assert Taken(series, again=False) == taken
    path = tmp_path / "store" / "series" / series / "slices" / f"{instance}.dcm"
    assert [f"series/{series}/index.jsonl", f"series/{series}/slices/{instance}.dcm"] == below(tmp_path / "store")
    assert encoded(image) == encoded(pydicom.dcmread(path))
    assert 0o600 == path.stat().st_mode & 0o777


def test_the_same_object_twice_is_stored_once(make_intake: Callable[..., Intake], image: pydicom.Dataset) -> None:
    """Byte for byte the same: success, and it lay there already."""
    intake = make_intake()
    first = take(intake, image)
    assert isinstance(first, Taken)
    assert Taken(first.series, again=True) == take(intake, image)


def test_a_crash_loses_no_object(make_intake: Callable[..., Intake], image: pydicom.Dataset, tmp_path: Path) -> None:
    """An index that is torn, or gone, is made anew from the objects; files of passage are swept."""
    taken = take(make_intake(), image)
    assert isinstance(taken, Taken)
    index = tmp_path / "store" / "series" / taken.series / "index.jsonl"
    for torn in (index.read_bytes()[:40], b""):
        index.write_bytes(torn)
        (tmp_path / "store" / "incoming" / ("0" * 64 + "-7.dcm")).write_bytes(b"half")
        again = make_intake()
        assert [digest(str(image.SOPInstanceUID))] == list(again.series[taken.series].objects)
        assert [] == list((tmp_path / "store" / "incoming").iterdir())
        assert Taken(taken.series, again=True) == take(again, image)


def test_a_refused_conflict_is_remembered(make_intake: Callable[..., Intake], image: pydicom.Dataset) -> None:
    """Other content under one UID: refused now and after a restart."""
    intake = make_intake()
    taken = take(intake, image)
    assert isinstance(taken, Taken)
    image.InstanceNumber = 77
    refused = take(intake, image)
    assert isinstance(refused, Rejected)
    assert "conflict" == refused.reason
    assert ["conflict"] == make_intake().series[taken.series].marks


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"store_gib": 1e-9}, "store-full"), ({"free_mib": 2**40}, "disk"), ({"files_per_series": 1}, "series-full")],
)
def test_what_is_full_refuses_and_leaves_nothing(
    make_intake: Callable[..., Intake],
    image: pydicom.Dataset,
    tmp_path: Path,
    limits: dict[str, Any],
    reason: str,
) -> None:
    """Quota, disk, series: a typed refusal, and no byte of the object stays."""
    assert isinstance(take(make_intake(), image), Taken)
    image.SOPInstanceUID = generate_uid()
    before = below(tmp_path / "store")
    outcome = take(make_intake(**limits), image)
    assert isinstance(outcome, Rejected)
    assert reason == outcome.reason
    assert before == below(tmp_path / "store")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_full_refuses_and_leaves_nothing(
    tmp_path: Path, examiners: Examiners, image: pydicom.Dataset
) -> None:
    """A real disk of 256 KiB: the object that does not fit is refused, the one before it stays whole."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this machine mounts no tmpfs")
    try:
        settings = ReceiverSettings(limits=LimitSettings(free_mib=0))
        intake = Intake(Jail(tmp_path / "store"), settings, examiners, lambda: 0.0)
        assert isinstance(take(intake, image), Taken)
        image.SOPInstanceUID, image.ImageComments = generate_uid(), "x" * 10_000
        image.Rows = image.Columns = 512
        image.PixelData = bytes(2 * 512 * 512)
        before = below(tmp_path / "store")
        refused = take(intake, image)
        assert isinstance(refused, Rejected)
        assert "disk" == refused.reason
        with pytest.raises(OSError, match="No space left"):  # what statvfs did not foretell
            intake._jail.write("incoming", "big.dcm", parts=(bytes(2**20),))
        assert before == below(tmp_path / "store")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize("where", ["series", "incoming", "results", "quarantine"])
def test_a_link_in_the_store_is_never_followed(
    make_intake: Callable[..., Intake], image: pydicom.Dataset, tmp_path: Path, where: str
) -> None:
    """A folder of the store that became a link: refused, and nothing appears where it points."""
    intake = make_intake()
    target, store = tmp_path / "outside", tmp_path / "store"
    target.mkdir()
    if (store / where).exists():
        (store / where).rmdir()
    (store / where).symlink_to(target)
    if where == "quarantine":
        image.Rows = 0  # is rejected, so that it would be kept there
    outcome = take(intake, image)
    assert isinstance(outcome, Rejected if where in {"series", "incoming", "quarantine"} else Taken)
    with pytest.raises(JailError), Jail(store).folder(where):
        pytest.fail("a link was followed")
    assert [] == list(target.iterdir())


def test_a_file_that_became_a_link_is_not_written_through(tmp_path: Path) -> None:
    """A link in the place of a file: appending and reading refuse, replacing takes the link away."""
    jail, victim = Jail(tmp_path / "store"), tmp_path / "victim"
    victim.write_text("mine")
    for name in ("index.jsonl", "status.json"):
        (tmp_path / "store" / name).symlink_to(victim)
    with pytest.raises(JailError, match="is a link"):
        jail.append("index.jsonl", line=b"x")
    with pytest.raises(JailError, match="is a link"):
        jail.read("status.json", most_bytes=10)
    jail.replace("status.json", data=b"{}")
    assert b"{}" == (tmp_path / "store" / "status.json").read_bytes()
    assert "mine" == victim.read_text()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", ".hidden", "A" * 8, "a\0b", "x" * 81, "a.exe"])
def test_the_jail_knows_only_names_of_its_own(tmp_path: Path, name: str) -> None:
    """No name that was not made here opens anything."""
    with pytest.raises(JailError, match="none of ours"):
        Jail(tmp_path).write(name, parts=(b"x",))
    assert [] == list(tmp_path.iterdir())


def test_a_store_that_is_a_file_is_named(tmp_path: Path) -> None:
    """The store must be a folder; the sentence says so."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ReceiverError, match="cannot be used"):
        Jail(tmp_path / "file")


def test_rejected_objects_are_kept_for_a_person_up_to_a_limit(
    make_intake: Callable[..., Intake], tmp_path: Path
) -> None:
    """The first ones are kept with their reason; what comes after the limit is not."""
    intake = make_intake(quarantine_files=2)
    for index in range(4):
        outcome = intake.take(SENDER, EXPLICIT, CT, f"1.2.{index}", memoryview(b"rubbish %d" % index))
        assert isinstance(outcome, Rejected)
    names = below(tmp_path / "store")
    assert 2 == sum(name.endswith(".bin") for name in names)
    assert 4 == len(names)
    why = msgspec.json.decode((tmp_path / "store" / names[1]).read_bytes(), type=Rejected)
    assert why.reason in {"damaged", "mismatch"}


def test_an_examiner_that_dies_takes_one_object_with_it(tmp_path: Path) -> None:
    """Killed while it reads, or starved of memory: a typed refusal, and the next object is examined."""
    examiners = Examiners(ExamineSettings())
    try:
        for child in examiners._free:
            os.kill(child.pid, 9)
        job = Job(path=str(tmp_path / "none"), syntax=EXPLICIT, sop_class=CT, instance_uid="1.2")
        for _ in range(2):
            outcome = examiners.examine(job, struck=False)
            assert isinstance(outcome, Rejected)
            assert "examiner-died" == outcome.reason
        (tmp_path / "none").write_bytes(b"\0" * 128 + b"DICM\2\0\0\0UL\4\0" + b"\0" * 50)
        assert not isinstance(examiners.examine(job, struck=False), Examined)
        assert 2 == examiners.deaths
    finally:
        examiners.end()


def test_an_examiner_that_is_too_slow_is_killed(tmp_path: Path) -> None:
    """A pipe that never gives a byte stands for an object that takes for ever."""
    os.mkfifo(tmp_path / "endless")
    examiners = Examiners(ExamineSettings(wall_s=1.0))
    try:
        job = Job(path=str(tmp_path / "endless"), syntax=EXPLICIT, sop_class=CT, instance_uid="1.2")
        outcome = examiners.examine(job, struck=True)
        assert isinstance(outcome, Rejected)
        assert "examiner-slow" == outcome.reason
    finally:
        examiners.end()
