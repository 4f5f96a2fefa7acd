"""Training on text from end to end: the run folder, and a run taken up again that comes to the same bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from numbanet.text import load_tokenizer
from numbanet.training.errors import ConfigError, RunError
from numbanet.training.restore import load_model, load_task
from numbanet.training.run import Run
from numbanet.training.tasks.language import LanguageTask
from numbanet.training.trainer import Trainer
from tests.training.conftest import content, small_config
from tests.training.test_text_tasks import pairs, sst2
from tests.training.tiny_text import tiny_models  # noqa: F401

pytestmark = pytest.mark.usefixtures("tiny_models")

COMMON = {"model_options": {}, "limit": 0, "batch_size": 4, "epochs": 2, "optimizer": "adam", "lr": 0.01}
KINDS = ["streams", "windows", "classes", "translation"]


def config_of(kind: str, **changes):
    if kind in ("streams", "windows"):
        Path("a.txt").write_text("the cat sat on the mat, the dog sat on the log. " * 8)
        model = "tiny_recurrent" if kind == "streams" else "tiny_windows"
        settings = {"model": model, "dataset": "text", "text": "a.txt", "sequence_length": 8}
    elif kind == "classes":
        settings = {"model": "tiny_classifier", "dataset": "sst2", "data_dir": sst2(), "limit": 20}
    else:
        settings = {
            "model": "tiny_translator",
            "dataset": "pairs",
            "pairs": pairs(),
            "sequence_length": 12,
            "limit": 24,
        }
    return small_config(**{**COMMON, **settings, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_a_run(kind):
    trainer = Trainer(config_of(kind, epochs=3), "run")
    summary = trainer.fit()
    rows = Run.open("run").metrics()
    assert len(rows) == 3
    for row in rows:
        assert {"train_loss", "test_loss", "test_accuracy"} <= set(row)
        assert ("test_perplexity" in row) == (kind != "classes")
        assert ("test_bits_per_character" in row) == (kind in ("streams", "windows"))
    assert rows[-1]["test_loss"] < rows[0]["test_loss"]
    unit = "texts_per_second" if kind == "classes" else "tokens_per_second"
    assert summary[unit] > 0
    names = ("source", "target") if kind == "translation" else ("tokenizer",)
    for name in names:
        kept = load_tokenizer(Path("run") / f"{name}.json")
        assert kept.as_dict() == trainer.task.tokenizers[name].as_dict()
    model, _ = load_model(Run.open("run"))
    result = trainer.task.evaluate(model, trainer.data.test)
    assert result.loss == rows[-1]["test_loss"]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "streams")) for kind in KINDS])
def test_resumed_from_every_step(kind):
    """In the middle of an epoch, too, with the state that a recurrent model carries through the text."""
    config, seen = config_of(kind, checkpoint_steps=1), []

    class Copying(Trainer):
        def _save(self):
            checkpoint = super()._save()
            seen.append(checkpoint)
            return checkpoint

    first = Copying(config, "alone")
    first.fit()
    steps = len(first.loader)
    assert len(seen) == 2 * steps
    assert steps > 3
    for number in (1, steps - 1, steps, 2 * steps - 2):
        folder = Path(f"run{number}")
        run = Run.create(folder, config, seen[number], first.task.files())
        best = seen[number].state["progress"]["best"]
        if best is not None:  # as it lay there at that time
            run.save_checkpoint("best", seen[steps * best["epoch"] - 1])
        Trainer.resume(folder).fit()
        assert content(folder) == content(Path("alone")), number


def test_the_carried_state_is_in_the_checkpoint():
    trainer = Trainer(config_of("streams", epochs=1), "run")
    trainer.fit()
    arrays = Run.open("run").load_checkpoint("last").arrays
    np.testing.assert_array_equal(arrays["carried.0"], trainer.step.forward.carried[0].numpy())
    assert arrays["carried.0"].shape == (1, 4, 8)


def test_the_tokenizer_of_the_run_is_used_and_not_made_anew():
    """Another text in the file's place must not give the tokens other numbers."""
    Trainer(config_of("windows", epochs=1), "run").fit()
    before = load_task(Run.open("run"))[0].tokenizers["tokenizer"].vocabulary.tokens
    Path("a.txt").write_text("QRXYZ" * 50)
    task, model, _ = load_task(Run.open("run"), kind=LanguageTask)
    assert task.tokenizers["tokenizer"].vocabulary.tokens == before
    assert model.inner.embedding.num_embeddings == len(before)


def test_a_changed_text_is_seen():
    trainer = Trainer(config_of("streams", epochs=2, checkpoint_steps=1), "run")
    trainer.fit()
    Path("a.txt").write_text("the dog sat on the mat, the cat sat on the log. " * 8)
    with pytest.raises(ConfigError, match="the data of text are not those that the run in run began with"):
        Trainer.resume("run", {"epochs": 3})


def test_another_kind_of_run():
    Trainer(config_of("classes", epochs=1), "run").fit()
    with pytest.raises(RunError, match="run is a run of tiny_classifier on sst2: only language models make text"):
        load_task(Run.open("run"), kind=LanguageTask)


def test_without_its_tokenizer():
    Trainer(config_of("windows", epochs=1), "run").fit()
    shutil.move("run/tokenizer.json", "tokenizer.json")
    from numbanet.text import TextError

    with pytest.raises(TextError, match=r"there is no file run.tokenizer\.json"):
        load_model(Run.open("run"))


@pytest.mark.parametrize("changes", [{"accumulate": 2}, {"model": "mlp"}, {"validation": 0.999}])
def test_settings_that_do_not_go_with_text(changes):
    with pytest.raises(ConfigError):
        Trainer(config_of("windows", **changes), "run")
    assert not Path("run").exists()
