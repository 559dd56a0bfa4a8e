"""What can go wrong between the box and the cloud."""

from edged.domain.trouble import TroubleError


class UplinkError(TroubleError):
    """Base of this package's errors; the trouble names the file or the cloud's URL."""


class CredentialsError(UplinkError):
    """The credentials file cannot be used."""


class NotEnrolledError(CredentialsError):
    """There is no credentials file yet."""


class CloudError(UplinkError):
    """The cloud did not do what it was asked. `retry_after_s`: when it asked to be left alone."""

    def __init__(self, where: str, cause: str, remedy: str, retry_after_s: float | None = None) -> None:
        super().__init__(where, cause, remedy)
        self.retry_after_s = retry_after_s


class CloudUnreachableError(CloudError):
    """No answer: name not found, no route, TLS refused, timeout."""


class CloudBusyError(CloudError):
    """429 or 5xx: try again later."""


class CloudDeniedError(CloudError):
    """401 or 403: the credentials are not (or no longer) good."""


class CloudRefusedError(CloudError):
    """Another 4xx: this very request will never be accepted."""


class CloudNonsenseError(CloudError):
    """An answer that is not the cloud's: a captive portal, a proxy, another program on that port."""


class StoppingError(UplinkError):
    """The daemon stops: the rest of the batch waits for the next start."""
