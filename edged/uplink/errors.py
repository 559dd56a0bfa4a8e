"""What can go wrong between the box and the cloud."""


class UplinkError(Exception):
    """`what` is the cause, `remedy` the technician's next action."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


class CredentialsError(UplinkError):
    """The credentials file cannot be used."""


class NotEnrolledError(CredentialsError):
    """There is no credentials file yet."""


class CloudError(UplinkError):
    """The cloud did not do what it was asked. `retry_after_s`: when it asked to be left alone."""

    def __init__(self, what: str, remedy: str, retry_after_s: float | None = None) -> None:
        super().__init__(what, remedy)
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
