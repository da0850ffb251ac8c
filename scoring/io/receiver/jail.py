"""The store's folder as a jail: every name is made here, no link is followed, nothing is half written or overwritten.

Files are opened relative to the handle of their folder, and each folder relative to that of the one above it, so a link
that somebody puts into the store leads nowhere (hazards.md D6). Folders are 0700 and files 0600.
"""

import contextlib
import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from scoring.io.receiver.errors import JailError, ReceiverError

NAME = re.compile(r"[0-9a-z][0-9a-z-]{0,79}(\.(dcm|bin|json|jsonl))?")  # hashes and our own words; no dots in front
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Jail:
    """One store. Every path is a tuple of names below its root."""

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root = root.resolve(strict=True)
            self._handle = os.open(self.root, FOLDER)
        except OSError as error:
            raise ReceiverError(
                f"The store {root} cannot be used ({error.strerror}); give a folder of ours."
            ) from error
        self._numbers = itertools.count()

    def close(self) -> None:
        """Let the root go."""
        os.close(self._handle)

    def path(self, *names: str) -> Path:
        """Full path of a file or folder, for a child process that reads it."""
        return self.root.joinpath(*(_checked(name) for name in names))

    @contextlib.contextmanager
    def folder(self, *names: str) -> Iterator[int]:
        """Open a folder, made where it is missing; the handle is closed at the end.

        Raises
        ------
        JailError
            If a name on the way is a link or a file.
        """
        handle = os.dup(self._handle)
        try:
            for name in names:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(_checked(name), 0o700, dir_fd=handle)
                try:
                    below = os.open(name, FOLDER, dir_fd=handle)
                except OSError as error:
                    raise _named(error, names) from error
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def write(self, *names: str, parts: tuple[bytes | memoryview, ...]) -> None:
        """Write a new file; what cannot be written whole is taken away again. It is not made durable yet."""
        with self.folder(*names[:-1]) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(_checked(names[-1]), flags, 0o600, dir_fd=folder)
            try:
                for part in parts:
                    _write_all(handle, memoryview(part))
            except BaseException:
                os.unlink(names[-1], dir_fd=folder)
                raise
            finally:
                os.close(handle)

    def publish(self, source: tuple[str, ...], target: tuple[str, ...], *, durable: bool = True) -> None:
        """Give a written file its name for good: durable first, unless it does not matter, and never over another.

        Raises
        ------
        FileExistsError
            If the name is taken; the source stays.
        """
        with self.folder(*source[:-1]) as old, self.folder(*target[:-1]) as new:
            handle = self._open(old, source)
            try:
                if durable:
                    os.fsync(handle)
            finally:
                os.close(handle)
            os.link(source[-1], _checked(target[-1]), src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
            if durable:
                os.fsync(new)
            os.unlink(source[-1], dir_fd=old)

    def replace(self, *names: str, data: bytes) -> None:
        """Write a small file of state whole, over the one before it; a link of that name is replaced, not followed."""
        passing = f"passing-{next(self._numbers)}.json"
        with self.folder("incoming") as old, self.folder(*names[:-1]) as new:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(passing, dir_fd=old)
            self.write("incoming", passing, parts=(data,))
            os.rename(passing, _checked(names[-1]), src_dir_fd=old, dst_dir_fd=new)

    def append(self, *names: str, line: bytes) -> None:
        """Add one line to a file of state."""
        with self.folder(*names[:-1]) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                handle = os.open(_checked(names[-1]), flags, 0o600, dir_fd=folder)
            except OSError as error:
                raise _named(error, names) from error
            try:
                _write_all(handle, memoryview(line + b"\n"))
            finally:
                os.close(handle)

    def read(self, *names: str, most_bytes: int) -> bytes:
        """Read a file of the store; a missing one is empty.

        Raises
        ------
        JailError
            If it is a link, no plain file, or longer than the most.
        """
        with self.folder(*names[:-1]) as folder:
            try:
                handle = self._open(folder, names)
            except FileNotFoundError:
                return b""
            with open(handle, "rb") as file:  # noqa: PTH123 - a handle, not a path
                data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise JailError(errno.EFBIG, f"{'/'.join(names)} is longer than {most_bytes} bytes")
        return data

    def remove(self, *names: str) -> None:
        """Take a file away; a missing one is no error."""
        with self.folder(*names[:-1]) as folder, contextlib.suppress(FileNotFoundError):
            os.unlink(_checked(names[-1]), dir_fd=folder)

    def names(self, *names: str) -> list[str]:
        """List what lies in a folder and bears a name of ours."""
        with self.folder(*names) as folder:
            return sorted(name for name in os.listdir(folder) if NAME.fullmatch(name))  # noqa: PTH208 - a handle, not a path

    def used_bytes(self) -> int:
        """Add up the sizes of all files, links not followed."""
        total = 0
        for _, _, files, handle in os.fwalk(dir_fd=self._handle, follow_symlinks=False):
            total += sum(os.stat(name, dir_fd=handle, follow_symlinks=False).st_size for name in files)
        return total

    def free_bytes(self) -> int:
        """Space that the disk has left."""
        told = os.fstatvfs(self._handle)
        return told.f_bavail * told.f_frsize

    def strangers_may_write(self) -> bool:
        """Tell whether the root belongs to somebody else, or many may write: then its names are not ours alone."""
        told = os.fstat(self._handle)
        return told.st_uid != os.getuid() or bool(told.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    @staticmethod
    def _open(folder: int, names: tuple[str, ...]) -> int:
        """Open a plain file for reading."""
        try:
            handle = os.open(
                _checked(names[-1]), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder
            )
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _named(error, names) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise JailError(errno.EINVAL, f"{'/'.join(names)} is no plain file; take it out of the store")
        return handle


def _checked(name: str) -> str:
    """Let through only names that were made here."""
    if not NAME.fullmatch(name):
        raise JailError(errno.EINVAL, "a name that is none of ours")
    return name


def _named(error: OSError, names: tuple[str, ...]) -> OSError:
    """Say which name is a link or a file where none may be; other errors stay as they are."""
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
        return JailError(error.errno, f"{'/'.join(names)} is a link or no folder; take it out of the store")
    return error


def _write_all(handle: int, data: memoryview) -> None:
    """Write all bytes; the system may take them in pieces."""
    while data:
        data = data[os.write(handle, data) :]
