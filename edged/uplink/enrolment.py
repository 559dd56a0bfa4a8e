"""Trading a one-time code for the box's credentials."""

import secrets
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.settings import UplinkSettings
from edged.uplink.cloud import CloudClient
from edged.uplink.credentials import Credentials, check_writable, write_credentials
from edged.uplink.errors import CloudDeniedError, CloudRefusedError, CredentialsError, UplinkError
from edged.wire import EnrolmentRequest

_CODE_LENGTHS = (8, 64)


def enrol(
    settings: UplinkSettings,
    *,
    code: str,
    device_id: str,
    berths: Sequence[str],
    snapshot_url: str | None,
    replace: bool = False,
) -> Credentials:
    """Get credentials for `device_id` and keep them in `settings.credentials`.

    The private key is made here and never leaves the box. `snapshot_url` None: behind NAT, the cloud gets no
    token to pull with. Raises UplinkError; then no file was changed.
    """
    path = settings.credentials
    if path.exists() and not replace:
        raise CredentialsError(str(path), "this box is enrolled already", "to enrol it anew add --replace")
    if not _CODE_LENGTHS[0] <= len(code) <= _CODE_LENGTHS[1]:
        raise UplinkError(
            "", f"got a code of {len(code)} characters", "copy the whole one-time code that the operator sent"
        )
    check_writable(path)
    private_key = Ed25519PrivateKey.generate()
    snapshot_token = secrets.token_urlsafe(32)
    request = EnrolmentRequest(
        code=code,
        device_id=device_id,
        public_key=private_key.public_key().public_bytes_raw().hex(),
        berths=tuple(berths),
        snapshot_url=snapshot_url,
        snapshot_token=snapshot_token if snapshot_url else None,
    )
    with CloudClient(settings) as cloud:
        try:
            answer = cloud.enrol(request)
        except (CloudDeniedError, CloudRefusedError) as error:
            remedy = "a code works once, for one device_id, for a short time: get a new one"
            raise UplinkError(error.trouble.where, error.trouble.cause, remedy) from error
    if answer.device_id != device_id:
        raise UplinkError(
            "",
            f"the code belongs to {answer.device_id!r}, this box is {device_id!r}",
            "set site.device_id, or get a code for this box",
        )
    credentials = Credentials(
        device_id=device_id, token=answer.token, private_key=private_key, snapshot_token=snapshot_token
    )
    write_credentials(path, credentials)
    return credentials
