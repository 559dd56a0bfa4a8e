"""`python -m edged.demo [--photos DIR] [--out DIR] [--seed N]`: the whole loop, watched.

Exit status 0 only when every outcome was as expected; 1 when one was not, 130 when interrupted.
"""

import sys

from edged.demo.interrupts import end_on_signals


def main() -> int:
    """Run the demo; what is interrupted ends without a word of Python, from the first import on."""
    end_on_signals()
    try:
        from edged.demo import show

        return show.main()
    except KeyboardInterrupt:
        print("\nInterrupted; every process was ended.", flush=True)
        return 130


if __name__ == "__main__":
    sys.exit(main())
