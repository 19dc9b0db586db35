"""Clients made from the served description, by the generators that people use, and run.

``python -m tests.clients`` starts a demo of its own, asks it for its description in both languages,
lints and validates them, generates clients, compiles them strictly and runs each one's story:
create, pay, poll, refund, list, errors. It ends with 1 where anything complains. What it needs from
npm and PyPI is pinned beside this file and installed here; Java 17 and Node 20 must be there.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live_demo import LiveDemo, live_demo

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
PYTHON = HERE / ".venv" / "bin" / "python"
PATIENT = "0192f0c1-0000-7000-8000-000000000101"
LANGUAGES = ("zh-hans", "en")
MADE_FROM = "openapi-en.json"
STORIES = ("openapi_fetch", "hey_api", "orval")
JAVA_OPTIONS = (
    "openApiNullable=false,hideGenerationTimestamp=true,useJakartaEe=false,"
    "apiPackage=tcmpay.api,modelPackage=tcmpay.model,invokerPackage=tcmpay"
)


def run(
    *words: str | Path, environment: dict[str, str] | None = None, is_loud: bool = False
) -> None:
    """Raises CalledProcessError. What the command says is shown, but for the chat of a loud one."""
    subprocess.run(
        [str(word) for word in words],
        cwd=HERE,
        check=True,
        env=os.environ | (environment or {}),
        stdout=subprocess.DEVNULL if is_loud else None,
    )


def npx(*words: str | Path, environment: dict[str, str] | None = None) -> None:
    run("npx", "--no-install", *words, environment=environment)


def install() -> None:
    """What is pinned, once."""
    if not (HERE / "node_modules").is_dir():
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    if not PYTHON.exists():
        venv.create(HERE / ".venv", with_pip=True)
        run(PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt")


def fetch(demo: LiveDemo) -> None:
    for language in LANGUAGES:
        address = f"{demo.base}/api/schema/?format=json&lang={language}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            found = json.load(answer)
        path = BUILD / f"openapi-{language}.json"
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")


def lint() -> None:
    for language in LANGUAGES:
        path = f"build/openapi-{language}.json"
        npx("redocly", "lint", "--format=stylish", "--max-problems=50", path)
        npx("spectral", "lint", "--fail-severity=warn", path)


def typescript() -> None:
    source = f"./build/{MADE_FROM}"
    npx("openapi-typescript", source, "-o", "build/openapi-typescript/schema.ts")
    npx("openapi-ts", "-i", source, "-o", "build/hey-api", "-c", "@hey-api/client-fetch")
    npx("orval", "--input", source, "--output", "build/orval/client.ts", "--client", "fetch")
    npx("tsc", "-p", "tsconfig.json")


def typescript_stories(environment: dict[str, str]) -> None:
    for name in STORIES:
        made = f"build/{name}.mjs"
        npx("esbuild", f"stories/{name}.ts", "--bundle", "--platform=node", "--format=esm",
            "--log-level=warning", f"--outfile={made}")  # fmt: skip
        run("node", made, environment=environment)


def python_client(environment: dict[str, str]) -> None:
    run(PYTHON.parent / "openapi-python-client", "generate", "--path", f"build/{MADE_FROM}",
        "--output-path", "build/python_client", "--meta", "none", "--fail-on-warning",
        "--config", "openapi-python-client.yaml")  # fmt: skip
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=build/mypy"]
    run(*mypy, "--python-executable", PYTHON, "stories/story.py",
        environment={"MYPYPATH": "build"})  # fmt: skip
    run(PYTHON, "stories/story.py", environment=environment | {"PYTHONPATH": "build"})


def java(environment: dict[str, str]) -> None:
    """Compiled against the libraries in the generator's own jar, which are those it asks for."""
    (jar,) = (HERE / ".venv").glob("lib/python*/site-packages/openapi_generator_cli/*.jar")
    run("java", "-jar", jar, "generate", "-i", f"build/{MADE_FROM}", "-g", "java", "--library",
        "native", "-o", "build/java", f"--additional-properties={JAVA_OPTIONS}",
        is_loud=True)  # fmt: skip
    sources = [*(BUILD / "java/src/main").rglob("*.java"), *HERE.glob("stories/java/**/*.java")]
    run("javac", "-Xlint:all,-processing,-serial,-deprecation", "-Werror",
        "-proc:none", "-d", "build/classes", "-cp", jar, *sources)  # fmt: skip
    run("java", "-cp", f"{BUILD}/classes:{jar}", "Story", environment=environment)


@contextmanager
def told(what: str) -> Iterator[None]:
    sys.stdout.write(f"-- {what}\n")
    sys.stdout.flush()
    yield


def main() -> int:
    missing = [name for name in ("node", "npm", "java", "javac") if shutil.which(name) is None]
    if missing:
        sys.exit(f"missing: {' '.join(missing)} (Node 20 and a JDK of 17 or later)")
    install()
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    with live_demo() as demo:
        fetch(demo)
        environment = {
            "TCMPAY_BASE": demo.base,
            "TCMPAY_GATEWAYS": demo.gateways,
            "TCMPAY_USER": PATIENT,
            "TCMPAY_TOKEN": demo.command("issue_token", "--user", PATIENT, "--role", "patient"),
        }
        steps: list[tuple[str, Callable[[], None]]] = [
            ("lint", lint),
            ("TypeScript, compiled strictly", typescript),
            ("TypeScript, run", lambda: typescript_stories(environment)),
            ("Python", lambda: python_client(environment)),
            ("Java", lambda: java(environment)),
        ]
        failed = []
        for name, step in steps:
            with told(name):
                try:
                    step()
                except subprocess.CalledProcessError as error:
                    failed.append(f"{name}: {error.cmd[:4]} ended with {error.returncode}")
    sys.stdout.write("\n".join([*failed, "clients: FAILED" if failed else "clients: all good", ""]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
