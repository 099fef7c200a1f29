"""The user study: the page that raters get, and the table of what they saved."""

import base64
import json
import re

import pytest
from vmfm.apps.main import run
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.study import read_opinion, result_files, tabulate, write_study


@pytest.fixture
def folders(tmp_path):
    """Clips as filmed, and composites of two of them by `ours` and `theirs`; the page only carries their bytes."""
    paths = tmp_path / "clips", tmp_path / "ours", tmp_path / "theirs"
    for path, names in zip(paths, (("cup", "guitar", "spare"), ("cup", "guitar"), ("cup", "guitar")), strict=True):
        path.mkdir()
        for name in names:
            (path / f"{name}.mp4").write_bytes(f"{path.name} {name}".encode())
    return paths


def study_in(page):
    return json.loads(re.search(r'<script id="study"[^>]*>(.*?)</script>', page.read_text())[1])


def save(path, ratings, rater="r1", study="s1", **others):
    result = {"format": "vmfm-study", "study": study, "a": "ours", "b": "theirs", "rater": rater, "ratings": ratings}
    path.write_text(json.dumps(result | others))
    return path


class TestPage:
    def test_everything_is_inside(self, folders, tmp_path):
        page = tmp_path / "page.html"
        assert write_study(*folders, page) == 2
        study = study_in(page)
        assert (study["a"], study["b"]) == ("ours", "theirs")
        assert [clip["name"] for clip in study["clips"]] == ["cup", "guitar"]
        head, _, data = study["clips"][1]["b"].partition(",")
        assert (head, base64.b64decode(data)) == ("data:video/mp4;base64", b"theirs guitar")
        assert "src=" not in page.read_text() and "http" not in page.read_text()

    def test_the_same_clips_are_the_same_study(self, folders, tmp_path):
        identities = []
        for name in ("first", "second"):
            write_study(*folders, tmp_path / name)
            identities.append(study_in(tmp_path / name)["id"])
        assert identities[0] == identities[1]
        (folders[2] / "cup.mp4").write_bytes(b"other")
        write_study(*folders, tmp_path / "third")
        assert study_in(tmp_path / "third")["id"] != identities[0]

    def test_a_name_cannot_end_the_script(self, folders, tmp_path):
        for folder in folders:
            (folder / "<!--<script>.mp4").write_bytes(b"")
        write_study(*folders, tmp_path / "page.html")
        assert study_in(tmp_path / "page.html")["clips"][0]["name"] == "<!--<script>"

    def test_a_composite_that_the_other_folder_lacks(self, folders, tmp_path):
        (folders[2] / "cup.mp4").unlink()
        with pytest.raises(TrainerError, match="theirs has no composite of cup"):
            write_study(*folders, tmp_path / "page.html")
        assert not (tmp_path / "page.html").exists()

    def test_nothing_to_compare(self, folders, tmp_path):
        with pytest.raises(TrainerError, match="cannot be compared with itself"):
            write_study(folders[0], folders[1], folders[1], tmp_path / "page.html")
        (tmp_path / "empty").mkdir()
        with pytest.raises(TrainerError, match="vmfm recomposite"):
            write_study(tmp_path / "empty", *folders[1:], tmp_path / "page.html")
        with pytest.raises(TrainerError, match="is no folder"):
            write_study(tmp_path / "nowhere", *folders[1:], tmp_path / "page.html")


class TestTable:
    def test_shares_as_in_the_papers_table_4(self, tmp_path):
        first = save(tmp_path / "1.json", {"cup": 5, "guitar": 4})
        second = save(tmp_path / "2.json", {"cup": 3, "guitar": 1}, rater="r2")
        other = save(tmp_path / "3.json", {"cup": 3}, study="s2", b="third")
        table = tabulate(read_opinion(file) for file in (first, second, other))
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        shares = ["25.0%", "25.0%", "25.0%", "0.0%", "25.0%"]
        assert rows[0] == ["ours vs. theirs", *shares, "3.25", "50.0%", "2", "2"]
        assert rows[1] == ["ours vs. third", "0.0%", "0.0%", "100.0%", "0.0%", "0.0%", "3.00", "0.0%", "1", "1"]

    def test_nobody_counts_twice(self, tmp_path):
        opinion = read_opinion(save(tmp_path / "1.json", {"cup": 5}))
        with pytest.raises(TrainerError, match="r1 is there twice"):
            tabulate([opinion, opinion])

    @pytest.mark.parametrize("ratings", [{}, [], {"cup": 6}, {"cup": True}, {"cup": "5"}, None], ids=str)
    def test_damaged_ratings(self, tmp_path, ratings):
        with pytest.raises(TrainerError, match="again"):
            read_opinion(save(tmp_path / "1.json", ratings))

    def test_other_files(self, tmp_path):
        for name, text in (("list", "[]"), ("other", '{"format": "x"}'), ("broken", "{"), ("keys", '{"rater": 1}')):
            (tmp_path / name).write_text(text)
            with pytest.raises(TrainerError, match=name):
                read_opinion(tmp_path / name)
        with pytest.raises(TrainerError, match="no saved result"):
            result_files([])


def test_as_typed(folders, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert run(["study", *map(str, folders), "-o", str(page)]) == 0
    assert "2 clips" in capsys.readouterr().out
    results = tmp_path / "results"
    results.mkdir()
    save(results / "1.json", {"cup": 4, "guitar": 2})
    assert run(["study", "--tabulate", str(results)]) == 0
    assert "ours vs. theirs" in capsys.readouterr().out
    assert run(["study", str(folders[0]), "-o", str(page)]) == 1
