"""Which trouble follows from which: a cause is shown first, what follows from it under it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edged.domain.health import Finding, HealthStatus, overall

# part -> the parts that it needs in order to work: nothing where it has no entry, and never in a circle
Needs = Mapping[str, Sequence[str]]

_severity = list(HealthStatus).index


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A trouble of a part that no other trouble explains.

    `consequences` are the troubles of the parts that need this part, and whatever else is wrong with it.
    """

    finding: Finding
    consequences: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the cause, then its consequences."""
        return (self.finding, *self.consequences)

    @property
    def status(self) -> HealthStatus:
        """Return the worst status of the cause and its consequences."""
        return overall(self.findings)

    def lines(self) -> Iterator[str]:
        """Yield a line for each trouble. A consequence names its cause instead of a remedy of its own."""
        yield str(self.finding)
        for finding in self.consequences:
            of_same_part = finding.where == self.finding.where
            yield str(finding) if of_same_part else f"{finding.what}; follows from {self.finding.where}"


def arrange(findings: Iterable[Finding], needs: Needs) -> tuple[Cause, ...]:
    """Return the troubles among `findings` by cause.

    The most severe cause comes first; among equals the one with more consequences, then the one found first.
    """
    troubles = [finding for finding in findings if finding.status is not HealthStatus.OK]
    troubles.sort(key=lambda finding: -_severity(finding.status))  # a stable sort
    severities = {finding.where: _severity(finding.status) for finding in reversed(troubles)}
    by_root: dict[str, list[Finding]] = {}
    for finding in troubles:
        roots = _roots(finding.where, severities, needs)
        by_root.setdefault(max(roots, key=severities.__getitem__), []).append(finding)
    causes = [_cause(root, group) for root, group in by_root.items()]
    return tuple(sorted(causes, key=lambda cause: (-_severity(cause.status), -len(cause.consequences))))


def _roots(part: str, troubled: Mapping[str, int], needs: Needs) -> list[str]:
    """Return the troubled parts at the far ends of what `part` needs; `part` itself where there are none."""
    beyond = [root for needed in needs.get(part, ()) for root in _roots(needed, troubled, needs)]
    return beyond or ([part] if part in troubled else [])


def _cause(root: str, group: Sequence[Finding]) -> Cause:
    own = next(finding for finding in group if finding.where == root)
    return Cause(finding=own, consequences=tuple(finding for finding in group if finding is not own))


def consistent(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings without repetitions; a part that is in trouble is not called sound as well."""
    distinct = list(dict.fromkeys(findings))
    troubled = {finding.where for finding in distinct if finding.status is not HealthStatus.OK}
    return [f for f in distinct if f.status is not HealthStatus.OK or f.where not in troubled]
