"""Key files: who may say what is settled by who holds which key."""

from pathlib import Path

import pytest

from gating.errors import SettingsError
from gating.io.keys import ROLES, Keyring, make_keys


def test_each_role_gets_a_pair_and_only_the_private_half_is_secret(tmp_path: Path) -> None:
    """Private keys have mode 0600, and the ids differ."""
    ids = make_keys(tmp_path / "keys")
    assert set(ROLES) == set(ids)
    assert 3 == len(set(ids.values()))
    assert [0o600] * 3 == [(tmp_path / "keys" / f"{role}.key").stat().st_mode & 0o777 for role in ROLES]
    assert all(16 == len(key_id) and int(key_id, 16) >= 0 for key_id in ids.values())


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    """A second call refuses by the file's name and leaves the first keys as they are."""
    make_keys(tmp_path)
    before = (tmp_path / "gate.key").read_bytes()
    with pytest.raises(SettingsError, match=r"gate\.key"):
        make_keys(tmp_path)
    assert before == (tmp_path / "gate.key").read_bytes()


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    """A file where the folder should be is refused with the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        make_keys(tmp_path / "file" / "keys")


def test_a_signature_holds_for_the_exact_bytes_and_the_right_key(key_folder: Path) -> None:
    """One changed byte, another key or an unknown key: not believed."""
    gate, bridge = Keyring(key_folder, "gate"), Keyring(key_folder, "bridge")
    assert gate.key_id is not None and bridge.key_id is not None
    signature = gate.sign(b"payload")
    assert bridge.verify(gate.key_id, b"payload", signature)
    assert not bridge.verify(gate.key_id, b"Payload", signature)
    assert not bridge.verify(bridge.key_id, b"payload", signature)
    assert not bridge.verify("0" * 16, b"payload", signature)
    assert "gate" == bridge.roles[gate.key_id]


def test_the_monitor_can_verify_but_not_sign(key_folder: Path) -> None:
    """A keyring without a role has no private key."""
    ring = Keyring(key_folder, None)
    assert ring.key_id is None
    with pytest.raises(SettingsError, match="no key"):
        ring.sign(b"payload")


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The cure names chmod."""
    make_keys(tmp_path)
    (tmp_path / "gate.key").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Keyring(tmp_path, "gate")


def test_a_missing_private_key_is_named(tmp_path: Path) -> None:
    """So is the command that makes it."""
    make_keys(tmp_path)
    (tmp_path / "bridge.key").unlink()
    with pytest.raises(SettingsError, match=r"bridge\.key is missing.*diastole keys"):
        Keyring(tmp_path, "bridge")


def test_no_keys_at_all_is_told_with_the_cure(tmp_path: Path) -> None:
    """An empty folder says which command to run."""
    with pytest.raises(SettingsError, match="diastole keys"):
        Keyring(tmp_path, None)


def test_missing_peers_are_listed(tmp_path: Path) -> None:
    """A host without the operator's public key will not believe the operator, and can say so."""
    make_keys(tmp_path)
    (tmp_path / "operator.pub").unlink()
    assert ("operator",) == Keyring(tmp_path, "gate").missing()


def test_halves_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    """A private key from one set beside a public key of another is a mistake, told at once."""
    make_keys(tmp_path / "one")
    make_keys(tmp_path / "two")
    (tmp_path / "one" / "gate.pub").write_bytes((tmp_path / "two" / "gate.pub").read_bytes())
    with pytest.raises(SettingsError, match="no pair"):
        Keyring(tmp_path / "one", "gate")


def test_one_key_for_two_roles_is_refused(tmp_path: Path) -> None:
    """Otherwise the gate could speak as the operator."""
    make_keys(tmp_path)
    (tmp_path / "operator.pub").write_bytes((tmp_path / "gate.pub").read_bytes())
    with pytest.raises(SettingsError, match="share one public key"):
        Keyring(tmp_path, "gate")


@pytest.mark.parametrize("name", ["gate.key", "gate.pub"])
def test_a_file_that_is_no_key_is_named(tmp_path: Path, name: str) -> None:
    """Garbage in a key file is refused by its path."""
    make_keys(tmp_path)
    (tmp_path / name).write_text("garbage")
    with pytest.raises(SettingsError, match=name):
        Keyring(tmp_path, "gate")
