"""The API's description against a live coordinator: schemathesis sends what the description allows and what it does not,
signed, and compares every answer with it.

    check.py target/release/anneal

Not checked is that every value of a schema is taken: names that are too long, digests of nothing and numbers written as
`1.0` are refused with a documented code. The number of examples is bounded; the seed is fixed, so that a failure comes
again.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
EXAMPLES = "10"


def main(anneal):
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        environment = os.environ | {"ANNEAL_DATA": str(data), "ANNEAL_CACHE": str(data / "cache")}
        command = [anneal, "coordinator", "--listen", "127.0.0.1:0"]
        coordinator = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            url = coordinator.stdout.readline().removeprefix("listening on ").strip()
            if not url:
                sys.exit("the coordinator did not start")
            return check(url, folder)
        finally:
            coordinator.terminate()
            coordinator.wait()


def check(url, folder):
    command = [
        str(pathlib.Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{url}/v1/openapi.json",
        *("--max-examples", EXAMPLES, "--seed", "1", "--phases", "coverage,fuzzing"),
        # A poll waits for half a minute where it is asked to.
        *("--request-timeout", "60"),
        *("--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all", "--no-color"),
    ]
    environment = os.environ | {
        "ANNEAL_COORDINATOR": url,
        "PYTHONPATH": str(HERE),
        "SCHEMATHESIS_HOOKS": "sign",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(command, env=environment, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
