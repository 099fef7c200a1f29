"""Runs that are cut off, that go wrong, and recipes that make no sense; checkpoints whole, damaged and on a full disk."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tensorboardX.proto.event_pb2 import Event, SessionLog
from vmfm.apps.main import run
from vmfm.trainer import checkpoint, records
from vmfm.trainer import train as training
from vmfm.trainer.checkpoint import load_model, load_state, save_weights, unique_state
from vmfm.trainer.config import TINY
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.model import VMFM
from vmfm.trainer.pictures import Pictures
from vmfm.trainer.recipe import load_recipe
from vmfm.trainer.run import learning_rate
from vmfm.trainer.stages import OBJECTIVES, Stage
from vmfm.trainer.train import train

CPU = torch.device("cpu")

RECIPE = """
net = "tiny"
side_px = 64

[stage_defaults]
batch = 2
steps = 4
learning_rate = 1e-3
sizes = [[32, 64], [64, 32]]

[[stage]]
name = "sup2"
trains = ["foreground_s", "foreground_d", "complementary"]
discriminator_every = 2
kinds = ["rendered"]

[[stage]]
name = "refine"
trains = ["refinement"]
steps = 3

[[source]]
kind = "rendered"
path = "rendered/train"

[[source]]
kind = "backgrounds"
path = "real/backgrounds"
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "short.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def recipe(recipe_file):
    return load_recipe(str(recipe_file))


@pytest.fixture(scope="module")
def unbroken(recipe, data_folder, tmp_path_factory):
    """The weights of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("unbroken")
    train(recipe, data_folder, out, device=CPU)
    return weights_of(out)


def weights_of(out):
    return unique_state(load_model(out)[0])


def assert_same(one, two):
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


class Interrupted(Exception):
    pass


@pytest.fixture
def save_always(monkeypatch):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)


@pytest.fixture
def disturbed(recipe_file, data_folder, tmp_path):
    """Runs the recipe in a process of its own, saving after every step; what is given happens before step 3 is saved."""

    def run_with(what):
        code = (
            "import os, resource, signal, sys, torch\n"
            "from pathlib import Path\n"
            "from vmfm.trainer import train as training\n"
            "from vmfm.trainer.recipe import load_recipe\n"
            "training.SAVE_SECONDS = -1.0\n"
            "def disturb(progress):\n"
            f"    if progress.run_step == 3: {what}\n"
            "recipe, data, out = sys.argv[1:]\n"
            "cpu = torch.device('cpu')\n"
            "training.train(load_recipe(recipe), Path(data), Path(out), device=cpu, report=disturb, report_every=1)\n"
        )
        command = [sys.executable, "-c", code, str(recipe_file), str(data_folder), str(tmp_path)]
        environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return run_with


class TestResume:
    @pytest.mark.parametrize("cut", [(0, 1), (0, 3), (0, 4), (1, 2)], ids=str)
    def test_a_cut_off_run_ends_in_the_same_weights(self, recipe, data_folder, tmp_path, save_always, unbroken, cut):
        """After any step, also one that was taken but not saved; the discriminator and the optimizers go on, too."""

        def interrupt(step):
            if (step.stage_index, step.step) == cut:
                raise Interrupted

        out = tmp_path / "cut"
        with pytest.raises(Interrupted):
            train(recipe, data_folder, out, device=CPU, report=interrupt, report_every=1)
        resumable = (out / "state.pt").exists()
        assert resumable == (cut != (0, 1))  # cut off before the first state, it begins anew
        torch.manual_seed(99)
        train(recipe, data_folder, out, device=CPU, resume=resumable)
        assert_same(weights_of(out), unbroken)
        stages = [stage.name for stage in recipe.stages]
        told = {"recipe": "short", "pictures": 2 * 4 + 2 * 3, "stages_done": 2, "stages": stages}
        assert load_model(out)[1] == told

    def test_kill_9(self, disturbed, data_folder, recipe, tmp_path, unbroken):
        done = disturbed("os.kill(os.getpid(), signal.SIGKILL)")
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert load_state(tmp_path, CPU)["step"] == 2
        train(recipe, data_folder, tmp_path, device=CPU, resume=True)
        assert_same(weights_of(tmp_path), unbroken)

    def test_a_full_disk(self, disturbed, data_folder, recipe, tmp_path, unbroken):
        """The run stops and says so; the last state is whole, and once there is room it goes on from there."""
        done = disturbed("resource.setrlimit(resource.RLIMIT_FSIZE, (200_000,) * 2)")
        assert re.search(r"TrainerError: cannot write .*weights.safetensors: File too large", done.stderr), done.stderr
        assert load_state(tmp_path, CPU)["step"] == 2 and load_model(tmp_path)[1]["pictures"] == 2 * 2
        assert not list(tmp_path.glob(".*"))  # nothing half-written lies around
        train(recipe, data_folder, tmp_path, device=CPU, resume=True)
        assert_same(weights_of(tmp_path), unbroken)

    def test_a_finished_run_has_nothing_left_to_do(self, recipe, data_folder, tmp_path):
        train(recipe, data_folder, tmp_path / "run", device=CPU)
        before = weights_of(tmp_path / "run")
        train(recipe, data_folder, tmp_path / "run", device=CPU, resume=True)
        assert_same(weights_of(tmp_path / "run"), before)

    @pytest.mark.parametrize("change", ["order", "fewer", "name"])
    def test_another_recipe_does_not_go_on(self, recipe, data_folder, tmp_path, change):
        train(recipe, data_folder, tmp_path, device=CPU)
        stage = recipe.stages[0]
        trains = {"order": stage.trains[::-1], "fewer": stage.trains[1:]}.get(change, stage.trains)
        other = replace(stage, trains=trains, name="cl" if change == "name" else stage.name)
        with pytest.raises(TrainerError, match="has trained stage .*; the recipe has stage"):
            train(replace(recipe, stages=(other, *recipe.stages[1:])), data_folder, tmp_path, device=CPU, resume=True)

    def test_a_run_is_not_overwritten(self, recipe, data_folder, tmp_path):
        train(recipe, data_folder, tmp_path / "run", device=CPU)
        with pytest.raises(TrainerError, match="--resume"):
            train(recipe, data_folder, tmp_path / "run", device=CPU)

    def test_nothing_to_resume(self, recipe, data_folder, tmp_path):
        with pytest.raises(TrainerError, match="nothing to resume"):
            train(recipe, data_folder, tmp_path / "none", device=CPU, resume=True)

    def test_another_seed_is_another_run(self, recipe, data_folder, tmp_path, unbroken):
        train(replace(recipe, seed=2), data_folder, tmp_path / "other", device=CPU)
        other = weights_of(tmp_path / "other")
        assert not torch.equal(other["foreground_s.decoder.4.weight"], unbroken["foreground_s.decoder.4.weight"])


class TestStart:
    def test_nets_of_the_same_shape_are_taken_over(self, recipe, data_folder, tmp_path):
        torch.manual_seed(5)
        wider = VMFM(replace(TINY, foreground_width=8))
        start = save_weights(tmp_path / "start", wider, {"recipe": "first", "pictures": 7})
        chosen = replace(recipe, start=str(start))
        train(chosen, data_folder, tmp_path / "run", device=CPU)
        got, given = weights_of(tmp_path / "run"), unique_state(wider)
        assert torch.equal(got["depth.head.weight"], given["depth.head.weight"])
        assert got["foreground_s.decoder.4.weight"].shape != given["foreground_s.decoder.4.weight"].shape
        assert load_model(tmp_path / "run")[1]["start"] == {"recipe": "first", "pictures": 7}
        train(chosen, data_folder, tmp_path / "run", device=CPU, resume=True)
        assert load_model(tmp_path / "run")[1]["start"] == {"recipe": "first", "pictures": 7}

    def test_a_net_that_would_stay_untrained_is_told(self, recipe, data_folder, tmp_path):
        """An interaction net of another shape than the start's, that no stage trains, would answer noise."""
        start = save_weights(tmp_path / "start", VMFM(replace(TINY, last_expansions=(6, 6, 4))), {})
        with pytest.raises(TrainerError, match="interaction of .*start.* no stage trains it: .*last_expansions"):
            train(replace(recipe, start=str(start)), data_folder, tmp_path / "run", device=CPU)


class TestLogs:
    def test_every_term_is_on_record(self, recipe, data_folder, tmp_path):
        seen = []
        train(recipe, data_folder, tmp_path / "run", device=CPU, report=seen.append, report_every=2)
        lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
        assert [(line["stage"], line["step"]) for line in lines] == [
            ("sup2", 2),
            ("sup2", 4),
            ("refine", 2),
            ("refine", 3),
        ]
        assert [(news.stage.name, news.step) for news in seen] == [(line["stage"], line["step"]) for line in lines]
        assert {"matte_s", "composite_d", "adversarial_s", "deviation_d", "judge_s"} < lines[0].keys()
        assert all(line["speed"] > 0 and 0 < line["composing"] < 1 for line in lines)
        assert lines[0]["seconds_left"] >= lines[1]["seconds_left"] == 0

    def test_tensorboard_has_it_all_and_pictures(self, recipe, data_folder, tmp_path, monkeypatch):
        monkeypatch.setattr(records, "LOOK_STEPS", 4)
        train(recipe, data_folder, tmp_path / "run", device=CPU, report_every=2)
        lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
        _, start, *told = events_of(tmp_path / "run")
        assert start.session_log.status == SessionLog.START and start.step == 1
        assert [event.step for event in told] == [2, 4, 6, 7]  # of the whole run
        for line, event in zip(lines, told, strict=True):
            numbers = {value.tag: value.simple_value for value in event.summary.value if not value.HasField("image")}
            terms = {name: value for name, value in line.items() if name.endswith(("_s", "_d", "_refined", "_given"))}
            assert {name: numbers[f"{line['stage']}/{name}"] for name in terms} == pytest.approx(terms)
            assert numbers["training/speed"] == pytest.approx(line["speed"])
        seen = [[value.image for value in event.summary.value if value.HasField("image")] for event in told]
        assert [len(images) for images in seen] == [1, 0, 1, 0]
        sheets = [
            cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR).astype(int)
            for images in seen
            for image in images
        ]
        assert [sheet.shape for sheet in sheets] == [(4 * 32, 7 * 64, 3)] * 2
        changes = np.abs(sheets[0] - sheets[1]).reshape(128, 7, 64, 3).mean((0, 2, 3))
        assert changes[:2].max() == 0 and changes[2:].min() > 0  # the same pictures and truths, other nets

    def test_tensorboard_leaves_out_what_is_done_again(self, recipe, data_folder, tmp_path):
        train(recipe, data_folder, tmp_path / "run", device=CPU)
        train(recipe, data_folder, tmp_path / "run", device=CPU, resume=True)
        assert [e.step for e in events_of(tmp_path / "run") if e.session_log.status == SessionLog.START] == [1, 8]


def events_of(out):
    """All that TensorBoard is told, out of TFRecords: length, checksum, an event of that length, checksum."""
    events = []
    for file in sorted((out / "tensorboard").iterdir(), key=lambda file: file.stat().st_mtime_ns):
        content = file.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            events.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return events


class TestLossOfNumbers:
    def test_stops_and_keeps_the_batch(self, recipe, data_folder, tmp_path, monkeypatch):
        steps = []
        sup2 = OBJECTIVES["sup2"]

        def breaks(nets, batch, stage):
            steps.append(batch.image.clone())
            return {name: value / (0 if len(steps) == 3 else 1) for name, value in sup2(nets, batch, stage).items()}

        monkeypatch.setitem(OBJECTIVES, "sup2", breaks)
        with pytest.raises(TrainerError, match=r"sup2 step 3: .* no longer a number") as error:
            train(recipe, data_folder, tmp_path / "run", device=CPU)
        assert "spoiled_batch.pt" in str(error.value) and "\n" not in str(error.value)
        kept = torch.load(tmp_path / "run" / "spoiled_batch.pt", weights_only=True)
        assert torch.equal(kept["image"], steps[2])  # the step that broke, not the later one that was looked at
        assert not (tmp_path / "run" / "weights.safetensors").exists()

    def test_of_the_gradient_alone(self, recipe, data_folder, tmp_path, monkeypatch):
        """A loss may be a number where its slope is none."""
        refine = OBJECTIVES["refine"]

        def breaks(nets, batch, stage):
            terms = refine(nets, batch, stage)
            return {name: value + (value * 0).sqrt() for name, value in terms.items()}

        monkeypatch.setitem(OBJECTIVES, "refine", breaks)
        with pytest.raises(TrainerError, match="no longer a number"):
            train(
                replace(recipe, stages=(replace(recipe.stages[1], steps=1),)), data_folder, tmp_path / "run", device=CPU
            )
        assert not (tmp_path / "run" / "weights.safetensors").exists()


class TestAverage:
    def test_what_a_stage_has_trained_stays_its_average(self, recipe, data_folder, tmp_path):
        """The next stage builds on it, and does not wipe it out by following weights that stand still."""
        first, *_ = recipe.stages
        rest = replace(first, name="refine", trains=("refinement",), steps=12)
        for name, stages in (("run", (first, rest)), ("alone", (first,))):
            train(replace(recipe, stages=stages), data_folder, tmp_path / name, device=CPU)
        kept, wanted = (load_model(tmp_path / name)[0].state_dict() for name in ("run", "alone"))
        learnt = [name for name in wanted if name.startswith(tuple(first.trains))]
        assert learnt
        for name in learnt:
            torch.testing.assert_close(kept[name], wanted[name], atol=1e-6, rtol=1e-5)


class TestCheckpoint:
    @pytest.fixture
    def model(self):
        torch.manual_seed(3)
        model = VMFM(TINY)
        model.complementary.s.decoder[0][1].running_mean.fill_(0.25)
        return model

    def test_round_trip(self, model, tmp_path):
        save_weights(tmp_path, model, {"recipe": "x"})
        again, trained = load_model(tmp_path)
        assert trained == {"recipe": "x"} and again.config == TINY and not again.training
        assert_same(unique_state(again), unique_state(model))
        assert again.complementary.d.decoder is again.complementary.s.decoder
        assert (again.complementary.d.decoder[0][1].running_mean == 0.25).all()

    @pytest.mark.parametrize(
        "damage", [lambda b: b[:-100], lambda b: b[:4], lambda b: b"", lambda b: b"x" * 64 + b[64:]]
    )
    def test_damaged_weights(self, model, tmp_path, damage):
        file = save_weights(tmp_path, model, {})
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(TrainerError, match="damaged"):
            load_model(tmp_path)

    @pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no such thing"])
    def test_damaged_state(self, recipe, data_folder, tmp_path, damage):
        out = tmp_path / "run"
        train(recipe, data_folder, out, device=CPU)
        (out / "state.pt").write_bytes(damage((out / "state.pt").read_bytes()))
        with pytest.raises(TrainerError, match="damaged"):
            train(recipe, data_folder, out, device=CPU, resume=True)

    def test_state_of_another_version(self, tmp_path):
        torch.save({"model": {}}, tmp_path / "state.pt")
        with pytest.raises(TrainerError, match="another version"):
            load_state(tmp_path, CPU)

    def test_weights_of_other_nets(self, model, tmp_path):
        file = save_weights(tmp_path, model, {})
        tensors = unique_state(model)
        for wrong in (dict(list(tensors.items())[1:]), tensors | {"depth.head.bias": torch.zeros(7)}):
            with pytest.raises(TrainerError):
                checkpoint.load_unique_state(VMFM(TINY), wrong, str(file))

    def test_no_weights(self, tmp_path):
        with pytest.raises(TrainerError, match="no weights"):
            load_model(tmp_path / "nowhere")


class TestLearningRate:
    def stage(self, **options):
        return Stage("pre", ("foreground_s",), 1, 1e-3, ((32, 32),), steps=100, **options)

    def test_rises_then_falls_as_a_cosine(self):
        stage = self.stage()
        rates = [learning_rate(stage, step) for step in range(100)]
        assert rates[:5] == pytest.approx([0.2e-3, 0.4e-3, 0.6e-3, 0.8e-3, 1e-3])
        assert rates[5:] == sorted(rates[5:], reverse=True) and rates[5] == pytest.approx(1e-3)
        assert learning_rate(stage, 52) == pytest.approx(0.51e-3, rel=0.02)
        assert rates[-1] == pytest.approx(0.02e-3, rel=0.05)

    def test_or_stays(self):
        stage = self.stage(final_rate=1.0)
        assert {learning_rate(stage, step) for step in range(5, 100)} == {1e-3}


def mistaken(old, new):
    assert old in RECIPE
    return RECIPE.replace(old, new, 1)


MISTAKES = {
    "no net": (mistaken('net = "tiny"', ""), "net is None"),
    "unknown net": (mistaken('"tiny"', '"huge"'), "net is 'huge'; wanted one of lite"),
    "no stage": (RECIPE[: RECIPE.index("[[stage]]")] + RECIPE[RECIPE.index("[[source]]") :], r"no \[\[stage\]\]"),
    "no source": (RECIPE[: RECIPE.index("[[source]]")], r"no \[\[source\]\]"),
    "unknown stage": (mistaken('"sup2"', '"sup3"'), "no stage 'sup3'"),
    "unknown net to train": (mistaken('"foreground_s"', '"foreground_x"'), "trains .*foreground_x"),
    "trains nothing": (mistaken('["refinement"]', "[]"), r"trains \[\]; wanted some of"),
    "trains a word": (mistaken('["refinement"]', '"refinement"'), "trains = 'refinement'; wanted a list"),
    "unknown key": (mistaken("steps = 3", "stepz = 3"), "stage refine has an unknown key 'stepz'"),
    "unknown key at the top": (mistaken("side_px", "side"), "unknown key 'side'"),
    "missing key": (mistaken("batch = 2", ""), "stage sup2 has no 'batch'"),
    "unknown precision": (mistaken("side_px", 'precision = "fp8"\nside_px'), "precision is 'fp8'; wanted one of bf16"),
    "a pass of no pictures": (mistaken("steps = 3", "steps = 3\nmicro_batch = -1"), "refine has micro_batch -1"),
    "no length": (mistaken("steps = 4", ""), "0 steps and 0.0 epochs"),
    "two lengths": (mistaken("steps = 3", "steps = 3\nepochs = 2"), "3 steps and 2 epochs"),
    "text for a number": (mistaken("steps = 3", 'steps = "3"'), "steps = '3'; wanted a whole number"),
    "truth for a number": (mistaken("steps = 3", "steps = true"), "steps = True; wanted a whole number"),
    "no batch": (mistaken("batch = 2", "batch = 0"), "batch 0; wanted more than 0"),
    "odd size": (mistaken("[32, 64]", "[32, 65]"), r"size \[32, 65\]; wanted .* multiples of 32"),
    "half a size": (mistaken("[32, 64]", "[32]"), r"sizes = "),
    "unknown kind": (mistaken('kind = "rendered"', 'kind = "painted"'), "kind 'painted'"),
    "unknown kind of a stage": (mistaken('kinds = ["rendered"]', 'kinds = ["painted"]'), "kinds .*painted"),
    "no share": (mistaken('kind = "rendered"', 'kind = "rendered"\nshare = 0'), "share 0"),
    "two lots of sources": (mistaken("side_px", 'sources_of = "lite"\nside_px'), "source.* and sources_of = 'lite'"),
    "no such lender": (
        mistaken("side_px", 'sources_of = "fool"\nside_px').partition("[[source]]")[0],
        "no recipe 'fool'",
    ),
    "no TOML": (mistaken("steps = 4", "steps = = 4"), "no valid TOML: .*line"),
}


class TestRecipe:
    @pytest.mark.parametrize(("text", "says"), MISTAKES.values(), ids=MISTAKES)
    def test_a_mistake_is_one_clear_sentence(self, tmp_path, text, says):
        path = tmp_path / "bad.toml"
        path.write_text(text)
        with pytest.raises(TrainerError, match=says) as error:
            load_recipe(str(path))
        assert "\n" not in str(error.value) and "bad.toml" in str(error.value)

    def test_no_such_recipe(self, tmp_path):
        with pytest.raises(TrainerError, match="full, lite, paper, smoke"):
            load_recipe("fool")
        with pytest.raises(TrainerError, match="no recipe file"):
            load_recipe(str(tmp_path / "none.toml"))

    def test_takes_the_sources_of_another_one(self, tmp_path):
        path = tmp_path / "mine.toml"
        path.write_text('sources_of = "lite"\n' + RECIPE[: RECIPE.index("[[source]]")])
        assert load_recipe(str(path)).sources == load_recipe("lite").sources

    @pytest.mark.parametrize("name", ["lite", "full", "paper", "smoke"])
    def test_what_is_shipped_is_sound(self, name):
        assert load_recipe(name).name == name

    def test_paper_is_table_5(self):
        stages = {stage.name: stage for stage in load_recipe("paper").stages}
        assert [(name, stages[name].epochs) for name in ("pre", "sup1", "sup2", "cl", "refine")] == [
            ("pre", 20),
            ("sup1", 10),
            ("sup2", 30),
            ("cl", 25),
            ("refine", 20),
        ]
        for name in ("pre", "sup1", "sup2", "cl", "refine"):
            stage = stages[name]
            assert (stage.learning_rate, stage.final_rate, stage.batch, stage.sizes) == (1e-4, 1, 4, ((512, 512),))
        for name in ("sup1", "sup2"):
            assert stages[name].weight("matte_s") == 1 and stages[name].weight("composite_d") == 0.5
        assert stages["cl"].weight("supervision_s") == 6 and stages["cl"].threshold == 0.5
        assert stages["cl"].trains == ("foreground_s", "foreground_d") and not stages["cl"].teach_below_threshold


class TestMistakesThatOnlyDataShow:
    def test_a_weight_of_no_term(self, recipe, data_folder, tmp_path):
        stage = replace(recipe.stages[0], weights={"matte": 1.0, "mate": 2.0})
        with pytest.raises(TrainerError, match="weighs 'mate'; its terms are matte_s"):
            train(replace(recipe, stages=(stage,)), data_folder, tmp_path / "run", device=CPU)

    def test_a_stage_without_pictures(self, recipe, data_folder, tmp_path):
        stage = replace(recipe.stages[0], kinds=("unlabelled",))
        with pytest.raises(TrainerError, match="wants data of kind unlabelled"):
            train(replace(recipe, stages=(stage,)), data_folder, tmp_path / "run", device=CPU)

    def test_no_backgrounds(self, recipe, data_folder, tmp_path):
        with pytest.raises(TrainerError, match="no source of kind backgrounds"):
            train(replace(recipe, sources=recipe.sources[:1]), data_folder, tmp_path / "run", device=CPU)

    def test_a_source_that_shows_nothing_of_what_it_should(self, recipe, data_folder):
        source = replace(recipe.sources[0], showing=("couch",))
        with pytest.raises(TrainerError, match="no rendered in"):
            Pictures(replace(recipe, sources=(*recipe.sources, source)), data_folder, CPU)
        without = replace(recipe, sources=(*recipe.sources, replace(source, optional=True)))
        assert [given for given, _ in Pictures(without, data_folder, CPU).stores] == list(recipe.sources)

    def test_epochs_are_passes_over_the_stages_pictures(self, recipe, data_folder, tmp_path):
        stage = replace(recipe.stages[1], steps=0, epochs=0.75, kinds=("rendered",))  # of 8 pictures, 2 a batch
        seen = []
        train(replace(recipe, stages=(stage,)), data_folder, tmp_path / "run", device=CPU, report=seen.append)
        assert seen[-1].step == seen[-1].stage.steps == 3

    def test_the_command_says_it_in_one_line(self, tmp_path, capsys):
        assert run(["train", "fool", "--out", str(tmp_path / "run")]) == 1
        assert "there is no recipe 'fool'" in " ".join(capsys.readouterr().err.split())
