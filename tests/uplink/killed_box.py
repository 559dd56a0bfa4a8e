"""Run as a process and killed: arrivals are committed and said, while the uplink delivers.

Usage: killed_box.py DIRECTORY URL ROUND COUNT. Lines on stdout: `arrived ID`; `done` once all is delivered.
"""

import os
import sys
import threading
from pathlib import Path

from box import QuietPole, Unhurried, now
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fault_cloud import TOKEN

from edged.settings import StoreSettings, UplinkSettings
from edged.store import Store
from edged.uplink import Credentials, CredentialsFile, Uplink


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one write: nothing is left in a buffer when killed


def main() -> None:
    directory, url, round_no, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    settings = UplinkSettings(
        cloud_url=url, credentials=directory / "none", batch_size=5, poll_interval_s=0.2, timeout_s=0.6
    )
    credentials = Credentials(
        device_id="pole-0001",
        token=TOKEN,
        private_key=Ed25519PrivateKey.generate(),
        snapshot_token="snapshot-token",
    )
    with Store.open(StoreSettings(directory=directory)) as store:
        uplink = Uplink(
            settings,
            CredentialsFile(settings.credentials, credentials),
            store,
            QuietPole(),
            clock=now,
            rng=Unhurried(),
        )
        stop = threading.Event()
        thread = threading.Thread(target=uplink.run, args=(stop,))
        thread.start()
        for number in range(count):
            visit_id = f"visit-{round_no}-{number:06}"
            store.drive_in("1001", visit_id, now(), "sensor")
            say(f"arrived {visit_id}")
        pause = threading.Event()
        while store.counts().waiting:
            pause.wait(0.02)
        stop.set()
        store.grown.set()
        thread.join()
    say("done")


if __name__ == "__main__":
    main()
