"""The command ``tdecomp``: compress, inspect and reconstruct checkpoints."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

try:
    import click
    import rich.box
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError as error:
    sys.exit(f"tdecomp: the command line needs {error.name}: pip install 'tdecomp-array[cli]'")

import numpy as np

import tdecomp
from tdecomp.compress import Statistics, layout_of, unpack
from tdecomp.io import PLAN_KEY, decode_plan, open_checkpoint
from tdecomp.linalg import breakeven_rank
from tdecomp.pipeline import (
    Outcome,
    Proposal,
    Request,
    compress_checkpoint,
    propose,
    reconstruct_checkpoint,
)
from tdecomp.pipeline import (
    report as described,
)

INTERRUPTED = 130
USAGE = 2

app = typer.Typer(
    name="tdecomp",
    help="Low-rank compression of network weights, with the true error of every tensor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[
    str,
    typer.Argument(
        help="A .safetensors, .npz or .npy file, a directory of shards, or pkg:package/path.",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option(help="The .safetensors file to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


class Method(StrEnum):
    """The norm to be optimal in."""

    svd = "svd"
    fwsvd = "fwsvd"
    gfwsvd = "gfwsvd"
    asvd = "asvd"
    svd_llm = "svd_llm"
    afm = "afm"


class Rule(StrEnum):
    """How a budget is shared out."""

    optimal = "optimal"
    uniform = "uniform"
    energy = "energy"


class FactorDtype(StrEnum):
    """The dtype of stored factors."""

    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"
    float64 = "float64"


@app.command()
def compress(
    source: Source,
    *,
    out: Out = None,
    keep: Annotated[
        float | None, typer.Option(help="Fraction of all numbers that may stay.")
    ] = None,
    rtol: Annotated[float | None, typer.Option(help="Relative error of each matrix.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of each matrix.")] = None,
    method: Annotated[Method, typer.Option(help="The norm to be optimal in.")] = Method.svd,
    calibration: Annotated[
        Path | None, typer.Option(help="Statistics of the data, for all methods but svd.")
    ] = None,
    allocate: Annotated[
        Rule | None, typer.Option(help="How --keep is shared out (optimal by default).")
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help="Globs of tensors to take.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Globs of tensors to leave.")] = None,
    dtype: Annotated[FactorDtype | None, typer.Option(help="Dtype of the factors.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw spectra, ranks and errors.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan, and write no output.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the randomized SVD of large matrices.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Replace every matrix that gets smaller by two factors, and prove what that did to it."""
    if out is None and not dry_run:
        raise typer.BadParameter("give --out, or --dry-run to see the plan only")
    _refuse_existing([p for p in (None if dry_run else out, report, plot) if p], overwrite)
    request = Request(
        keep=keep,
        rtol=rtol,
        rank=rank,
        method=method.value,
        allocate=allocate.value if allocate else None,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        dtype=dtype.value if dtype else None,
        calibration=None if calibration is None else _statistics(calibration),
        seed=seed,
    )
    with open_checkpoint(source) as checkpoint:
        with _progress("spectra") as watch:
            proposal = propose(checkpoint, request, watch=watch)
        done: Proposal | Outcome = proposal
        if out is not None and not dry_run:
            total = sum(item.work for item in proposal.compressed)
            settings = {"tdecomp": tdecomp.__version__, "numpy": np.__version__, "seed": seed}
            with _progress("factors", total) as watch:
                done = compress_checkpoint(
                    checkpoint,
                    proposal,
                    out,
                    overwrite=overwrite,
                    settings=settings,
                    watch=watch,
                )
    _print_outcome(done)
    if report is not None:
        _write_text(report, json.dumps(described(done), indent=1) + "\n")
    if plot is not None:
        _draw(done, plot)


@app.command()
def inspect(source: Source) -> None:
    """List the tensors of a checkpoint, and what was done to them."""
    with open_checkpoint(source) as checkpoint:
        plan = decode_plan(checkpoint.metadata) if PLAN_KEY in checkpoint.metadata else None
        table = _table("tensor", "shape", "dtype", "numbers", "break-even rank")
        for name in checkpoint.names:
            info = checkpoint.info(name)
            layout, why = layout_of(name, info.shape)
            note = why if layout is None else str(breakeven_rank(*layout.matrix_shape))
            shape = "x".join(map(str, info.shape))
            table.add_row(name, shape, info.dtype, f"{info.size:,}", note)
        numbers = sum(checkpoint.info(name).size for name in checkpoint.names)
        _console().print(table)
        _console().print(
            f"{len(checkpoint)} tensors, {numbers:,} numbers, {checkpoint.nbytes:,} bytes"
        )
        if plan is not None:
            table = _table("compressed tensor", "shape", "rank", "relative error", "method")
            for name, record in plan.records.items():
                shape = "x".join(map(str, record.shape))
                error = f"{record.relative_error:.4f}"
                table.add_row(name, shape, str(record.rank), error, record.method)
            _console().print(table)


@app.command()
def reconstruct(
    source: Source,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Multiply the factors out: the original names, shapes and dtypes."""
    _refuse_existing([out], overwrite)
    with open_checkpoint(source) as checkpoint, _progress("tensors") as watch:
        plan = reconstruct_checkpoint(checkpoint, out, overwrite=overwrite, watch=watch)
    _console().print(f"{out}: {len(plan.records)} tensors multiplied out, {len(plan.tied)} tied")


def _console() -> Console:
    """Return a console on standard output, as wide as the terminal, or as needed in a pipe."""
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def _table(*columns: str) -> Table:
    """Return an empty table; what follows the name is aligned to the right."""
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


@contextlib.contextmanager
def _progress(what: str, total: float | None = None) -> Iterator[Callable[[str, float], None]]:
    """Show a bar with the time left on a terminal; say nothing elsewhere."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(what, total=total)

        def watch(name: str, flops: float) -> None:
            bar.update(task, advance=flops, description=f"{what}: {name}")

        yield watch


def _refuse_existing(paths: list[Path], overwrite: bool) -> None:
    """Refuse outputs that exist, that are one file, or that have no directory, before any work."""
    for path in paths:
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass --overwrite to replace it")
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"the directory of {path} does not exist")
    if len({path.absolute() for path in paths}) < len(paths):
        raise ValueError("two outputs have the same name")


def _print_outcome(done: Proposal | Outcome) -> None:
    """Print one line for each tensor and the totals."""
    content = described(done)
    table = _table("tensor", "shape", "rank", "kept", "relative error")
    for entry in content["tensors"]:
        size = math.prod(entry["shape"])
        error = entry.get("relative_error")
        table.add_row(
            entry["name"],
            "x".join(map(str, entry["shape"])),
            str(entry.get("rank", "")),
            f"{entry['kept'] / size:.1%}" if size else "",
            f"{error:.4f}" if error is not None else entry.get("why", ""),
        )
    _console().print(table)
    for name, unit in (
        ("numbers", ""),
        ("bytes", ""),
        ("multiply_adds", " of all matrices, once"),
    ):
        before, after = content["totals"][name].values()
        share = f" ({after / before:.1%})" if before else ""
        _console().print(f"{name.replace('_', '-')}{unit}: {before:,} -> {after:,}{share}")
    verb = "took" if isinstance(done, Outcome) else "would take about"
    _console().print(f"{verb} {content['totals']['seconds']:.1f} s")


def _statistics(path: Path) -> dict[str, Statistics]:
    """Read what calibration left."""
    with open_checkpoint(path) as checkpoint:
        return unpack({name: checkpoint.read(name) for name in checkpoint.names})


def _write_text(path: Path, text: str) -> None:
    """Write a small file so that it is whole or not there."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _draw(done: Proposal | Outcome, path: Path) -> None:
    """Draw the spectra, the ranks and the errors."""
    from tdecomp.plot import spectra

    proposal, errors = (done.proposal, done.errors) if isinstance(done, Outcome) else (done, {})
    items = {i.info.name: i for i in proposal.items if i.layout is not None and i.tied is None}
    figure = spectra(
        {name: item.spectrum for name, item in items.items() if item.spectrum is not None},
        {name: item.rank for name, item in items.items()},
        errors,
    )
    figure.savefig(path, dpi=150)


def _fail(error: BaseException, status: int) -> int:
    """Say in one line what went wrong."""
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"tdecomp: error: {text}", file=sys.stderr)
    return status


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for an error, 2 for wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(words, standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        return _fail(Exception("interrupted; no output was written"), INTERRUPTED)
    except click.ClickException as error:
        return _fail(Exception(error.format_message()), USAGE)
    except Exception as error:
        if debug:
            raise
        return _fail(error, 1)
    return 0
