"""The journal: every call of the gate and what came back, replayable, never waited for, never silently incomplete."""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gating.errors import RecordError, SettingsError
from gating.io import journal as journal_module
from gating.io.journal import Head, Journal, JournalledGate, head_for, read_journal, replay
from gating.messages import Inhibit, Message, Ping, Pong
from gating.settings import GateSettings
from gating.units import Nanoseconds


class CountingGate:
    """A gate in name: what it says depends on nothing but its calls and its settings."""

    def __init__(self, settings: GateSettings) -> None:
        self.boot = settings.boot
        self.total = 0
        self.wake_at_ns: int | None = None

    def receive(self, data: bytes, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Count bytes."""
        self.total += sum(data)
        return (Pong(token=self.boot, ping_at_ns=self.total, gate_at_ns=now_ns),)

    def hear(self, message: Message, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Answer a Ping."""
        assert isinstance(message, Ping)
        return (Pong(token=message.token, ping_at_ns=message.at_ns, gate_at_ns=now_ns),)

    def wake(self, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Say nothing."""
        return ()

    def lost(self, reason: str, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Inhibit."""
        return (Inhibit(session="s", nonce="n", sequence=1, latched=True, reasons=(reason,), at_ns=now_ns),)


def ns(value: int) -> Nanoseconds:
    """Shorten an instant."""
    return Nanoseconds(value)


def a_head(boot: str = "b1") -> Head:
    """Make a head."""
    return head_for(GateSettings(boot=boot), 5, "today")


def write_calls(path: Path, tell: Callable[[str], None] = print) -> list[tuple[Message, ...]]:
    """Journal one call of each kind and return what came back."""
    journal = Journal(path, a_head())
    gate = JournalledGate(CountingGate(GateSettings(boot="b1")), journal, tell=tell)
    out = [
        gate.receive(bytes(range(256)), ns(1)),
        gate.hear(Ping(token="t", at_ns=2), ns(2)),
        gate.wake(ns(3)),
        gate.lost("serial unplugged", ns(4)),
    ]
    journal.note(5, "a note")
    out.append(gate.receive(b"\x01", ns(6)))
    journal.close()
    assert journal.failure is None
    return out


def test_a_replay_gives_every_call_its_answer_again(tmp_path: Path) -> None:
    """Recorded and replayed messages are equal, call by call; a note is no call."""
    out = write_calls(tmp_path / "j")
    pairs = list(replay(tmp_path / "j", CountingGate))
    assert out == [recorded for recorded, _ in pairs]
    assert out == [replayed for _, replayed in pairs]


def test_the_head_says_what_a_replay_depends_on(tmp_path: Path) -> None:
    """Format, versions and all settings."""
    write_calls(tmp_path / "j")
    head, lines = read_journal(tmp_path / "j")
    assert ("diastole-journal/1", GateSettings(boot="b1"), 5) == (head.format, head.settings, head.started_at_ns)
    assert {"python", "diastole", "numpy"} <= set(head.versions)
    assert ["receive", "hear", "wake", "lost", "note", "receive"] == [line.call for line in lines]


def test_a_gate_that_answers_otherwise_shows(tmp_path: Path) -> None:
    """Other settings, other answers: the pairs differ where they differ."""
    write_calls(tmp_path / "j")
    pairs = list(replay(tmp_path / "j", lambda _: CountingGate(GateSettings(boot="other"))))
    assert [False, True, True, True, False] == [recorded == replayed for recorded, replayed in pairs]


def test_a_torn_tail_is_left_out_at_every_length(tmp_path: Path) -> None:
    """After a crash in the middle of the last line, all whole lines replay."""
    write_calls(tmp_path / "j")
    whole = (tmp_path / "j").read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for end in (last, last + 1, (last + len(whole)) // 2, len(whole) - 1):
        (tmp_path / "torn").write_bytes(whole[:end])
        assert 4 == len(list(replay(tmp_path / "torn", CountingGate)))


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """The lines before it still replay."""
    write_calls(tmp_path / "j")
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    lines[3] = b"garbage\n"
    (tmp_path / "j").write_bytes(b"".join(lines))
    pairs = replay(tmp_path / "j", CountingGate)
    next(pairs)
    next(pairs)
    with pytest.raises(RecordError, match="line 4, is damaged"):
        next(pairs)


@pytest.mark.parametrize("content", [b"", b"hello\n", b'{"format":"diastole-journal/1"}\n'])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    """By its first line."""
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(RecordError, match="does not begin as a journal"):
        read_journal(tmp_path / "j")


def test_a_missing_journal_and_another_format_are_named(tmp_path: Path) -> None:
    """Each with its cure."""
    with pytest.raises(RecordError, match="cannot be read"):
        read_journal(tmp_path / "none")
    write_calls(tmp_path / "j")
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes().replace(b"journal/1", b"journal/9"))
    with pytest.raises(RecordError, match="journal/9"):
        read_journal(tmp_path / "j")


def test_a_journal_never_overwrites_another(tmp_path: Path) -> None:
    """An existing file, or a folder that is none, is a matter of settings."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "j"):
        with pytest.raises(SettingsError, match="cannot be made"):
            Journal(path, a_head())


def test_lines_reach_the_disk_within_half_a_second(tmp_path: Path) -> None:
    """A killed process loses at most the last moment."""
    journal = Journal(tmp_path / "j", a_head())
    try:
        journal.record("wake", 1, None, ())
        deadline = time.monotonic() + 0.5
        while b'"wake"' not in (tmp_path / "j").read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        journal.close()


class SlowJournal(Journal):
    """A journal whose disk has stopped."""

    release = threading.Event()

    def _write(self, line: bytes) -> None:
        """Write one line, if the disk lets it."""
        if b'"call"' in line:
            self.release.wait(10)
        super()._write(line)


def test_an_overflow_is_told_to_the_gate_once_and_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stopped disk the gate is inhibited, never waited for, and stays so; what was queued is still kept."""
    monkeypatch.setattr(journal_module, "QUEUE_CALLS", 8)
    SlowJournal.release.clear()
    journal = SlowJournal(tmp_path / "j", a_head())
    told: list[str] = []
    gate = JournalledGate(CountingGate(GateSettings()), journal, tell=told.append)
    began = time.monotonic()
    out = [gate.receive(b"\x01", ns(number)) for number in range(20)]
    assert time.monotonic() - began < 1.0
    inhibited = [any(isinstance(message, Inhibit) for message in answer) for answer in out]
    assert 1 == sum(inhibited)
    assert all(answer == () for answer in out[inhibited.index(True) + 1 :])
    assert ["journal overflow"] == [m.reasons[0] for m in gate.wake(ns(30)) if isinstance(m, Inhibit)]
    assert () == gate.hear(Ping(token="t", at_ns=2), ns(31))
    assert 1 == len(told) and "no scan without a journal" in told[0]
    SlowJournal.release.set()
    journal.close()
    assert 8 <= len(list(replay(tmp_path / "j", CountingGate)))


class FullJournal(Journal):
    """A journal whose disk is full."""

    def _write(self, line: bytes) -> None:
        """Write one line, if the disk lets it."""
        if b'"call"' in line:
            raise OSError(28, "No space left on device")
        super()._write(line)


def test_a_full_disk_is_told_like_an_overflow(tmp_path: Path) -> None:
    """With its own reason, and closing does not hang."""
    journal = FullJournal(tmp_path / "j", a_head())
    gate = JournalledGate(CountingGate(GateSettings()), journal, tell=lambda _: None)
    gate.receive(b"\x01", ns(1))
    deadline = time.monotonic() + 2
    while journal.failure is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    answer = gate.receive(b"\x01", ns(2))
    assert ["journal failed (No space left on device)"] == [m.reasons[0] for m in answer if isinstance(m, Inhibit)]
    journal.close()


def test_closing_a_journal_whose_writer_died_with_a_full_queue_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of the writer is looked for again and again, not waited for in the queue."""
    monkeypatch.setattr(journal_module, "QUEUE_CALLS", 1)
    journal = FullJournal(tmp_path / "j", a_head())
    for number in range(5):
        journal.record("wake", number, None, ())
    began = time.monotonic()
    journal.close()
    assert time.monotonic() - began < 2
    assert queue.Queue is type(journal._queue)
