"""Writing: the file is complete and right, or it is not there."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open

import tdecomp.io._atomic
import tdecomp.io._writer
from tdecomp.io import CheckpointError, CheckpointWriter, open_checkpoint

LAYOUTS = {
    "plain": lambda a: a,
    "transposed": lambda a: a.T,
    "Fortran": np.asfortranarray,
    "strided": lambda a: a[::2, ::-1],
    "broadcast": lambda a: np.broadcast_to(a[0], a.shape),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


def entries(folder):
    """List the directory, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.complex64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_stored_in_c_order_little_endian(tmp_path, layout, dtype):
    array = LAYOUTS[layout](np.arange(12).reshape(4, 3).astype(dtype))
    with CheckpointWriter(tmp_path / "t.safetensors") as writer:
        writer.add("a", array)
        writer.finish()
    with open_checkpoint(tmp_path / "t.safetensors") as checkpoint:
        found = checkpoint["a"]
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, array)


def test_order_dtypes_and_metadata_are_kept(tmp_path):
    metadata = {"format": "pt", "élan": '{"quoted": "ü\n"}'}
    with CheckpointWriter(tmp_path / "t.safetensors") as writer:
        for name, dtype in [("z", "f2"), ("a", "i8"), ("m", "?")]:
            writer.add(name, np.zeros(3, dtype))
        assert writer.nbytes == 6 + 24 + 3
        writer.finish(metadata)
    with open_checkpoint(tmp_path / "t.safetensors") as checkpoint:
        assert [(i.name, i.dtype) for i in map(checkpoint.info, checkpoint)] == [
            ("z", "F16"),
            ("a", "I64"),
            ("m", "BOOL"),
        ]
        assert checkpoint.metadata == metadata


def test_the_same_tensors_make_the_same_bytes(tmp_path):
    for name in "ab":
        with CheckpointWriter(tmp_path / f"{name}.safetensors") as writer:
            writer.add("x", np.arange(5))
            writer.finish({"k": "v"})
    a, b = (tmp_path / f"{name}.safetensors" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("expected", [0, 10_000, 10**7])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 24])
def test_the_header_fits_whatever_room_was_left(tmp_path, monkeypatch, expected, chunk):
    array = np.arange(100, dtype=np.int16)
    with CheckpointWriter(tmp_path / "t.safetensors", expected_nbytes=expected) as writer:
        monkeypatch.setattr(tdecomp.io._writer, "_CHUNK", chunk)
        writer.add("a", array)
        writer.add("b", -array)
        writer.finish({"text": "x" * 500})
    assert (tmp_path / "t.safetensors").stat().st_size < 1500 + expected // 1000
    with open_checkpoint(tmp_path / "t.safetensors") as checkpoint:
        np.testing.assert_array_equal(checkpoint["a"], array)
        np.testing.assert_array_equal(checkpoint["b"], -array)
        assert int.from_bytes(checkpoint.path.read_bytes()[:8], "little") % 8 == 0


def test_an_existing_file_is_refused_before_any_work(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="ask for overwrite") as caught:
        CheckpointWriter(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"precious"


def test_overwrite_replaces_at_the_end_only(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(b"old")
    with CheckpointWriter(path, overwrite=True) as writer:
        writer.add("a", np.zeros(10))
        assert path.read_bytes() == b"old"
        writer.finish()
        assert path.read_bytes() != b"old"
    assert entries(tmp_path) == ["t.safetensors"]


def test_a_checkpoint_can_replace_itself(tmp_path):
    path = tmp_path / "t.safetensors"
    with CheckpointWriter(path) as writer:
        writer.add("a", np.arange(4))
        writer.finish()
    with open_checkpoint(path) as checkpoint, CheckpointWriter(path, overwrite=True) as writer:
        writer.add("b", checkpoint["a"] + 1)
        writer.finish()
        assert checkpoint["a"].tolist() == [0, 1, 2, 3]
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["b"].tolist() == [1, 2, 3, 4]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.safetensors"
    link.symlink_to(tmp_path / "real" / "t.safetensors")
    with CheckpointWriter(link) as writer:
        writer.finish()
    assert link.is_symlink()
    assert entries(tmp_path / "real") == ["t.safetensors"]


def test_bad_targets_are_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(IsADirectoryError):
        CheckpointWriter(tmp_path / "folder.safetensors", overwrite=True)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(OSError, match="not a regular file"):
        CheckpointWriter(tmp_path / "pipe.safetensors", overwrite=True)
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        CheckpointWriter(tmp_path / "no" / "t.safetensors")
    with pytest.raises(ValueError, match=r"\.safetensors file, got the name"):
        CheckpointWriter(tmp_path / "t.npz")
    with pytest.raises(OSError, match=r"needs 1e\+09 GB") as caught:
        CheckpointWriter(tmp_path / "t.safetensors", expected_nbytes=10**18)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="is not writable"):
        CheckpointWriter(tmp_path / "t.safetensors")


def test_bad_tensors_and_metadata_are_refused_and_the_rest_is_written(tmp_path):
    with CheckpointWriter(tmp_path / "t.safetensors") as writer:
        writer.add("a", np.zeros(2))
        with pytest.raises(ValueError, match="'a' was added before"):
            writer.add("a", np.zeros(3))
        with pytest.raises(ValueError, match="reserved"):
            writer.add("__metadata__", np.zeros(3))
        for bad in (np.zeros(2, complex), np.array(["x"]), np.array([None]), np.zeros(1, "M8[s]")):
            with pytest.raises(TypeError, match=r"'b' has dtype .* which saf"):
                writer.add("b", bad)
        with pytest.raises(TypeError, match="metadata are strings, got 'k': 1"):
            writer.finish({"k": 1})
        writer.finish({"k": "1"})
        with pytest.raises(ValueError, match="is finished"):
            writer.add("c", np.zeros(2))
    with safe_open(tmp_path / "t.safetensors", "numpy") as file:
        assert file.keys() == ["a"]


class Stop(BaseException):
    """Neither an Exception nor anything that code could expect."""


def stop(*_args, **_kwargs):
    raise Stop


def disk_full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failure", [stop, disk_full])
@pytest.mark.parametrize(
    "stage",
    [
        (tdecomp.io._writer, "_encode"),
        (tdecomp.io._writer, "_encode_header"),
        (tdecomp.io._writer.CheckpointWriter, "_make_room"),
        (tdecomp.io._writer, "safetensors_header"),
        (tdecomp.io._atomic.os, "fsync"),
        (tdecomp.io._atomic.os, "replace"),
    ],
)
def test_a_failure_at_any_stage_leaves_nothing(tmp_path, monkeypatch, stage, failure, existing):
    path = tmp_path / "t.safetensors"
    if existing:
        path.write_bytes(b"old")

    def run():
        with CheckpointWriter(path, overwrite=existing) as writer:
            writer.add("a", np.zeros(1000))
            monkeypatch.setattr(*stage, failure)
            writer.add("b", np.zeros(1000))
            writer.finish()

    with pytest.raises((Stop, OSError)):
        run()
    assert entries(tmp_path) == (["t.safetensors"] if existing else [])
    if existing:
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_an_exception_of_the_caller_leaves_nothing(tmp_path, error):
    with pytest.raises(error), CheckpointWriter(tmp_path / "t.safetensors") as writer:  # noqa: PT012
        writer.add("a", np.zeros(10))
        raise error
    assert entries(tmp_path) == []


def test_forgetting_to_finish_is_told_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match=r"finish\(\) was not called"),
        CheckpointWriter(tmp_path / "t.safetensors") as writer,
    ):
        writer.add("a", np.zeros(10))
    assert entries(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "t.safetensors"
    with pytest.raises(FileExistsError), CheckpointWriter(path) as writer:  # noqa: PT012
        path.write_bytes(b"theirs")
        writer.finish()
    assert path.read_bytes() == b"theirs"
    assert entries(tmp_path) == ["t.safetensors"]


@pytest.fixture
def small_files():
    """Let the system refuse to write any file beyond 64 KiB, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_write_that_the_system_refuses_names_the_target_and_leaves_nothing(tmp_path):
    path = tmp_path / "t.safetensors"
    with (
        pytest.raises(OSError, match="File too large") as caught,
        CheckpointWriter(path) as writer,
    ):
        writer.add("a", np.zeros(10_000))
    assert caught.value.filename == str(path)
    assert entries(tmp_path) == []


@pytest.mark.usefixtures("small_files")
def test_a_tensor_that_was_refused_leaves_no_hole(tmp_path):
    with CheckpointWriter(tmp_path / "t.safetensors") as writer:
        writer.add("a", np.arange(10))
        with pytest.raises(OSError, match="File too large"):
            writer.add("b", np.zeros(10_000))
        writer.add("c", np.arange(5))
        writer.finish()
    with open_checkpoint(tmp_path / "t.safetensors") as checkpoint:
        assert {name: len(array) for name, array in checkpoint.items()} == {"a": 10, "c": 5}


def test_a_header_that_the_library_refuses_is_not_published(tmp_path):
    with pytest.raises(CheckpointError), CheckpointWriter(tmp_path / "t.safetensors") as writer:
        writer.finish({"text": "x" * 100_000_001})
    assert entries(tmp_path) == []


def python(code, *args):
    """Run `code` in a new interpreter."""
    root = Path(tdecomp.io.__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_killed_process_leaves_nothing_that_looks_finished(tmp_path):
    code = """
        import os, signal, sys
        import numpy as np
        from tdecomp.io import CheckpointWriter
        with CheckpointWriter(sys.argv[1]) as writer:
            writer.add("a", np.zeros(1000))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert python(code, tmp_path / "t.safetensors").returncode == -signal.SIGKILL
    assert all(name.endswith(".part") for name in entries(tmp_path))
    with pytest.raises(CheckpointError, match="holds no safetensors file"):
        open_checkpoint(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("expected", [0, 1 << 29])
def test_memory_stays_at_one_tensor(tmp_path, expected):
    code = """
        import json, re, sys
        import numpy as np
        from tdecomp.io import CheckpointWriter, duplicates, open_checkpoint

        def peak():
            status = open("/proc/self/status").read()
            return int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) << 10

        folder, expected = sys.argv[1], int(sys.argv[2])
        np.testing.assert_equal(np.zeros(1), np.zeros(1))
        with CheckpointWriter(f"{folder}/source.safetensors") as writer:
            before = peak()
            for i in range(32):
                writer.add(f"{i:02}", np.full((2048, 2048), i, np.float32))
            writer.finish()
        copy = f"{folder}/copy.safetensors"
        with (
            open_checkpoint(f"{folder}/source.safetensors") as source,
            CheckpointWriter(copy, expected_nbytes=expected) as writer,
        ):
            assert duplicates(source) == {}
            for name, array in source.items():
                writer.add(name, array)
            writer.finish()
        print(json.dumps([peak() - before, source.nbytes]))
    """
    done = python(code, tmp_path, expected)
    assert done.returncode == 0, done.stderr
    growth, nbytes = json.loads(done.stdout)
    # A tensor is 16 MiB. The loop holds the last one while it reads the next, the allocator
    # keeps a third, and moving the data takes a chunk of 4 MiB.
    assert nbytes == 1 << 29
    assert growth < 80 << 20
