"""Where a document is published to in the file source, whatever it is called."""

from contextlib import suppress
from pathlib import Path

import pytest

from xds.composition.publishing import Publisher
from xds.documents import DocumentId, revision_of
from xds.http.api.backend import Conflict
from xds.settings import Files, Settings

TEXT = "hosts: [reviews.example.com]\n"


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    (tmp_path / "rules").mkdir()
    return Publisher(Settings(files=Files(rules=tmp_path / "rules")))


@pytest.mark.parametrize(
    "name",
    [
        "../reviews.yaml",
        "../../etc/reviews.yaml",
        "/etc/reviews.yaml",
        "a/../../reviews.yaml",
        "a/reviews.yaml",
        "./reviews.yaml",
        "..",
        ".",
        "",
        "reviews.yaml/",
        "reviews.yaml\0.list",
        "reviews.yaml\n",
        "reviews.sh",
        "..\\reviews.yaml",
    ],
)
async def test_a_name_leads_nowhere_else(publisher: Publisher, tmp_path: Path, name: str) -> None:
    with suppress(Conflict, ValueError):
        await publisher.publish(DocumentId("", name), TEXT, None)
    assert all(path.parent == tmp_path / "rules" for path in files(tmp_path))


async def test_files_have_no_namespaces(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="no namespace 'staging'"):
        await publisher.publish(DocumentId("staging", "reviews.yaml"), TEXT, None)
    assert files(tmp_path) == []


def files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if not path.is_dir() or path.parent != home]


async def test_a_text_replaces_the_revision_that_it_says(publisher: Publisher, tmp_path: Path) -> None:
    document = DocumentId("", "reviews.yaml")
    revision = await publisher.publish(document, TEXT, None)
    assert revision == revision_of(TEXT.encode())
    with pytest.raises(Conflict, match="somebody else changed"):
        await publisher.publish(document, TEXT * 2, None)
    await publisher.publish(document, TEXT * 2, revision)
    assert (tmp_path / "rules" / "reviews.yaml").read_text() == TEXT * 2
    assert [path.name for path in files(tmp_path)] == ["reviews.yaml"]
