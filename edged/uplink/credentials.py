"""The credentials file: written once by `edged enrol`, read by the daemon, readable by no other user."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.uplink.errors import CredentialsError, NotEnrolledError

_ENROL = "get a code from the operator and run `edged enrol --config FILE --code CODE`"
_FIELDS = ("device_id", "token", "private_key", "snapshot_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """`token` opens the cloud to the box, `snapshot_token` the box to the cloud; the key signs snapshots."""

    device_id: str
    token: str = field(repr=False)
    private_key: Ed25519PrivateKey = field(repr=False)
    snapshot_token: str = field(repr=False)


def load_credentials(path: Path) -> Credentials:
    """Read the file. Raises NotEnrolledError when there is none, CredentialsError when it cannot be used."""
    try:
        with path.open(encoding="utf-8") as file:
            # group read stays allowed: systemd's LoadCredential= shows an ACL as such
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o037:
                raise CredentialsError(
                    str(path), f"other users may read it (mode {mode:04o})", f"chmod 600 {path}"
                )
            content = json.load(file)
    except FileNotFoundError as error:
        raise NotEnrolledError(str(path), "this box is not enrolled", _ENROL) from error
    except OSError as error:
        remedy = "correct uplink.credentials" if path.is_dir() else f"give {path} to the user edged"
        raise CredentialsError(str(path), error.strerror or str(error), remedy) from error
    except ValueError as error:
        raise CredentialsError(str(path), "damaged, not JSON", _ENROL) from error
    return _checked(path, content)


class CredentialsFile:
    """The credentials as last read; read again by the uplink, so that enrolling needs no restart."""

    def __init__(self, path: Path, current: Credentials | None = None) -> None:
        self.current = current
        self._path = path

    def read(self) -> Credentials:
        """Read the file again; what was read before stays when that fails. Raises CredentialsError."""
        self.current = load_credentials(self._path)
        return self.current

    def snapshot_token(self) -> str | None:
        """Return the token that opens the snapshot API, None before the enrolment."""
        return self.current.snapshot_token if self.current else None


def _checked(path: Path, content: object) -> Credentials:
    if not isinstance(content, dict):
        raise CredentialsError(str(path), "damaged, not a JSON object", _ENROL)
    for name in _FIELDS:
        value = content.get(name)
        # what goes into an HTTP header must be plain ASCII without spaces
        if not isinstance(value, str) or not value or not value.isascii() or any(c <= " " for c in value):
            raise CredentialsError(str(path), f"damaged, {name} is missing or malformed", _ENROL)
    try:
        private_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(content["private_key"]))
    except ValueError as error:
        raise CredentialsError(str(path), "damaged, private_key is not 32 bytes in hex", _ENROL) from error
    return Credentials(
        device_id=content["device_id"],
        token=content["token"],
        private_key=private_key,
        snapshot_token=content["snapshot_token"],
    )


def write_credentials(path: Path, credentials: Credentials) -> None:
    """Write the file, mode 0600, complete or not at all. Raises CredentialsError."""
    content = {
        "device_id": credentials.device_id,
        "token": credentials.token,
        "private_key": credentials.private_key.private_bytes_raw().hex(),
        "snapshot_token": credentials.snapshot_token,
    }
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def check_writable(path: Path) -> None:
    """Make sure that credentials can be kept, before a one-time code is spent. Raises CredentialsError."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        part.touch(mode=0o600)
        part.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> CredentialsError:
    return CredentialsError(
        str(path), f"cannot be written ({error.strerror})", f"run as root, or as the owner of {path.parent}"
    )
