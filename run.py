"""The one task file: makes .venv when it must, then runs a recipe. Standard library only.

python3 run.py demo [ARG…]            the shop of the Complete Journey data, from import to report, in ./demo-shop
python3 run.py test [ARG…]            what CI runs: ruff, mypy, import-linter, pytest (arguments go to pytest)
python3 run.py fix                    format, and repair what ruff can repair
python3 run.py bench [AREA…]          speed, into build/bench.json
python3 run.py bench-quality [AREA…]  scores on real data, into build/quality.json
python3 run.py nightly [ARG…]         the tests that take minutes
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / "python")
STAMP = VENV / "installed"
TORCH = "torch==2.13.0"  # for the nets, which are tested and measured; it stands in no lock, lest a CUDA build of some gigabytes comes
PIP = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
RUFF = [PYTHON, "-m", "ruff"]
PYTEST = [PYTHON, "-m", "pytest", "-n", "2"]
STYLE = [("ruff format", [*RUFF, "format", "--check"]), ("ruff check", [*RUFF, "check"])]
CHECKS = [*STYLE, ("mypy", [PYTHON, "-m", "mypy"]), ("import-linter", [str(BIN / "lint-imports")])]

RECIPES = {
    "demo": [("demo", [str(BIN / "whenbuy"), "demo"])],
    "test": [*CHECKS, ("pytest", PYTEST)],
    "fix": [("repair", [*RUFF, "check", "--fix-only"]), ("format", [*RUFF, "format"]), ("ruff check", [*RUFF, "check"])],
    "bench": [("bench", [PYTHON, "benchmarks/run.py", "speed"])],
    "bench-quality": [("bench-quality", [PYTHON, "benchmarks/run.py", "quality"])],
    "nightly": [("pytest", [*PYTEST, "-m", "nightly", "--hypothesis-profile=nightly"])],
}


def call(command: list[str]) -> int:
    """Exit code of the command, run in the project's folder with bytecode on: else every start compiles every import again."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, cwd=ROOT, env={"OMP_NUM_THREADS": "1"} | kept, check=False).returncode


def fill(installer: list[str], options: list[str]) -> bool:
    """Whether this installer put the lock and the project into .venv."""
    install = [*installer, "install", "--quiet", *options]
    return call([*install, "-r", "requirements.lock"]) == 0 and call([*install, "--no-deps", "-e", "."]) == 0


def torch() -> bool:
    """Whether a build of torch for the CPU is in .venv: from a file that pip's configuration knows, else from PyTorch's index."""
    fetched = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, "--quiet", "--no-deps", "--torch-backend", "cpu", TORCH]
    return call([*PIP, "install", "-qqq", "--no-index", "--no-deps", "--no-compile", TORCH]) == 0 or call(fetched) == 0


def install(nets: bool = False) -> None:
    """Make .venv hold what the lock says, unless it does; the stamp is written last, so a broken installation is redone."""
    wanted = hashlib.sha256((ROOT / "requirements.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if STAMP.exists() and {wanted, TORCH if nets else wanted} <= set(STAMP.read_text().split()):
        return
    broken = VENV.exists() and not STAMP.exists()  # what looks installed there may be half a package
    STAMP.unlink(missing_ok=True)
    print("-- installing into .venv and compiling, once: about a minute with uv, four with pip", flush=True)
    if call([sys.executable, "-m", "venv", str(VENV)]) != 0:
        sys.exit("-- .venv could not be made: see the message above")
    done, nets = call([*PIP, "install", "--quiet", "uv"]) == 0, nets and torch()
    done = done and fill([PYTHON, "-m", "uv", "pip"], ["--python", PYTHON, *(["--reinstall"] if broken else [])])
    if not done:
        print("-- uv cannot do it here; installing with pip", flush=True)
        done = fill(PIP, ["--force-reinstall"] if broken else [])
    if not done or call([*PIP, "check"]) != 0:
        sys.exit("-- the installation failed: see the message above; the next run tries again")
    call([str(BIN / "whenbuy"), "doctor", "--warm"])  # where it fails, later commands compile what they need
    STAMP.write_text(f"{wanted} {TORCH if nets else ''}")


def main(recipe: str = "", *arguments: str) -> int:
    """Run the steps of a recipe up to the first that fails, whose exit code is the end; the arguments go to the last step."""
    if recipe not in RECIPES:
        print(__doc__, file=sys.stderr)
        return 2
    install(nets=recipe not in ("demo", "fix"))
    *before, (name, command) = RECIPES[recipe]
    for step, line in [*before, (name, [*command, *arguments])]:
        print(f"-- {step}", flush=True)
        if code := call(line):
            print(f"-- {step} failed with exit code {code}", file=sys.stderr)
            return code
    return 0


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - the very case in which nothing else here can tell
        sys.exit(f"whenbuy needs Python 3.11 or newer; this is Python {sys.version.split()[0]}. Start run.py with a newer one.")
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
