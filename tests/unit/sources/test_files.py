"""The file source on real directories, saved to in all the ways that editors do."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.harness.recorder import Recorder, recording
from xds.sources.base import DocumentChanged
from xds.sources.files import FilesSource, watch
from xds.sources.files.directory import READ_LIMIT, Directory
from xds.sources.files.settling import FileContent, Unreadable

OLD = b"service: reviews\nenabled: true\n"
NEW = b"service: reviews\nenabled: false\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    (directory / "reviews.yaml").write_bytes(OLD)
    return directory


@pytest.fixture
def services(tmp_path: Path) -> Path:
    directory = tmp_path / "services"
    directory.mkdir()
    return directory


async def started(recorder: Recorder) -> None:
    await recorder.until(lambda r: r.synced)


async def looked_again(recorder: Recorder, directory: Path) -> None:
    """Wait for the source to have looked after now: a document of ours was reported, new each time."""
    name = f"marker-{len(recorder.events)}.yaml"
    (directory / name).write_bytes(b"x: 1")
    await recorder.until(lambda r: name in r.documents)


def replace(path: Path, content: bytes) -> None:
    """Save as `sed -i` and careful editors do: a new file renamed over the old one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.rename(path)


def save_like_vim(path: Path, content: bytes) -> None:
    """Probe the directory, move the old file away, write a new one, remove the backup."""
    probe = path.with_name("4913")
    probe.touch()
    probe.unlink()
    path.with_name(f".{path.name}.swp").touch()
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_bytes(content)
    backup.unlink()
    path.with_name(f".{path.name}.swp").unlink()


async def test_what_is_there_is_reported_before_synced(rules: Path) -> None:
    (rules / "ratings.json").write_bytes(b'{"service": "ratings"}')
    (rules / "lanes.yml").write_bytes(b"lanes: []")
    for other in (
        ".hidden.yaml",
        "#reviews.yaml#",
        "reviews.yaml~",
        ".reviews.yaml.swp",
        "notes.txt",
        "4913",
    ):
        (rules / other).write_bytes(b"no rule")
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        assert recorder.documents == {
            "reviews.yaml": OLD,
            "ratings.json": b'{"service": "ratings"}',
            "lanes.yml": b"lanes: []",
        }
        assert recorder.trouble is None


@pytest.mark.parametrize("save", [Path.write_bytes, replace, save_like_vim])
async def test_a_save_is_reported_once_and_nothing_else(rules: Path, save) -> None:  # type: ignore[no-untyped-def]
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        save(rules / "reviews.yaml", NEW)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == NEW)
        await looked_again(recorder, rules)
        assert recorder.history("reviews.yaml") == [OLD, NEW]


async def test_a_file_that_is_being_written_is_not_taken(rules: Path) -> None:
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        with (rules / "reviews.yaml").open("wb", buffering=0) as file:
            await looked_again(recorder, rules)
            file.write(NEW[:17])
            await looked_again(recorder, rules)
            file.write(NEW[17:])
        await recorder.until(lambda r: r.documents["reviews.yaml"] == NEW)
        assert recorder.history("reviews.yaml") == [OLD, NEW]


async def test_a_burst_of_saves_ends_with_the_last(rules: Path) -> None:
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        for count in range(200):
            (rules / "reviews.yaml").write_bytes(b"# %d\n" % count)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == b"# 199\n")


async def test_new_and_deleted_files(rules: Path) -> None:
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        (rules / "ratings.yaml").write_bytes(b"service: ratings")
        await recorder.until(lambda r: "ratings.yaml" in r.documents)
        (rules / "reviews.yaml").unlink()
        await recorder.until(lambda r: "reviews.yaml" not in r.documents)
        assert recorder.history("reviews.yaml") == [OLD, None]


async def test_a_deleted_directory_deletes_no_rule(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SETTLE", 1.0)
    monkeypatch.setattr(watch, "RESCAN", 0.2)
    (rules / "ratings.yaml").write_bytes(b"service: ratings")
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        shutil.rmtree(rules)
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble is not None
        assert str(rules) in recorder.trouble
        assert "stays in force" in recorder.trouble
        await asyncio.to_thread(rules.mkdir)
        await recorder.until(lambda r: r.trouble and "came back empty" in r.trouble)
        (rules / "reviews.yaml").write_bytes(NEW)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == NEW and r.trouble is None)
        await recorder.until(lambda r: "ratings.yaml" not in r.documents)
        changes = [e.document.name for e in recorder.events if isinstance(e, DocumentChanged)]
        assert changes == ["ratings.yaml", "reviews.yaml", "reviews.yaml", "ratings.yaml"]
        (rules / "reviews.yaml").write_bytes(OLD)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == OLD)


async def test_a_directory_that_comes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RESCAN", 0.2)
    rules = tmp_path / "rules"
    async with recording(FilesSource(rules)) as recorder:
        await recorder.until(lambda r: r.trouble)
        assert not recorder.synced
        rules.mkdir()
        await started(recorder)
        (rules / "reviews.yaml").write_bytes(OLD)
        await recorder.until(lambda r: r.documents == {"reviews.yaml": OLD} and r.trouble is None)


async def test_a_config_map_is_swapped_as_one(tmp_path: Path) -> None:
    """Kubernetes keeps the files in a hidden directory and swaps a transport to it."""
    rules = tmp_path / "rules"
    for generation, content in (("..1", OLD), ("..2", NEW)):
        (rules / generation).mkdir(parents=True)
        (rules / generation / "reviews.yaml").write_bytes(content)
        (rules / generation / "ratings.yaml").write_bytes(content)
    (rules / "..data").symlink_to("..1")
    for name in ("reviews.yaml", "ratings.yaml"):
        (rules / name).symlink_to(Path("..data") / name)
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        (rules / "..data_tmp").symlink_to("..2")
        (rules / "..data_tmp").rename(rules / "..data")
        shutil.rmtree(rules / "..1")
        await recorder.until(lambda r: set(r.documents.values()) == {NEW})
        assert recorder.history("reviews.yaml") == recorder.history("ratings.yaml") == [OLD, NEW]


async def test_a_rules_directory_that_is_a_link_can_be_pointed_elsewhere(rules: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "reviews.yaml").write_bytes(NEW)
    transport = tmp_path / "transport"
    transport.symlink_to(rules)
    async with recording(FilesSource(transport)) as recorder:
        await started(recorder)
        (tmp_path / "new").symlink_to(other)
        (tmp_path / "new").rename(transport)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == NEW)
        (other / "reviews.yaml").write_bytes(OLD)
        await recorder.until(lambda r: r.documents["reviews.yaml"] == OLD)


async def test_an_unreadable_file_is_trouble_and_not_gone(rules: Path) -> None:
    path = rules / "reviews.yaml"
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        path.unlink()
        path.symlink_to(path.name)  # a loop: nobody can read that, not even root
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble is not None
        assert str(path) in recorder.trouble
        path.unlink()
        path.write_bytes(OLD)
        await recorder.until(lambda r: r.trouble is None)
        assert set(recorder.history("reviews.yaml")) == {OLD}


async def test_names_that_no_document_can_have(rules: Path) -> None:
    for name in (b"caf\xe9.yaml", b"line\nbreak.yaml"):
        (rules / os.fsdecode(name)).write_bytes(OLD)
    async with recording(FilesSource(rules)) as recorder:
        await started(recorder)
        assert set(recorder.documents) == {"reviews.yaml"}
        assert recorder.trouble is not None
        assert r"b'caf\xe9.yaml', b'line\nbreak.yaml'" in recorder.trouble


def test_a_big_file_is_not_read_whole(rules: Path) -> None:
    with (rules / "big.yaml").open("wb") as file:
        file.truncate(1 << 30)
    content = Directory(rules).look().files["big.yaml"]
    assert isinstance(content, FileContent)
    assert len(content.data) == READ_LIMIT


def test_a_pipe_is_not_waited_for(rules: Path) -> None:
    os.mkfifo(rules / "pipe.yaml")
    (rules / "directory.yaml").mkdir()
    files = Directory(rules).look().files
    assert isinstance(files["pipe.yaml"], Unreadable)
    assert isinstance(files["directory.yaml"], Unreadable)


async def test_instances_come_and_go(rules: Path, services: Path) -> None:
    file = services / "reviews.yaml"
    file.write_text("- {address: 127.0.0.1, port: 9101, metadata: {version: v1}}\n")
    async with recording(FilesSource(rules, services)) as recorder:
        await started(recorder)
        (instance,) = recorder.instances["reviews"]
        assert instance.metadata == {"version": "v1"}
        file.write_text("- {address: 127.0.0.1, port: 9101}\n- {address: 127.0.0.1, port: 9102}\n")
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:9101", "127.0.0.1:9102"])
        file.write_text("[]")
        await recorder.until(lambda r: r.instances["reviews"] == ())
        file.unlink()
        await recorder.until(lambda r: "reviews" not in r.instances)


async def test_lists_are_documents_and_no_instances(rules: Path, services: Path) -> None:
    for directory in (rules, services):
        (directory / "vip.list").write_bytes(b"user-1\n")
    async with recording(FilesSource(rules, services)) as recorder:
        await started(recorder)
        assert recorder.documents["vip.list"] == b"user-1\n"
        assert recorder.trouble is None
        assert not recorder.instances


async def test_a_broken_instance_file_keeps_the_last_good_one(rules: Path, services: Path) -> None:
    file = services / "reviews.yaml"
    file.write_text("- {address: 127.0.0.1, port: 9101}\n")
    async with recording(FilesSource(rules, services)) as recorder:
        await started(recorder)
        file.write_text("- address: 127.0.0.1\n  prot: 9102\n")
        await recorder.until(lambda r: r.trouble)
        assert recorder.trouble is not None
        assert "reviews.yaml:2:3: error: [0].prot: unknown field (did you mean port?)" in recorder.trouble
        assert recorder.endpoints("reviews") == ["127.0.0.1:9101"]
        file.write_text("- {address: 127.0.0.1, port: 9102}\n")
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:9102"] and r.trouble is None)


async def test_two_files_for_one_service(rules: Path, services: Path) -> None:
    (services / "reviews.json").write_text('[{"address": "127.0.0.1", "port": 9101}]')
    (services / "reviews.yaml").write_text("- {address: 127.0.0.1, port: 9102}")
    async with recording(FilesSource(rules, services)) as recorder:
        await started(recorder)
        assert recorder.endpoints("reviews") == ["127.0.0.1:9101"]
        assert recorder.trouble == "reviews.yaml: ignored, reviews.json has the instances of reviews"
        (services / "reviews.json").unlink()
        await recorder.until(lambda r: r.endpoints("reviews") == ["127.0.0.1:9102"] and r.trouble is None)
