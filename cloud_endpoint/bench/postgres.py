"""A private PostgreSQL cluster on a socket of its own, thrown away afterwards or kept in a folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud_endpoint.base.errors import CloudError

_NOT_INSTALLED = "PostgreSQL is not installed: apt-get install postgresql"


class PostgresMissing(CloudError):
    """No PostgreSQL programs on this machine, or they do not run."""


class Cluster:
    """A running cluster: its URL, and stopping and starting it for tests of a restart."""

    def __init__(self, home: Path, programs: Path, options: str) -> None:
        self._home = home
        self._programs = programs
        self._options = f"-c listen_addresses= -c unix_socket_directories={home} {options}"
        # PostgreSQL refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.url = f"postgresql+psycopg://edged@/postgres?host={home}"

    def create(self) -> None:
        """Make the cluster's files."""
        if self._as_user:
            shutil.chown(self._home, "postgres", "postgres")
        self._run("initdb", "-N", "-U", "edged", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._run("pg_ctl", "-w", "-t", "120", "-l", f"{self._home}/log", "-o", self._options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop; `immediate` is a crash."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), "-D", f"{self._home}/data", *arguments]
        with (self._home / "commands.log").open("a") as log:
            # Not a pipe: the server would inherit it and never let it end.
            done = subprocess.run(command, stdout=log, stderr=log, cwd="/", check=False)
        if done.returncode != 0:
            said = (self._home / "commands.log").read_text()[-500:]
            raise PostgresMissing(f"{program} failed: {said}")


@contextmanager
def private_cluster(options: str = "") -> Iterator[Cluster]:
    """Run a cluster; `options` are `-c name=value`. Raises PostgresMissing."""
    programs = _programs()
    if programs is None:
        raise PostgresMissing(_NOT_INSTALLED)
    with tempfile.TemporaryDirectory(prefix="edged-pg-") as folder:
        cluster = Cluster(Path(folder), programs, options)
        cluster.create()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def kept_cluster(folder: Path, options: str = "") -> Iterator[Cluster]:
    """Run the cluster of a folder, made there at the first time. Raises PostgresMissing."""
    programs = _programs()
    if programs is None:
        raise PostgresMissing(_NOT_INSTALLED)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, programs, options)
    if not (folder / "data").exists():
        cluster.create()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop("fast")


def _programs() -> Path | None:
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((path for path in candidates if (path / "initdb").exists()), None)
