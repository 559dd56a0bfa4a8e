import subprocess
import sys

SCRIPT = """
import logging, structlog
from edged.box import logs
logs.configure()
structlog.get_logger().info("read", plate="京A12345", note="and 浙AD12345 beside it")
logging.getLogger("elsewhere").warning("a library prints %s", "WJ京1234X")
try:
    raise ValueError("粤Z12K4港")
except ValueError:
    structlog.get_logger().exception("broken")
"""


def logged(**environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=environment,
    )
    return result.stderr


def test_no_log_line_holds_a_whole_plate_whoever_wrote_it() -> None:
    lines = logged()
    assert "京A·**345" in lines
    assert "浙A·***345" in lines
    assert "WJ·***34X" in lines
    for plate in ("京A12345", "AD12345", "京1234X", "粤Z12K4港"):
        assert plate not in lines


def test_in_the_journal_each_line_begins_with_its_level() -> None:
    levels = [line[:3] for line in logged(JOURNAL_STREAM="8:1").splitlines()]
    assert levels == ["<6>", "<4>", "<3>"]


MANY = """
import sys, structlog
from edged.box import logs
logs.configure()
for number in range(20_000):
    structlog.get_logger().info("line", number=number, text="x" * 200)
print("done", flush=True)
"""


def test_a_journal_that_takes_nothing_holds_up_nobody() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MANY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "done\n"  # nobody has read standard error
        assert process.wait(30) == 0
        assert "number=0 " in process.stderr.readline()
