"""Takes one object: checked, written, examined in a child, then published under a hash, or refused with nothing left.

STORE/series/<series>/slices/<instance>.dcm      the objects, never changed
STORE/series/<series>/index.jsonl                what each of them is, one line an object
STORE/series/<series>/outcome.json               what became of the series
STORE/results/<series>/revision-0001/            the drafts
STORE/quarantine/<content>.bin, .json            rejected objects and why
STORE/incoming/                                  files of passage, emptied at every start
"""

import contextlib
import hashlib
import io
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info

from scoring.io.receiver.children import Examiners
from scoring.io.receiver.errors import JailError
from scoring.io.receiver.examine import dataset_offset, valid_uid
from scoring.io.receiver.guard import MIB
from scoring.io.receiver.jail import Jail
from scoring.io.receiver.records import Examined, Job, Reason, Record, Rejected, digest
from scoring.io.receiver.settings import ReceiverSettings

IMPLEMENTATION_UID = "2.25.252173437386146083044353276542871403087"
MOST_INDEX_BYTES = 64 * MIB
PREFIX = b"\0" * 128 + b"DICM"


class Stored(Record, frozen=True):
    """One line of an index: an object that lies in the store."""

    content: str
    size: int
    what: Examined


class Mark(Record, frozen=True):
    """One line of an index: an object that was refused for what lies there already."""

    why: Reason


@dataclass(slots=True)
class Series:
    """One series as it has come so far."""

    objects: dict[str, Stored] = field(default_factory=dict)  # by instance
    marks: list[Reason] = field(default_factory=list)
    changed_s: float = 0.0
    senders: set[int] = field(default_factory=set)  # connections that are open and sent something of it


@dataclass(frozen=True, slots=True)
class Sender:
    """Where an object comes from."""

    connection: int
    struck: bool = False  # has hurt an examiner before


@dataclass(frozen=True, slots=True)
class Taken:
    """An object that lies in the store now, or lay there already, byte for byte."""

    series: str
    again: bool


class Intake:
    """The store's front: many threads give objects, one desk looks what has come."""

    def __init__(
        self, jail: Jail, settings: ReceiverSettings, examiners: Examiners, clock: Callable[[], float]
    ) -> None:
        self.series: dict[str, Series] = {}
        self.lock = threading.RLock()
        self.unsettled: set[str] = set()
        self._jail, self._settings, self._examiners, self._clock = jail, settings, examiners, clock
        self._homes: dict[str, str] = {}  # series of each instance
        self._studies: dict[str, str] = {}  # patient of each study
        self._maps: list[Examined] = []  # vessel maps, the last one last
        self.epoch = 0  # rises with everything that is new
        self._numbers = itertools.count()
        self._load()
        self._used = jail.used_bytes()
        rotten = [name for name in jail.names("quarantine") if name.endswith(".bin")]
        self._quarantined = [len(rotten), sum(jail.path("quarantine", name).lstat().st_size for name in rotten)]

    def take(
        self, sender: Sender, syntax: str, sop_class: str, instance_uid: str, data: memoryview
    ) -> Taken | Rejected:
        """Take one object.

        Parameters
        ----------
        data
            The data set, encoded in the transfer syntax.

        Returns
        -------
        Taken, or Rejected with the reason; then nothing of it lies among the series.
        """
        if not (valid_uid(instance_uid) and valid_uid(sop_class)):
            return Rejected(reason="hostile-uid", text="the request's SOP class or instance is no UID")
        content = hashlib.sha256(f"{syntax}\0{sop_class}\0".encode())
        content.update(data)
        known = self._known(digest(instance_uid), content.hexdigest())
        if known is not None:
            return known
        head = _head(syntax, sop_class, instance_uid)
        size = len(head) + len(data)
        full = self._reserve(size)
        if full is not None:
            return full
        passing = ("incoming", f"{content.hexdigest()}-{next(self._numbers)}.dcm")
        kept = False
        try:
            self._jail.write(*passing, parts=(head, data))
            job = Job(
                path=str(self._jail.path(*passing)), syntax=syntax, sop_class=sop_class, instance_uid=instance_uid
            )
            examined = self._examiners.examine(job, struck=sender.struck)
            if isinstance(examined, Examined):
                outcome = self._publish(passing, Stored(content=content.hexdigest(), size=size, what=examined), sender)
            else:
                outcome = examined
            kept = isinstance(outcome, Taken) and not outcome.again
            if isinstance(outcome, Rejected) and outcome.reason not in {"busy", "series-full"}:
                kept = self._quarantine(passing, content.hexdigest(), size, outcome)
        except JailError as error:
            return Rejected(reason="disk", text=f"the store is not as we left it: {error.strerror}")
        except OSError as error:
            return Rejected(reason="disk", text=f"the disk did not take it ({error.strerror})")
        finally:
            with contextlib.suppress(OSError):
                self._jail.remove(*passing)
            if not kept:
                self._release(size)
        return outcome

    def leave(self, connection: int) -> None:
        """Hear that a connection has ended."""
        with self.lock:
            for one in self.series.values():
                one.senders.discard(connection)

    def map_for(self, key: str) -> tuple[str, str] | None:
        """Series and instance of the vessel map that came last for a series' patient, study and frame of reference."""
        with self.lock:
            images = [one.what for one in self.series[key].objects.values() if one.what.kind in {"slice", "frames"}]
            if not images:
                return None
            wanted = (images[0].patient, images[0].study, images[0].frame)
            fit = [one for one in self._maps if (one.patient, one.study, one.frame) == wanted]
            return (fit[-1].series, fit[-1].instance) if fit else None

    def _known(self, instance: str, content: str) -> Taken | Rejected | None:
        """Tell of an object that lies in the store: success when it is the same, else a conflict that is noted."""
        with self.lock:
            home = self._homes.get(instance)
            if home is None:
                return None
            if self.series[home].objects[instance].content == content:
                return Taken(home, again=True)
            self._mark(home, "conflict")
        return Rejected(reason="conflict", text="this SOPInstanceUID was stored with other content; that one stays")

    def _publish(self, passing: tuple[str, ...], stored: Stored, sender: Sender) -> Taken | Rejected:
        """Give an examined object its place, unless what lies there already forbids it."""
        what = stored.what
        with self.lock:
            known = self._known(what.instance, stored.content)
            if known is not None:
                return known
            series = self.series.get(what.series, Series())
            if len(series.objects) >= self._settings.limits.files_per_series:
                return Rejected(reason="series-full", text="its series has as many objects as one may have")
            for other in itertools.islice(series.objects.values(), 1):
                if (other.what.patient, other.what.study, other.what.accession) != (
                    what.patient, what.study, what.accession,
                ):  # fmt: skip
                    self._mark(what.series, "identity")
                    return Rejected(reason="identity", text="its series belongs to another patient, study or order")
            if self._studies.get(what.study, what.patient) != what.patient:
                return Rejected(reason="identity", text="its study belongs to another patient")
            self._jail.publish(passing, ("series", what.series, "slices", f"{what.instance}.dcm"))
            self._jail.append("series", what.series, "index.jsonl", line=msgspec.json.encode(stored))
            self._add(stored)
            self.series[what.series].changed_s = self._clock()
            self.series[what.series].senders.add(sender.connection)
            return Taken(what.series, again=False)

    def _add(self, stored: Stored) -> None:
        """Enter an object into the books; a map concerns all series of its frame of reference."""
        what = stored.what
        self.series.setdefault(what.series, Series()).objects[what.instance] = stored
        self._homes[what.instance] = what.series
        self._studies.setdefault(what.study, what.patient)
        self.unsettled.add(what.series)
        self.epoch += 1
        if what.kind == "map":
            self._maps.append(what)
            self.unsettled |= {
                name
                for name, one in self.series.items()
                if any(o.what.frame == what.frame for o in one.objects.values())
            }

    def _mark(self, key: str, why: Reason) -> None:
        """Note what was refused for a series; a disk that does not take the line leaves it in memory."""
        self.series[key].marks.append(why)
        self.unsettled.add(key)
        self.epoch += 1
        if self.series[key].marks.count(why) <= 10:
            with contextlib.suppress(OSError):
                self._jail.append("series", key, "index.jsonl", line=msgspec.json.encode(Mark(why=why)))

    def _reserve(self, size: int) -> Rejected | None:
        """Take space of the quota, or say what is full."""
        limits = self._settings.limits
        with self.lock:
            if self._used + size > limits.store_gib * 1024 * MIB:
                return Rejected(reason="store-full", text="the store has reached its limit (store_gib)")
            if self._jail.free_bytes() - size < limits.free_mib * MIB:
                return Rejected(reason="disk", text="the disk has reached what has to stay free (free_mib)")
            self._used += size
        return None

    def _release(self, size: int) -> None:
        """Give space back."""
        with self.lock:
            self._used -= size

    def _quarantine(self, passing: tuple[str, ...], content: str, size: int, why: Rejected) -> bool:
        """Keep a rejected object for a person, as long as there is room for such; True when it was kept."""
        limits = self._settings.limits
        with self.lock:
            count, used = self._quarantined
            if count >= limits.quarantine_files or used + size > limits.quarantine_mib * MIB:
                return False
            try:
                self._jail.publish(passing, ("quarantine", f"{content}.bin"), durable=False)
            except FileExistsError:
                return False
            self._quarantined = [count + 1, used + size]
        self._jail.replace("quarantine", f"{content}.json", data=msgspec.json.encode(why) + b"\n")
        return True

    def _load(self) -> None:
        """Read what lies in the store; what has no line in its index, after a crash, is examined again."""
        for name in self._jail.names("incoming"):
            self._jail.remove("incoming", name)
        for key in self._jail.names("series"):
            lines = self._jail.read("series", key, "index.jsonl", most_bytes=MOST_INDEX_BYTES).splitlines()
            there = {name.removesuffix(".dcm") for name in self._jail.names("series", key, "slices")}
            for line in lines:
                try:
                    entry: Stored | Mark = msgspec.json.decode(line, type=Stored | Mark)
                except msgspec.MsgspecError:
                    continue  # the torn last line of a crash: its object is examined again
                if isinstance(entry, Mark):
                    self.series.setdefault(key, Series()).marks.append(entry.why)
                elif entry.what.instance in there and entry.what.series == key:
                    there.discard(entry.what.instance)
                    self._add(entry)
            for instance in sorted(there):
                self._examine_again(key, instance)

    def _examine_again(self, key: str, instance: str) -> None:
        """Enter an object that lost its line."""
        names = ("series", key, "slices", f"{instance}.dcm")
        data = self._jail.read(*names, most_bytes=(self._settings.limits.object_mib + 1) * MIB)
        offset = dataset_offset(data)
        meta = pydicom.dcmread(io.BytesIO(data[:offset])).file_meta
        syntax, sop_class = str(meta.TransferSyntaxUID), str(meta.MediaStorageSOPClassUID)
        job = Job(
            path=str(self._jail.path(*names)),
            syntax=syntax,
            sop_class=sop_class,
            instance_uid=str(meta.MediaStorageSOPInstanceUID),
        )
        what = self._examiners.examine(job, struck=False)
        if isinstance(what, Examined) and (what.series, what.instance) == (key, instance):
            content = hashlib.sha256(f"{syntax}\0{sop_class}\0".encode() + data[offset:]).hexdigest()
            stored = Stored(content=content, size=len(data), what=what)
            self._jail.append("series", key, "index.jsonl", line=b"\n" + msgspec.json.encode(stored))
            self._add(stored)


def _head(syntax: str, sop_class: str, instance_uid: str) -> bytes:
    """Preamble and file meta group, from the request."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, instance_uid
    meta.TransferSyntaxUID, meta.ImplementationClassUID = syntax, IMPLEMENTATION_UID
    meta.ImplementationVersionName = "DIASTOLE"
    buffer = io.BytesIO()
    buffer.write(PREFIX)
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()
