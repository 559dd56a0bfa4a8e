"""An emulated ARM machine: Debian's arm64 Python and the aarch64 wheels in a folder, run by qemu-user.

No second distribution is set up: packages are unpacked, not installed, and nothing of the host changes.
"""

import os
import subprocess
import sys
from pathlib import Path

CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
_PARTS = {"cortex-a53": "0xd03", "cortex-a72": "0xd08", "cortex-a76": "0xd0b"}
# asimddp are the dot product instructions that the first two lack.
_FEATURES = {"cortex-a76": "fp asimd crc32 atomics asimdhp asimdrdm asimddp"}
_PACKAGES = (
    *(
        "libc6",
        "libstdc++6",
        "libgcc-s1",
        "zlib1g",
        "libexpat1",
        "libffi8",
        "libbz2-1.0",
        "liblzma5",
        "libuuid1",
    ),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
)
_WHEELS = (
    *("numpy==1.26.4", "tflite-runtime==2.14.0", "ai-edge-litert==2.3.0"),
    *("flatbuffers", "backports.strenum", "protobuf", "tqdm", "typing-extensions"),
)
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_34_aarch64")
_SCRIPT = """
import sys
sys.path.insert(0, "/site")
import numpy as np
runtime, *models = sys.argv[1:]
if runtime == "ai-edge-litert":
    from ai_edge_litert.interpreter import Interpreter
else:
    from tflite_runtime.interpreter import Interpreter
windows, read = np.load("/windows.npy"), {}
for model in models:
    interpreter = Interpreter(model_path="/models/" + model, num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    (slots,) = [out["index"] for out in interpreter.get_output_details() if out["shape"][0] == 8]
    said = []
    for window in windows:
        interpreter.set_tensor(entry["index"], window[None])
        interpreter.invoke()
        said.append(interpreter.get_tensor(slots))
    read[model] = np.stack(said)
np.savez("/read.npz", **read)
"""


class NoArmMachine(Exception):
    """It cannot be made here; says why."""


def make(folder: Path) -> Path:
    """Unpack the machine into `folder`; returns its root. Raises NoArmMachine."""
    if os.geteuid() != 0:
        raise NoArmMachine("only root may change the root directory")
    root, packages, wheels = folder / "root", folder / "packages", folder / "wheels"
    for place in (root / "site", root / "models", packages, wheels, folder / "lists" / "partial"):
        place.mkdir(parents=True)
    options = [
        *(
            "-o",
            f"Dir::State={folder}",
            "-o",
            "Dir::State::status=/dev/null",
            "-o",
            f"Dir::Cache={folder}/cache",
        ),
        *("-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64"),
    ]
    (folder / "cache" / "archives" / "partial").mkdir(parents=True)
    _run(["apt-get", *options, "update"])
    _run(["apt-get", *options, "download", *_PACKAGES], cwd=packages)
    for package in packages.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(root)])
    _run(["apt-get", "download", "qemu-user-static"], cwd=packages)
    (qemu,) = packages.glob("qemu-user-static*.deb")
    _run(["dpkg-deb", "-x", str(qemu), str(root)])
    platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
    _run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--python-version", "3.11"),
            *(*platforms, "--only-binary=:all:", "--target", str(root / "site"), *_WHEELS),
        ]
    )
    (root / "run.py").write_text(_SCRIPT, encoding="utf-8")
    return root


def run(root: Path, core: str, runtime: str, models: list[str]) -> None:
    """Read `root`/windows.npy with the models in `root`/models on an emulated core; to `root`/read.npz."""
    features = _FEATURES.get(core, "fp asimd crc32")
    # LiteRT picks its kernels by what these files say, which must be the core that is emulated.
    info = "".join(
        f"processor\t: {i}\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: 0x0\nCPU part\t: {_PARTS[core]}\nCPU revision\t: 4\n\n"
        for i in range(4)
    )
    (root.parent / "cpuinfo").write_text(info, encoding="utf-8")
    cores = root / "sys" / "devices" / "system" / "cpu"
    cores.mkdir(parents=True, exist_ok=True)
    (root / "proc").mkdir(exist_ok=True)
    for name in ("possible", "present"):
        (cores / name).write_text("0-3\n", encoding="utf-8")
    words = " ".join(
        ["/usr/bin/qemu-aarch64-static", "-cpu", core, "/usr/bin/python3.11", "/run.py", runtime, *models]
    )
    mounts = f"mount -t proc proc {root}/proc && mount --bind {root.parent}/cpuinfo {root}/proc/cpuinfo"
    _run(["unshare", "--mount", "sh", "-c", f"{mounts} && exec chroot {root} {words}"])


def _run(command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1800, check=False)
    except OSError as exc:
        raise NoArmMachine(f"{command[0]}: {exc.strerror}") from exc
    if done.returncode:
        raise NoArmMachine(f"{' '.join(command[:3])}: {done.stderr.strip()[-300:]}")
