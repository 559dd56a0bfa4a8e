"""RFC 9457: how both APIs answer a request that cannot be granted."""

from http import HTTPStatus

from pydantic import BaseModel

from edged.domain.trouble import TroubleError

MEDIA_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """The body of every answer that is not a success. `field` is where in the request, as a dotted path."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str
    field: str | None = None


class Problem(TroubleError):
    """A request that cannot be granted: a trouble with a status.

    `slug` is the stable last part of the problem's `type`. `field` is where in the request, as a dotted
    path; None: the request as a whole.
    """

    def __init__(
        self,
        slug: str,
        status: int,
        detail: str,
        *,
        remedy: str,
        field: str | None = None,
        title: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(field or "", detail, remedy)
        self.slug = slug
        self.status = HTTPStatus(status)
        self.title = title or slug.replace("-", " ").capitalize()
        self.retry_after_s = retry_after_s

    def body(self, type_base: str) -> dict[str, object]:
        """Return the `application/problem+json` object; `type_base` begins its `type`."""
        body = ProblemBody(
            type=type_base + self.slug,
            title=self.title,
            status=int(self.status),
            detail=self.trouble.cause,
            remedy=self.trouble.remedy,
            field=self.trouble.where or None,
        )
        return body.model_dump(exclude_none=True)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that the status asks for."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return headers
