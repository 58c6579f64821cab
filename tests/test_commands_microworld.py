"""`ostensive microworld`: what its commands take; what they do is tested with the room."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ostensive.cli import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "vision", "--stage", "dreaming"], "--stage: there is no stage 'dreaming'; there are pool, vision"),
        (["--minutes", "dreaming=3"], "--minutes: there is no stage 'dreaming'; there are pool, vision"),
        (["--minutes", "vision=1", "--minutes", "vision=2"], "--minutes vision=2: vision is given twice; give it once"),
        (["--minutes", "vision"], "--minutes vision: STAGE=MINUTES is expected, such as vision=16"),
        (["--minutes", "vision=long"], "--minutes vision=long: STAGE=MINUTES is expected, such as vision=16"),
        (["--minutes", "vision=0"], "--minutes vision=0: STAGE=MINUTES is expected, such as vision=16"),
        (["--minutes", "vision=nan"], "--minutes vision=nan: STAGE=MINUTES is expected, such as vision=16"),
    ],
)
def test_a_training_that_cannot_be_planned_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["microworld", "train", str(tmp_path / "models"), *arguments])
    assert str(done.exception).startswith(message)
    assert not (tmp_path / "models").exists()
