"""Files and folders are there whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from framecast import atomic
from framecast.atomic import NewFile, NewFolder
from framecast.errors import FramecastError


class StopError(Exception):
    """Something that goes wrong in the middle."""


def fill(draft: Path, text: str) -> None:
    """Write a file, or a folder with one in a folder."""
    if draft.is_dir():
        (draft / "inner").mkdir()
        draft = draft / "inner" / "file"
    draft.write_text(text)


def content(target: Path) -> str:
    """What `fill` wrote."""
    return (target / "inner" / "file" if target.is_dir() else target).read_text()


def give_up(new: NewFile) -> None:
    """Begin to write, and fail."""
    with new as draft:
        fill(draft, "half")
        raise StopError


@pytest.fixture(params=[NewFile, NewFolder])
def kind(request):
    """Either of the two."""
    return request.param


def test_errors_name_the_target(kind, tmp_path):
    """Not the draft, whose name nobody gave."""
    target = tmp_path / "out.txt"
    with pytest.raises(PermissionError) as caught, kind(target) as draft:
        raise PermissionError(13, "Permission denied", str(draft))
    assert caught.value.filename == str(target)
    with pytest.raises(FileNotFoundError) as caught, kind(target) as draft:
        (tmp_path / "another").read_text()
    assert caught.value.filename == str(tmp_path / "another")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A draft's name is longer than the target's."""
    target = tmp_path / ("x" * 250)
    with pytest.raises(OSError, match="too long") as caught, NewFolder(target):
        pass
    assert caught.value.filename == str(target)


def test_it_takes_its_place_at_the_end(kind, tmp_path):
    """Not earlier, with its parent folders, and again over an older one."""
    target = tmp_path / "deep" / "a.b.txt"
    for text in ("one", "two"):
        with kind(target) as draft:
            assert draft.parent == target.parent
            assert draft.suffix == ".txt" or kind is NewFolder
            fill(draft, text)
            assert not target.exists() or content(target) == "one"
        assert content(target) == text
        assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_and_nothing_else(kind, tmp_path):
    """Whether it comes while writing or in putting it in its place."""
    target = tmp_path / "a.txt"
    with pytest.raises(StopError):
        give_up(kind(target))
    assert list(tmp_path.iterdir()) == []
    with kind(target) as draft:
        fill(draft, "old")
    with pytest.raises(StopError):
        give_up(kind(target))
    assert content(target) == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_taken_leaves_the_old(kind, tmp_path, monkeypatch):
    """The last step fails: what stood there is put back."""
    target, real = tmp_path / "a.txt", Path.rename
    with kind(target) as draft:
        fill(draft, "old")

    def refuse(self, there):
        if Path(there) == target and ".old." not in self.name:
            raise OSError(28, "No space left on device")
        return real(self, there)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"), kind(target) as draft:
        fill(draft, "new")
    assert content(target) == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_signal_between_two_renames_leaves_the_old(tmp_path, monkeypatch):
    """Ctrl-C once the older folder has stepped aside."""
    target, real = tmp_path / "a", Path.rename
    with NewFolder(target) as draft:
        fill(draft, "old")

    def interrupted(self, there):
        if Path(there) == target and ".old." not in self.name:
            raise KeyboardInterrupt
        return real(self, there)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), NewFolder(target) as draft:
        fill(draft, "new")
    assert content(target) == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_link_points_to_is_replaced(kind, tmp_path):
    """There or not; the link stays."""
    (tmp_path / "elsewhere").mkdir()
    link, behind = tmp_path / "a.txt", tmp_path / "elsewhere" / "b.txt"
    link.symlink_to(behind)
    for text in ("first", "second"):
        with kind(link) as draft:
            fill(draft, text)
        assert link.is_symlink()
        assert content(behind) == text
    assert sorted(tmp_path.iterdir()) == [link, behind.parent]
    assert list(behind.parent.iterdir()) == [behind]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    """No file is made of no draft, and what stood there stands."""
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError), NewFile(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("kind_name", ["NewFile", "NewFolder"])
def test_a_killed_process_leaves_the_old_and_sweeping_removes_the_rest(tmp_path, kind_name):
    """The power goes between writing and renaming."""
    target = tmp_path / "a[1].txt"
    with getattr(atomic, kind_name)(target) as draft:
        fill(draft, "old")
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom framecast import atomic\n"
        f"with atomic.{kind_name}(Path(sys.argv[1])) as draft:\n"
        "    (draft / 'x' if draft.is_dir() else draft).write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, target], check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(target) == "old"
    assert len(list(tmp_path.iterdir())) == 2
    others = [tmp_path / ".a[1].mine.txt", tmp_path / ".a1.0123abcd.txt", tmp_path / "other"]
    for other in others:
        other.write_text("mine")
    atomic.sweep(target)
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])


def test_all_is_on_the_disk_before_the_rename(kind, tmp_path, monkeypatch):
    """Every file of a draft is synced while the old one still stands, and the parent after."""
    target, synced = tmp_path / "a", []

    def note(descriptor):
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), target.exists()))

    monkeypatch.setattr(os, "fsync", note)
    with kind(target) as draft:
        fill(draft, "new")
        written = {draft, *draft.rglob("*")}
    before = {path for path, there in synced if not there}
    assert before == written
    assert synced[-1] == (tmp_path, True)


def test_the_mode_is_what_the_user_set(kind, tmp_path):
    """Other people may read what the process's mask lets them, whatever a writer thinks."""
    before = os.umask(0o027)
    try:
        with kind(tmp_path / "a") as draft:
            fill(draft, "x")
            (draft / "inner" / "file" if draft.is_dir() else draft).chmod(0o600)
    finally:
        os.umask(before)
    made = tmp_path / "a"
    assert made.stat().st_mode & 0o777 == (0o640 if kind is NewFile else 0o750)
    file = made / "inner" / "file" if kind is NewFolder else made
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [made]


def test_text_is_utf8(tmp_path):
    """Whatever the machine's own encoding is."""
    atomic.write_text(tmp_path / "a", "ünï\n")
    assert (tmp_path / "a").read_bytes() == "ünï\n".encode()


@pytest.mark.parametrize("target", [".", "", "..", "a/.."])
def test_a_place_without_a_name_is_refused(kind, target):
    with pytest.raises(FramecastError, match="has no name to write under"):
        kind(Path(target))
