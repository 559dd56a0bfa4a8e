"""The JSON Schema of sensor profiles: generated from their models, and compared by `make check`.

python -m firmware_bridge.profile_schema config/sensors/profile.schema.json          # write it
python -m firmware_bridge.profile_schema config/sensors/profile.schema.json --check  # compare it
"""

import argparse
import json
import sys
from pathlib import Path

from firmware_bridge.profiles import SensorProfile


def schema_text() -> str:
    """Return the schema as the committed file has it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | SensorProfile.model_json_schema()
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="profile_schema", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="only compare; 1 where it differs")
    arguments = parser.parse_args()
    if not arguments.check:
        arguments.file.write_text(schema_text(), encoding="utf-8")
    elif arguments.file.read_text(encoding="utf-8") != schema_text():
        command = f"python -m firmware_bridge.profile_schema {arguments.file}"
        print(f"{arguments.file} is not what the profile models say: write it with `{command}`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
