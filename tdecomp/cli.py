"""The command ``tdecomp``: compress, inspect and reconstruct checkpoints."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

try:
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
from tdecomp.io import PLAN_KEY, Checkpoint, decode_plan, factor_names, open_checkpoint
from tdecomp.io._atomic import AtomicFile
from tdecomp.linalg import breakeven_rank
from tdecomp.pipeline import (
    Item,
    Outcome,
    Proposal,
    Request,
    checked,
    compress_checkpoint,
    propose,
    reconstruct_checkpoint,
)
from tdecomp.pipeline import (
    report as described,
)

INTERRUPTED = 130
USAGE = 2
PIPE_WIDTH = 1000
SUFFIX = ".safetensors"
PICTURES = (".png", ".pdf", ".svg")
# The base of what typer raises for wrong usage: from click, or from the copy that typer carries.
_Refusal = typer.BadParameter.__mro__[2]


class UsageError(ValueError):
    """Options that cannot be followed, whatever the checkpoint holds."""


app = typer.Typer(
    name="tdecomp",
    help="Low-rank compression of network weights, with the true error of every tensor.",
    epilog="Every command also takes --debug: show where in the program an error comes from.",
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
        Rule | None,
        typer.Option(help="How --keep is shared out (default: as suits the method)."),
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help="Globs of tensors to take.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Globs of tensors to leave.")] = None,
    dtype: Annotated[FactorDtype | None, typer.Option(help="Dtype of the factors.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw spectra, ranks and errors.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan, and write no output.")] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the randomized SVD of large matrices.")
    ] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Replace every matrix that gets smaller by two factors, and prove what that did to it."""
    if out is None and not dry_run:
        raise UsageError("give --out, or --dry-run to see the plan only")
    out = None if dry_run else out
    if out is not None and out.suffix != SUFFIX:
        raise UsageError(f"--out is a {SUFFIX} file, got {out}")
    if plot is not None and plot.suffix not in PICTURES:
        raise UsageError(f"--plot is a file of type {', '.join(PICTURES)}, got {plot}")
    request = _checked(
        keep=keep,
        rtol=rtol,
        rank=rank,
        method=method.value,
        allocate=allocate.value if allocate else None,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        dtype=dtype.value if dtype else None,
        calibration=None if calibration is None else {},
        seed=seed,
    )
    draw = None if plot is None else _painter()
    with open_checkpoint(source) as checkpoint:
        _check_outputs(checkpoint, [path for path in (out, report, plot) if path], overwrite)
        if calibration is not None:
            request = request._replace(calibration=_statistics(calibration))
        infos = map(checkpoint.info, filter(request.wants, checkpoint.names))
        total = sum(Item(info, layout_of(info.name, info.shape)[0]).work for info in infos)
        with _progress("spectra", total) as watch:
            proposal = propose(checkpoint, request, watch=watch)
        done: Proposal | Outcome = proposal
        if out is not None:
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
    if report is not None:
        with AtomicFile(report, overwrite=overwrite) as file:
            file.file.write(json.dumps(described(done), indent=1).encode() + b"\n")
            file.publish()
    if draw is not None and plot is not None:
        with AtomicFile(plot, overwrite=overwrite) as file:
            draw(done).savefig(file.file, dpi=150, format=plot.suffix[1:])
            file.publish()
    _print_outcome(done)


@app.command()
def inspect(source: Source) -> None:
    """List the tensors of a checkpoint, and what was done to them."""
    with open_checkpoint(source) as checkpoint:
        plan = decode_plan(checkpoint.metadata) if PLAN_KEY in checkpoint.metadata else None
        parts = {part for name in (plan.records if plan else ()) for part in factor_names(name)}
        table = _table("tensor", "shape", "dtype", "numbers", "break-even rank")
        for name in checkpoint.names:
            info = checkpoint.info(name)
            layout, note = layout_of(name, info.shape)
            if name in parts:
                note = "a factor"
            elif info.dtype[0] in "IU" or info.dtype == "BOOL":
                note = f"its dtype {info.dtype} is no float"
            elif layout is not None:
                note = str(breakeven_rank(*layout.matrix_shape))
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
    if out.suffix != SUFFIX:
        raise UsageError(f"--out is a {SUFFIX} file, got {out}")
    with open_checkpoint(source) as checkpoint, _progress("tensors") as watch:
        _check_outputs(checkpoint, [out], overwrite)
        plan = reconstruct_checkpoint(checkpoint, out, overwrite=overwrite, watch=watch)
    _console().print(f"{out}: {len(plan.records)} tensors multiplied out, {len(plan.tied)} tied")


def _console() -> Console:
    """Return a console on standard output, as wide as the terminal, or as needed in a pipe."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _table(*columns: str) -> Table:
    """Return an empty table; what follows the name is aligned to the right."""
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


@contextlib.contextmanager
def _progress(what: str, total: float | None = None) -> Iterator[Callable[[str, float], None]]:
    """Show a bar with the time left on a terminal; say nothing elsewhere."""
    text = TextColumn("{task.description}", markup=False)
    columns = text, BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task(what, total=total)

        def watch(name: str, flops: float) -> None:
            bar.update(task, advance=flops, description=f"{what}: {name}")

        yield watch


def _checked(**options: Any) -> Request:
    """Return the request that the options make, or refuse it in the words of the command line."""
    try:
        return checked(Request(**options))
    except (TypeError, ValueError) as error:
        raise UsageError(re.sub(r"\b([a-z]+)=(?!\w)", r"--\1", str(error))) from error


def _check_outputs(checkpoint: Checkpoint, outputs: list[Path], overwrite: bool) -> None:
    """Refuse, before any work, outputs that are no new files or that cannot be written."""
    source = checkpoint.path
    shards = json.loads(source.read_bytes())["weight_map"] if source.suffix == ".json" else {}
    read = {os.path.realpath(path) for path in (source, *map(source.with_name, shards.values()))}
    if len({os.path.realpath(path) for path in outputs}) < len(outputs):
        raise UsageError("two outputs have the same name")
    for path in outputs:
        if os.path.realpath(path) in read:
            raise UsageError(f"{path} is the source: give the output another name")
        if path.is_file() and not overwrite:
            raise FileExistsError(f"{path} exists; pass --overwrite to replace it")
        AtomicFile(path, overwrite=overwrite)


def _print_outcome(done: Proposal | Outcome) -> None:
    """Print one line for each matrix, one for all other tensors, and the totals."""
    content = described(done)
    table = _table("matrix", "shape", "rank", "kept", "relative error")
    others = []
    for entry in content["tensors"]:
        if "matrix_shape" not in entry:
            others.append(entry["why"])
            continue
        error = entry.get("relative_error")
        table.add_row(
            entry["name"],
            "x".join(map(str, entry["shape"])),
            str(entry.get("rank", "")),
            f"{entry['kept'] / math.prod(entry['shape']):.1%}",
            f"{error:.4f}" if error is not None else entry.get("why", ""),
        )
    _console().print(table)
    if others:
        reasons = "; ".join(f"{count}: {why}" for why, count in Counter(others).most_common())
        _console().print(f"{len(others)} other tensors are not factored ({reasons})")
    units = {"numbers": "", "bytes": "", "multiply_adds": " of all matrices, once"}
    for name, unit in units.items():
        before, after = content["totals"][name].values()
        share = f" ({after / before:.1%})" if before else ""
        _console().print(f"{name.replace('_', '-')}{unit}: {before:,} -> {after:,}{share}")
    verb = "took" if isinstance(done, Outcome) else "would take about"
    _console().print(f"{verb} {content['totals']['seconds']:.1f} s")


def _statistics(path: Path) -> dict[str, Statistics]:
    """Read what calibration left."""
    with open_checkpoint(path) as checkpoint:
        return unpack({name: checkpoint.read(name) for name in checkpoint.names})


def _painter() -> Callable[[Proposal | Outcome], Any]:
    """Return what draws the spectra, the ranks and the errors; fail now if it is not installed."""
    from tdecomp.plot import spectra

    def draw(done: Proposal | Outcome) -> Any:
        proposal, errors = (
            (done.proposal, done.errors) if isinstance(done, Outcome) else (done, {})
        )
        items = {i.info.name: i for i in proposal.items if i.layout is not None and i.tied is None}
        return spectra(
            {name: item.spectrum for name, item in items.items() if item.spectrum is not None},
            {name: item.rank for name, item in items.items()},
            errors,
        )

    return draw


def _fail(text: str, status: int) -> int:
    """Say in one line what went wrong."""
    print(f"tdecomp: error: {' '.join(text.split())}", file=sys.stderr)
    return status


def _text(error: BaseException) -> str:
    """Return what an error says, without the number that the system has for it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error).strip() or type(error).__name__


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Make a polite end by the system, or by a closed terminal, what Ctrl-C is: an exception."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Only the main thread may say so; elsewhere nothing changes.
    ours = threading.current_thread() is threading.main_thread()
    signals = [getattr(signal, name) for name in names if ours]
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in signals
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 for an error, 2 for wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with _stoppable():
            # Typer turns Ctrl-C into this status, or into Abort, by its version.
            status = app(words, prog_name="tdecomp", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except (_Refusal, UsageError) as error:
        text = error.format_message() if isinstance(error, _Refusal) else str(error)
        return _fail(f"{text.rstrip('.')} (see tdecomp --help)", USAGE)
    except Exception as error:
        if debug:
            raise
        return _fail(_text(error), 1)
    if status == INTERRUPTED:
        return _fail("interrupted; nothing unfinished was left behind", INTERRUPTED)
    return 0
