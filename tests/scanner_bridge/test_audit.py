"""The audit log: nothing lost, nothing changed unseen."""

from pathlib import Path

import pytest

from gating.errors import RecordError, SettingsError
from scanner_bridge.io.audit import AuditLog, records, verify


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three records."""
    path = tmp_path / "audit.log"
    audit = AuditLog(path)
    audit.append({"what": "first"}, {"what": "second", "text": 'é " \n {"number":9}'})
    audit.append({"what": "third"})
    audit.close()
    return path


def test_what_is_appended_is_there_and_the_chain_holds(log: Path) -> None:
    """Three records, sound to the last byte; text cannot break a line."""
    verdict = verify(log)
    assert (3, 0, None, log.stat().st_size) == (
        verdict.records, verdict.torn_bytes, verdict.broken, verdict.sound_bytes
    )  # fmt: skip
    assert ["first", "second", "third"] == [record["what"] for record in records(log)]


def test_a_log_goes_on_after_a_restart(log: Path) -> None:
    """The chain spans processes."""
    audit = AuditLog(log)
    audit.append({"what": "fourth"})
    audit.close()
    assert (4, None) == (verify(log).records, verify(log).broken)


def test_a_tail_torn_at_any_byte_is_found_and_kept(log: Path, tmp_path: Path) -> None:
    """Killed while writing the third record: two are sound, the rest is kept beside, and the log says so (L2)."""
    whole = log.read_bytes()
    second_ends = len(whole) - len(whole.splitlines(keepends=True)[-1])
    for cut in range(second_ends + 1, len(whole)):
        torn = tmp_path / f"torn-{cut}" / "audit.log"
        torn.parent.mkdir()
        torn.write_bytes(whole[:cut])
        assert (2, cut - second_ends, None) == (verify(torn).records, verify(torn).torn_bytes, verify(torn).broken)
        if cut % 40 == 0:
            AuditLog(torn).close()
            assert {"what": "torn-tail", "bytes": cut - second_ends, "kept_in": "audit.log.torn"} == records(torn)[-1]
            assert whole[second_ends:cut] + b"\n" == torn.with_name("audit.log.torn").read_bytes()
            assert (3, None) == (verify(torn).records, verify(torn).broken)


def test_any_changed_byte_breaks_the_chain_or_the_tail(log: Path) -> None:
    """No byte can be changed so that all three records still stand as they were."""
    whole = log.read_bytes()
    before = records(log)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x01
        log.write_bytes(changed)
        verdict = verify(log)
        assert verdict.broken is not None or verdict.torn_bytes or records(log)[:2] == before[:2]
        assert records(log) != before or verdict.broken is not None or verdict.torn_bytes


def test_a_removed_or_reordered_record_is_named(log: Path) -> None:
    """The verdict says where the chain breaks."""
    first, second, third = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first + third)
    assert (1, "record 3 where 2 belongs") == (verify(log).records, verify(log).broken)
    log.write_bytes(second + first)
    assert verify(log).broken is not None


def test_nothing_is_appended_to_a_broken_log(log: Path) -> None:
    """It is evidence."""
    log.write_bytes(log.read_bytes().replace(b"second", b"secund"))
    with pytest.raises(RecordError, match="after record 2"):
        AuditLog(log)


def test_an_unwritable_folder_is_named_with_the_cure(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="name a folder"):
        AuditLog(tmp_path / "file" / "audit.log")


def test_a_missing_log_cannot_be_verified(tmp_path: Path) -> None:
    """No log is not a sound log."""
    with pytest.raises(RecordError, match="cannot be read"):
        verify(tmp_path / "none.log")
