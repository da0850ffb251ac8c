"""The key files of a site: one Ed25519 pair each for gate, bridge and operator, and what a process may do with them.

A folder holds `<role>.key` (private, PEM, mode 0600) and `<role>.pub` (PEM). A host needs its own `.key` and the `.pub`
of its peers; the monitor needs no `.key` at all. A key is named by the first 16 hexadecimal digits of the SHA-256 of
the raw public key, so that two people can compare it over the telephone.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gating.errors import SettingsError

KeyRole = Literal["gate", "bridge", "operator"]
ROLES: tuple[KeyRole, ...] = get_args(KeyRole)


def key_id_of(public: Ed25519PublicKey) -> str:
    """Name a public key: the first 16 hexadecimal digits of the SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def make_keys(folder: Path) -> dict[KeyRole, str]:
    """Make one fresh pair for each role and return the key ids.

    Raises
    ------
    SettingsError
        If a key is already there (it is never overwritten) or the folder cannot be written.
    """
    found = [path.name for role in ROLES for path in (folder / f"{role}.key", folder / f"{role}.pub") if path.exists()]
    if found:
        raise SettingsError(
            f"{folder} already holds {', '.join(found)}, and a key is never overwritten; name another folder, "
            "or move the old keys away if every host shall get new ones."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return {role: _make_pair(folder, role) for role in ROLES}
    except OSError as error:
        raise SettingsError(
            f"Keys cannot be written to {folder} ({error.strerror}); name a folder of yours."
        ) from error


def _make_pair(folder: Path, role: KeyRole) -> str:
    """Write one pair; the private file is created with mode 0600, never widened and narrowed again."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(folder / f"{role}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    public = private.public_key()
    (folder / f"{role}.pub").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return key_id_of(public)


class Keyring:
    """The own private key, if the process has a role, and the public keys of all roles, from one folder."""

    def __init__(self, folder: Path, role: KeyRole | None) -> None:
        self.folder = folder
        self.role = role
        self._public = _read_public_keys(folder)
        self._roles = {key_id: owner for owner, public in self._public.items() for key_id in (key_id_of(public),)}
        if len(self._roles) < len(self._public):
            raise SettingsError(f"Two roles in {folder} share one public key; make keys anew with `diastole keys DIR`.")
        self._by_id = {key_id_of(public): public for public in self._public.values()}
        self._private = None if role is None else _read_private_key(folder / f"{role}.key")
        self.key_id = None if self._private is None else key_id_of(self._private.public_key())
        if self.key_id is not None and self._roles.get(self.key_id) != role:
            raise SettingsError(f"{folder}/{role}.key and {folder}/{role}.pub are no pair; copy both from one key set.")

    @property
    def roles(self) -> Mapping[str, KeyRole]:
        """Tell the role of every public key known here, by key id."""
        return MappingProxyType(self._roles)

    def missing(self) -> tuple[KeyRole, ...]:
        """Name the roles whose public key is not here: nothing they say will be believed."""
        return tuple(role for role in ROLES if role not in self._public)

    def sign(self, payload: bytes) -> bytes:
        """Sign the exact bytes of a payload with the own key.

        Raises
        ------
        SettingsError
            If this keyring has no role, thus no private key (the page).
        """
        if self._private is None:
            raise SettingsError("This process holds no key and can sign nothing; give it a role with a .key file.")
        return self._private.sign(payload)

    def verify(self, key_id: str, payload: bytes, signature: bytes) -> bool:
        """Say whether a signature over these exact bytes is that key's; False for an unknown key too."""
        public = self._by_id.get(key_id)
        if public is None:
            return False
        try:
            public.verify(signature, payload)
        except InvalidSignature:
            return False
        return True


def _read_public_keys(folder: Path) -> dict[KeyRole, Ed25519PublicKey]:
    """Read every `<role>.pub` of the folder."""
    keys: dict[KeyRole, Ed25519PublicKey] = {}
    for role in ROLES:
        path = folder / f"{role}.pub"
        if not path.exists():
            continue
        try:
            public = serialization.load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise SettingsError(f"{path} is no readable public key ({error}); copy it from its host again.") from error
        if not isinstance(public, Ed25519PublicKey):
            raise SettingsError(f"{path} is no Ed25519 key; make keys with `diastole keys DIR`.")
        keys[role] = public
    if not keys:
        raise SettingsError(f"No public keys in {folder}; make them with `diastole keys {folder}`.")
    return keys


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    """Read the own private key; one that others may read is refused."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SettingsError(f"{path} can be read by others (mode {mode:04o}); run `chmod 600 {path}`.")
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise SettingsError(f"{path} is missing; make keys with `diastole keys DIR` and copy it there.") from error
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{path} is no readable private key ({error}); copy it from its key set again.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise SettingsError(f"{path} is no Ed25519 key; make keys with `diastole keys DIR`.")
    return private
