"""The receiver's parts one by one: settings, who may connect, what is complete, and an examination of any bytes."""

import io
import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.io.receiver import scorer
from scoring.io.receiver.admission import HOUR_S, Admission
from scoring.io.receiver.completeness import judge
from scoring.io.receiver.errors import ReceiverError
from scoring.io.receiver.examine import valid_uid
from scoring.io.receiver.guard import MIB, Held, rejection, titles
from scoring.io.receiver.records import Draft, Examined, digest
from scoring.io.receiver.self_check import self_check
from scoring.io.receiver.settings import (
    DraftSettings,
    LimitSettings,
    PeerSettings,
    ReceiverSettings,
    parse_receiver,
    read_receiver,
)
from scoring.settings import ScoreSettings
from tests.scoring.receiving import associate_request

SCANNER = PeerSettings(ae_title="SCANNER", network="192.0.2.0/28")


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"prot": 104}, "prot"),
        ({"port": 70000}, "port"),
        ({"ae_title": "SEVENTEEN LETTERS"}, "ae_title"),
        ({"ae_title": "BACK\\SLASH"}, "ae_title"),
        ({"peers": [{"ae_title": "A", "network": "192.0.2.1/24"}]}, "host bits set"),
        ({"peers": [{"ae_title": "A", "network": "scanner.example"}]}, "no address or network"),
        ({"peers": [{"ae_title": "A"}]}, "network"),
        ({"limits": {"pdu_kib": 4096}}, "pdu_kib"),
        ({"tls": {"certificate": "a", "key": "b"}}, "accept"),
        ({"peers": [{"ae_title": "A", "network": "::1", "certificate_sha256": "0" * 64}]}, r"scoring\.receiver\.tls"),
        ({"score": {"threshold": 100}}, "threshold"),
    ],
)
def test_wrong_settings_are_refused_by_name(section: dict[str, Any], named: str) -> None:
    """An unknown key or a wrong value stops the receiver, and the sentence names it."""
    with pytest.raises(ReceiverError, match=named):
        parse_receiver(section, "site.toml")


def test_the_defaults_let_nobody_in_and_listen_on_this_machine_only() -> None:
    """An empty section is a receiver that refuses everybody."""
    settings = parse_receiver({}, "site.toml")
    assert ("127.0.0.1", ()) == (settings.host, settings.peers)
    assert "no-peers" == Admission(settings).connect("127.0.0.1", 0.0)


@pytest.mark.parametrize(
    ("text", "named"),
    [(None, "cannot be read"), ("x = ", "not TOML"), ("site = 'a'", r"no section \[scoring.receiver\]")],
)
def test_a_site_file_that_tells_nothing_is_named(tmp_path: Path, text: str | None, named: str) -> None:
    """Missing, no TOML, or without the section."""
    path = tmp_path / "site.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ReceiverError, match=named):
        read_receiver(path)


def test_files_of_tls_lie_beside_the_site_file(tmp_path: Path) -> None:
    """Relative paths count from the site file; absolute ones stay."""
    (tmp_path / "site.toml").write_text(
        '[scoring.receiver.tls]\ncertificate = "own.pem"\nkey = "/keys/own.key"\naccept = ["scanner.pem"]\n'
    )
    tls = read_receiver(tmp_path / "site.toml").tls
    assert tls is not None
    assert (f"{tmp_path}/own.pem", "/keys/own.key", (f"{tmp_path}/scanner.pem",)) == (
        tls.certificate,
        tls.key,
        tls.accept,
    )


def admission(**limits: Any) -> Admission:
    """Make the books of a receiver with one peer."""
    return Admission(ReceiverSettings(peers=(SCANNER,), limits=LimitSettings(**limits)))


@pytest.mark.parametrize(
    ("address", "called", "calling", "expected"),
    [
        ("192.0.2.3", "DIASTOLE", "SCANNER", SCANNER),
        ("::ffff:192.0.2.3", "DIASTOLE", "SCANNER", SCANNER),
        ("192.0.2.3", "diastole", "SCANNER", "wrong-called-title"),
        ("192.0.2.3", "DIASTOLE", "scanner", "unknown-peer"),
        ("192.0.2.16", "DIASTOLE", "SCANNER", "unknown-peer"),
        ("::1", "DIASTOLE", "SCANNER", "unknown-peer"),
    ],
)
def test_a_peer_is_its_title_from_its_network(address: str, called: str, calling: str, expected: object) -> None:
    """Title and address belong together; case counts."""
    assert expected == admission().judge(address, called, calling, b"", 0.0)


def test_a_peer_that_is_bound_to_a_certificate_needs_that_one() -> None:
    """Another accepted certificate is not enough."""
    bound = PeerSettings(ae_title="SCANNER", network="::1", certificate_sha256=digest("mine"))
    books = Admission(ReceiverSettings(peers=(bound,)))
    assert bound == books.judge("::1", "DIASTOLE", "SCANNER", b"mine", 0.0)
    assert "wrong-certificate" == books.judge("::1", "DIASTOLE", "SCANNER", b"other", 0.0)


def test_connections_are_counted_by_address_and_given_back() -> None:
    """Beyond the limit a request is rejected, beyond twice of it the connection; one that ends makes room."""
    books = admission(associations_per_peer=1)
    assert [None, None, "too-many-connections"] == [books.connect("192.0.2.1", 0.0) for _ in range(3)]
    assert "too-many-connections" == books.judge("192.0.2.1", "DIASTOLE", "SCANNER", b"", 0.0)
    books.leave("192.0.2.1")
    assert SCANNER == books.judge("192.0.2.1", "DIASTOLE", "SCANNER", b"", 0.0)
    assert books.connect("192.0.2.2", 0.0) is None


def test_bytes_are_counted_by_the_hour() -> None:
    """Used up, a peer is rejected; after an hour it begins anew; another address is not concerned."""
    books = admission(peer_mib_per_hour=1)
    assert books.spend("192.0.2.1", MIB, 0.0)
    assert not books.spend("192.0.2.1", 1, 1.0)
    assert "peer-quota" == books.judge("192.0.2.1", "DIASTOLE", "SCANNER", b"", 2.0)
    assert SCANNER == books.judge("192.0.2.2", "DIASTOLE", "SCANNER", b"", 2.0)
    assert SCANNER == books.judge("192.0.2.1", "DIASTOLE", "SCANNER", b"", HOUR_S + 1.0)


def test_an_address_with_too_many_faults_is_shut_out_for_a_while() -> None:
    """Connections and bytes are refused; another address is not concerned; after the time it may come again."""
    books = admission(faults_per_minute=2, shut_out_s=60.0)
    for _ in range(3):
        assert books.connect("192.0.2.1", 0.0) is None
        books.leave("192.0.2.1")
        books.fault("192.0.2.1", 0.0)
    assert "shut-out" == books.connect("192.0.2.1", 1.0)
    assert not books.spend("192.0.2.1", 1, 1.0)
    assert books.connect("192.0.2.2", 1.0) is None
    assert books.connect("192.0.2.1", 61.0) is None


def test_faults_far_apart_shut_nobody_out() -> None:
    """The minute begins anew."""
    books = admission(faults_per_minute=1)
    for minute in range(5):
        books.fault("192.0.2.1", 61.0 * minute)
    assert books.connect("192.0.2.1", 300.0) is None


def test_what_is_held_is_bounded() -> None:
    """Bytes on their way are reserved before they are kept, and given back."""
    held = Held(10)
    assert [True, False, True] == [held.take(8), held.take(3), held.take(2)]
    held.give(10)
    assert held.take(10)


def test_titles_and_rejections_are_those_of_the_standard() -> None:
    """Called before calling, padding gone (PS3.8 table 9-11); a rejection has ten bytes (table 9-21)."""
    assert ("DIASTOLE", "SCANNER") == titles(associate_request("SCANNER", "DIASTOLE"))
    assert struct.pack(">BBLBBBB", 3, 0, 4, 0, 1, 1, 7) == rejection(1, 1, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.2.3", True), ("2.25." + "9" * 38, True), ("1" * 65, False), ("", False), ("1..2", False), ("1.2.", False),
     ("../x", False), ("1.2\n", False), ("١.٢", False), (None, False)],
)  # fmt: skip
def test_a_uid_is_digits_and_dots(text: object, expected: bool) -> None:
    """Nothing else is one, whatever a regular expression may think of other digits or line ends."""
    assert expected == valid_uid(text)


def images(places: list[float], announced: int | None = None, **more: Any) -> list[Examined]:
    """Make records of slices at some places."""
    same = dict.fromkeys(("series", "study", "patient", "accession", "frame"), "0" * 64)
    fields = {**same, "kind": "slice", "thickness_mm": 3.0, "announced": announced, **more}
    return [Examined(instance=f"{place}", positions_mm=(place,), **fields) for place in places]


CASES = {
    "nothing": ([], "no-slices", False, ""),
    "a scout only": (images([0.0], kind="localizer"), "no-slices", False, ""),
    "one slice": (images([0.0]), "incomplete", False, "one slice only"),
    "a whole stack": (images([0.0, 3.0, 6.0]), "complete", False, ""),
    "a whole stack, told": (images([0.0, 3.0, 6.0], 3), "complete", True, ""),
    "in any order": (images([6.0, 0.0, 3.0], 3), "complete", True, ""),
    "overlapping": (images([0.0, 1.5, 3.0]), "complete", False, ""),
    "one missing": (images([0.0, 3.0, 9.0]), "incomplete", False, "1 slice(s) between 3 and 9 mm"),
    "two missing": (images([0.0, 3.0, 12.0, 15.0]), "incomplete", False, "2 slice(s) between 3 and 12 mm"),
    "every second missing": (images([0.0, 6.0, 12.0]), "incomplete", False, "every second one"),
    "the end missing": (images([0.0, 3.0], 3), "incomplete", False, "1 of the 3 images"),
    "more than told": (images([0.0, 3.0, 6.0], 2), "complete", True, ""),
    "told by two acquisitions": (
        [*images([0.0, 3.0], 2), *images([6.0, 9.0], 2, acquisition="b")], "complete", False, ""
    ),
    "second acquisition short": (
        [*images([0.0, 3.0], 2), *images([6.0], 2, acquisition="b")], "incomplete", False, "1 of the 2 images"
    ),
    "two at one place": (images([0.0, 3.0, 3.0, 6.0]), "complete", False, ""),  # the scorer refuses it, with its reason
    "part of a concatenation": (images([0.0, 3.0], kind="frames", parts=3), "incomplete", False, "1 of 3 parts"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_completeness(name: str) -> None:
    """A series is complete, or the text says what is missing."""
    records, state, counted, text = CASES[name]
    found = judge(records, ScoreSettings())
    assert (state, counted) == (found.state, found.counted)
    assert text in " ".join(found.missing)
    assert bool(text) == bool(found.missing)


@given(st.integers(4, 60), st.data())
def test_a_slice_missing_inside_is_always_seen(slices: int, data: st.DataObject) -> None:
    """Whatever inner slice is taken out of whatever stack of at least four."""
    gone = data.draw(st.integers(1, slices - 2))
    step = data.draw(st.sampled_from([0.5, 1.5, 2.5, 3.0]))
    places = [step * index for index in range(slices) if index != gone]
    found = judge(images(places), ScoreSettings())
    assert "incomplete" == found.state


def test_a_number_that_is_not_believed_counts_for_nothing() -> None:
    """Where the scanner's number is of no use, gaps and silence decide."""
    found = judge(images([0.0, 3.0], 99), ScoreSettings(believe_count=False))
    assert ("complete", False) == (found.state, found.counted)


def test_the_scoring_process_checks_itself_while_it_waits() -> None:
    """A known series scores what it must, and every result of it can be made; a wrong definition is told."""
    assert "" == self_check()
    assert "a series of 12 scores 16.0" == self_check(ScoreSettings(weight_edges_hu=(150.0, 200.0, 250.0)))


def test_a_scoring_process_that_fails_its_check_takes_no_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, as for every other fault, and says what to do."""
    stdin, job = os.pipe()
    answer = io.BytesIO()
    monkeypatch.setattr(scorer, "confine", lambda *_, **__: None)
    monkeypatch.setattr(scorer, "allow_cpu", lambda *_: None)
    monkeypatch.setattr(scorer, "self_check", lambda: os.write(job, b"{}\n") and "it scores 11, not 12")
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=answer))
    with os.fdopen(stdin, "r") as asked:
        monkeypatch.setattr("sys.stdin", asked)
        scorer.main(DraftSettings())
    os.close(job)
    told = msgspec.json.decode(answer.getvalue(), type=Draft)
    assert ("failed", None) == (told.state, told.revision)
    assert "failed its check (it scores 11, not 12); install Diastole again" in told.reasons[0]
