"""Outbox -> cloud: at least once, deduplicated there by event id; requests come back on the answers."""

from edged.uplink.cloud import CloudClient
from edged.uplink.credentials import Credentials, CredentialsFile, load_credentials, write_credentials
from edged.uplink.enrolment import enrol
from edged.uplink.errors import (
    CloudBusyError,
    CloudDeniedError,
    CloudError,
    CloudNonsenseError,
    CloudRefusedError,
    CloudUnreachableError,
    CredentialsError,
    NotEnrolledError,
    UplinkError,
)
from edged.uplink.uplink import CLOCK_TOLERANCE_S, Outbox, Uplink

__all__ = [
    "CLOCK_TOLERANCE_S",
    "CloudBusyError",
    "CloudClient",
    "CloudDeniedError",
    "CloudError",
    "CloudNonsenseError",
    "CloudRefusedError",
    "CloudUnreachableError",
    "Credentials",
    "CredentialsError",
    "CredentialsFile",
    "NotEnrolledError",
    "Outbox",
    "Uplink",
    "UplinkError",
    "enrol",
    "load_credentials",
    "write_credentials",
]
