"""Model cards: figures are the manifest's, and the cards in the tree are those that would be written today."""

import shutil
from dataclasses import replace

import pytest
from vmfm.apps.main import run
from vmfm.engine_build.card import CARD, card
from vmfm.engine_build.errors import ExportError
from vmfm.runtime import shipped_bundles
from vmfm.runtime.bundle import Bundle


@pytest.mark.parametrize("name", shipped_bundles())
def test_the_card_beside_a_bundle_is_that_of_its_manifest(name):
    bundle = Bundle.open(name)
    assert (bundle.path / CARD).read_text(encoding="utf-8") == card(bundle), f"run: vmfm card {name}"


def test_figures_come_from_the_manifest():
    bundle = Bundle.open("lite")
    told = card(replace(bundle, scores={"night": {"cases": 7, "iou": 0.4321, "leak": 12.34}}))
    table = [line.split() for line in told.splitlines() if line.startswith("|")]
    assert ["|", "|", "night", "|"] in table
    assert ["|", "cases", "|", "7", "|"] in table
    assert ["|", "iou", "↑", "|", "0.432", "|"] in table and ["|", "leak", "↓", "|", "12.3", "|"] in table
    assert "object recall ↑" not in told
    assert "Not scored yet." in card(replace(bundle, scores={}))


def test_tells_every_training_that_the_weights_come_from():
    trained = {"recipe": "b", "pictures": 40, "start": {"recipe": "a", "pictures": 1_200}}
    told = card(replace(Bundle.open("lite"), trained=trained))
    assert "Recipe `b`; 40 pictures seen. It began from weights of: recipe `a`; 1,200 pictures seen. Enc" in told
    assert "Not on record. " in card(replace(Bundle.open("lite"), trained={}))


def test_a_bundle_of_somebody_else_needs_a_text(tmp_path):
    stranger = replace(Bundle.open("lite"), path=tmp_path)
    with pytest.raises(ExportError, match="--text"):
        card(stranger)
    for content in ("costs $$5, $price", "costs $5"):
        (tmp_path / "text.txt").write_text(content)
        with pytest.raises(ExportError, match=r"\$scores"):
            card(Bundle.open("lite"), tmp_path / "text.txt")
    with pytest.raises(ExportError, match="cannot read"):
        card(Bundle.open("lite"), tmp_path / "nowhere.txt")


def test_written_into_the_bundles_folder(tmp_path, capsys):
    own = tmp_path / "own"
    shutil.copytree(Bundle.open("lite").path, own)
    (tmp_path / "text.txt").write_text("# $name of mine\n$scores\n")
    assert run(["card", str(own), "--text", str(tmp_path / "text.txt")]) == 0
    assert (own / CARD).read_text().startswith("# lite of mine\n|")
    assert Bundle.open(own).name == "lite"  # the card is no part of what the manifest seals
    assert run(["card", str(own)]) == 1
    assert "--text" in capsys.readouterr().err
